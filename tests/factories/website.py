"""A website with a process around it that a test makes up."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from cki_notifier.configuration.settings import Config
from cki_notifier.notification.errors import Unavailable
from cki_notifier.notification.parse import Identity
from cki_notifier.rabbitmq.liveness import Liveness
from cki_notifier.telemetry import metrics
from cki_notifier.telemetry.connections import Trouble
from cki_notifier.telemetry.outcomes import Outcomes, Result
from cki_notifier.telemetry.unsettled import Unsettled
from cki_notifier.web.health import Health
from cki_notifier.web.metrics import Metrics
from cki_notifier.web.routes import PROBES, Routes
from cki_notifier.web.server import Server
from cki_notifier.web.status import Status
from tests.factories.environment import environment, read
from tools.processes import free_port


@dataclass
class Scene:
    """What the website tells of, to be changed at will.

    Attributes:
        kafka: why Kafka does not answer, ``""`` when it does.
        waiting: how much waits by queue.
    """

    config: Config = field(default_factory=lambda: read(environment()))
    outcomes: Outcomes = field(default_factory=Outcomes)
    unsettled: Unsettled = field(default_factory=Unsettled)
    liveness: Liveness = field(default_factory=Liveness)
    kafka: str = ""
    waiting: dict[str, int] = field(
        default_factory=lambda: {"main": 0, "delay": 0, "dead-letter": 0}
    )

    def __post_init__(self) -> None:
        """Begin with a process that consumes."""
        self.liveness.missing = ""

    def settle(
        self,
        checkout_id: str = "redhat:1",
        outcome: str = "sent",
        reason: str = "pre-test",
        *,
        status: str = "build_setups_finished",
        merge_request: str = "",
        error: str = "",
        seconds: float = 0.42,
    ) -> None:
        """Add an outcome."""
        result = Result(outcome=outcome, reason=reason, merge_request=merge_request, error=error)
        self.outcomes.add(Identity(checkout_id, status), result, seconds)

    def site(self) -> Routes:
        """Return a new site that tells of all this."""
        health = Health(self.liveness, self.check_kafka if self.config.sends else None)
        status = Status(self.config, health, self.outcomes, self.unsettled, self._counts)
        return Routes(health, Metrics(self._counts), status)

    def _counts(self) -> dict[str, int]:
        return self.waiting

    def check_kafka(self) -> None:
        """Raise what a publisher would."""
        if self.kafka:
            raise Unavailable("kafka", self.kafka)


@contextmanager
def served(scene: Scene, port: int = 0) -> Iterator[int]:
    """Serve a scene on a port of its own, or on the one given; yield it."""
    port = port or free_port()
    server = Server(port)
    server.start(scene.site().answer, PROBES)
    try:
        yield port
    finally:
        server.close()


@contextmanager
def answering(**services: bool) -> Iterator[None]:
    """Have services answer, or not, for as long as the context lasts; others are not known."""
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
    """Return what the metrics say of a connection: 1, 0, or None when they say nothing."""
    return metrics.REGISTRY.get_sample_value("cki_notifier_connected", {"dependency": service})
