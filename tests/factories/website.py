"""A website with an invented process around it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cki_notifier.configuration.settings import Config
from cki_notifier.notification.errors import Unavailable
from cki_notifier.notification.parse import Identity
from cki_notifier.rabbitmq.liveness import Liveness
from cki_notifier.telemetry import metrics
from cki_notifier.telemetry.connections import Trouble
from cki_notifier.telemetry.outcomes import Outcomes, Result
from cki_notifier.telemetry.unsettled import Delayed, Unsettled, Work
from cki_notifier.web.health import Health
from cki_notifier.web.letters import Read
from cki_notifier.web.server import Server
from cki_notifier.web.status import Known
from cki_notifier.web.website import PROBES, Site
from tests.factories.environment import environment, read
from tools.processes import free_port


@dataclass
class Scene:
    """The state that the website shows. Tests change it.

    Attributes:
        kafka: why Kafka does not answer, ``""`` if it does.
        waiting: the number of waiting notifications by queue.
        letters: reads dead letters, None without them.
    """

    config: Config = field(default_factory=lambda: read(environment()))
    outcomes: Outcomes = field(default_factory=Outcomes)
    unsettled: Unsettled = field(default_factory=Unsettled)
    liveness: Liveness = field(default_factory=Liveness)
    kafka: str = ""
    waiting: dict[str, int] = field(
        default_factory=lambda: {"main": 0, "delay": 0, "dead-letter": 0}
    )

    letters: Read | None = None

    def __post_init__(self) -> None:
        """Begin with a consuming process."""
        self.liveness.missing = ""

    def settle(
        self,
        checkout_id: str = "redhat:1",
        outcome: str = "sent",
        reason: str = "pre-test",
        *,
        status: str = "build_setups_finished",
        seconds: float = 0.42,
        event_id: str = "",
        attempt: int = 1,
        **more: Any,
    ) -> None:
        """Add an outcome, with more fields of its result."""
        result = Result(outcome=outcome, reason=reason, **more)
        self.outcomes.add(Identity(checkout_id, status, event_id, attempt), result, seconds)

    def take(self, number: int, checkout_id: str, *, work: Work | None = None) -> None:
        """Put a notification in flight, with its work begun."""
        identity = Identity(checkout_id, "ready_to_report", f"event-{number}", 1)
        self.unsettled.take((1, number), identity, datetime.now(UTC))
        if work is not None:
            self.unsettled.begin((1, number), work)

    def delay(
        self,
        checkout_id: str,
        *,
        age: timedelta = timedelta(0),
        error: str = "gitlab: GET /api/v4/x answered 503",
        attempt: int = 1,
    ) -> None:
        """Put a notification in a retry queue, first seen some time ago."""
        identity = Identity(checkout_id, "ready_to_report", f"event-{checkout_id}", attempt)
        now = datetime.now(UTC)
        failed = Result(outcome="delayed", reason="unavailable", error=error)
        until = now + timedelta(minutes=10)
        self.unsettled.delay(Delayed(identity, now - age, until, failed))

    def site(self) -> Site:
        """Return a new site that shows this state."""
        health = Health(self.liveness, self.check_kafka if self.config.sends else None)
        known = Known(self.config, health, self.outcomes, self.unsettled, self._counts)
        return Site(known, self.letters)

    def _counts(self) -> dict[str, int]:
        return self.waiting

    def check_kafka(self) -> None:
        """Raise a publisher's error."""
        if self.kafka:
            raise Unavailable("kafka", self.kafka)


@contextmanager
def served(scene: Scene, port: int = 0) -> Iterator[int]:
    """Serve a scene on a port of its own, or on the one given; yield it."""
    port = port or free_port()
    server = Server(port, PROBES)
    server.start(scene.site().answer)
    try:
        yield port
    finally:
        server.close()


@contextmanager
def answering(**services: bool) -> Iterator[None]:
    """Let services answer or fail within the context. The state of others is unknown."""
    metrics.connected.clear()
    for service, answers in services.items():
        if answers:
            metrics.connected.works(service)
        else:
            metrics.connected.fails(service, Trouble("GET /api/1/x answered 503"))
    try:
        yield
    finally:
        metrics.connected.clear()


def connected(service: str) -> float | None:
    """Return the metric of a connection: 1, 0, or None without one."""
    return metrics.REGISTRY.get_sample_value("cki_notifier_connected", {"dependency": service})
