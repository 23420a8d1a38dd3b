"""The scene of a fault: daemons, brokers and services, and proxies in between."""

import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

from tests.brokers.mock_kafka import TOPIC, MockCluster
from tests.brokers.stage import Stage
from tests.faults.readiness import Readiness
from tests.faults.stream import Stream
from tools.brokers.kafka import Kafka, Record
from tools.brokers.proxy import Proxy
from tools.brokers.rabbitmq import RabbitMQ
from tools.notifier import Notifier
from tools.processes import free_port
from tools.stand_ins import Services

#: Latency of DataWarehouse in seconds, so that notifications are always in flight.
LATENCY = 0.1
#: Notifications a second.
RATE = 50.0
NO_CHANGES: Mapping[str, str] = MappingProxyType({})
#: Records have the broker's time.
BROKERS_TIME = MappingProxyType({"message.timestamp.type": "LogAppendTime"})


class Brokers(NamedTuple):
    """Both brokers, and the proxies before them.

    Kafka advertises its proxy's address, so all clients use the proxy.
    """

    rabbitmq: RabbitMQ
    amqp_proxy: Proxy
    kafka: Kafka
    kafka_proxy: Proxy


@dataclass(kw_only=True)
class Run:
    """One or more daemons, not yet started, with a stream of notifications."""

    stage: Stage
    #: All consume one queue.
    daemons: list[Notifier]
    #: Their probes.
    readiness: Readiness
    stream: Stream
    #: For random choices of a fault; depends only on the seed.
    choice: random.Random
    #: When the fault was over, in seconds since 1970; None before.
    over_at: float | None = None
    #: The records of a deleted topic.
    kept: list[Record] = field(default_factory=list)

    @property
    def daemon(self) -> Notifier:
        """The only daemon, or the first one."""
        return self.daemons[0]

    @property
    def services(self) -> Services:
        """The services."""
        return self.stage.services

    def is_over(self) -> None:
        """Note that the brokers and services work again, if that is before the end of the fault."""
        self.over_at = self.over_at or time.time()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run and probe all daemons while the context lasts."""
        with ExitStack() as stack:
            stack.enter_context(self.readiness.watching())
            for daemon in self.daemons:
                stack.enter_context(daemon)
            yield

    def restart(self, daemon: Notifier | None = None) -> None:
        """Start a daemon again after its end, as a supervisor does at once."""
        self.is_over()
        (daemon or self.daemon).start()

    def stop(self) -> None:
        """Stop all daemons."""
        for daemon in self.daemons:
            assert daemon.stop() == 0, "SIGTERM ends it with exit code 0"

    def lines(self) -> list[dict[str, Any]]:
        """Return what the daemons logged, one after the other."""
        return [line for daemon in self.daemons for line in daemon.lines()]

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Publish nothing while the context lasts."""
        self.stream.pause()
        try:
            yield
        finally:
            self.stream.resume()


@dataclass(kw_only=True)
class Scene(Run):
    """A run with one RabbitMQ and one Kafka, both behind proxies."""

    brokers: Brokers
    #: Replaces Kafka for faults that a real one can't have on demand.
    mock: MockCluster | None = None

    @property
    def kafka(self) -> Kafka:
        """The real Kafka, also if the mock is in use."""
        return self.brokers.kafka

    @property
    def kafka_proxy(self) -> Proxy:
        """The proxy before Kafka."""
        return self.brokers.kafka_proxy

    @property
    def amqp_proxy(self) -> Proxy:
        """The proxy before RabbitMQ."""
        return self.brokers.amqp_proxy


def prepare_daemons(
    environments: Iterable[Mapping[str, str]], folder: Path, *, waits: bool = True
) -> tuple[list[Notifier], Readiness]:
    """Return daemons, not yet started, and their probes.

    Args:
        environments: of the daemons; each gets an HTTP port if it has none.
        folder: for their logs.
        waits: whether the start of a daemon waits until it consumes.
    """
    whole = [
        {"CKI_METRICS_ENABLED": "true", "CKI_METRICS_PORT": str(free_port()), **each}
        for each in environments
    ]
    daemons = [
        Notifier(folder / f"notifier-{number}", environment, waits=waits)
        for number, environment in enumerate(whole, start=1)
    ]
    return daemons, Readiness([int(each["CKI_METRICS_PORT"]) for each in whole])


#: A scene as a context.
SceneToBe: TypeAlias = AbstractContextManager[Scene]


@contextmanager
def opened(
    brokers: Brokers,
    services: Services,
    folder: Path,
    *,
    seed: int,
    settings: Mapping[str, str] = NO_CHANGES,
    mocked: bool = False,
    waits: bool = True,
    processes: int = 1,
    apart: bool = False,
    rate: float = RATE,
) -> Iterator[Scene]:
    """Set a scene: an exchange, a topic, daemons and a stream for them.

    Args:
        brokers: are shared.
        services: are the scene's own.
        folder: for the daemons' logs.
        seed: of the stream and the fault.
        settings: changes to the daemons' environment.
        mocked: whether a mock replaces Kafka.
        waits: whether the start of a daemon waits until it consumes.
        processes: the number of daemons.
        apart: whether only the first one connects to RabbitMQ through the proxy.
        rate: notifications a second.
    """
    with ExitStack() as stack:
        mock = stack.enter_context(closing(MockCluster())) if mocked else None
        bootstrap = mock.address if mock else brokers.kafka.bootstrap
        stage = stack.enter_context(Stage(brokers.rabbitmq, bootstrap, services, folder))
        if mock:
            stage.topic = TOPIC
        else:
            brokers.kafka.create_topic(stage.topic, config=BROKERS_TIME)
        services.warehouse.latency = LATENCY
        environment = stage.environment | {
            "CKI_LOGGING_LEVEL": "INFO",
            "KAFKA_TOPIC": stage.topic,
        }
        ports = [brokers.rabbitmq.port if apart else brokers.amqp_proxy.port] * processes
        ports[0] = brokers.amqp_proxy.port
        daemons, readiness = prepare_daemons(
            [environment | {"RABBITMQ_PORT": str(port)} | dict(settings) for port in ports],
            folder,
            waits=waits,
        )
        stream = Stream(brokers.rabbitmq, stage.exchange, services, seed=seed, rate=rate)
        choice = random.Random(seed)  # noqa: S311  # not for secrets
        yield Scene(
            stage=stage,
            daemons=daemons,
            readiness=readiness,
            stream=stream,
            choice=choice,
            brokers=brokers,
            mock=mock,
        )


def nothing(_run: Run) -> None:
    """Do nothing."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault with its repair.

    `strike` breaks something in the run it gets, and returns after the repair. `prepare` runs
    before the daemons start. `settings` are changes to their environment.
    """

    edge: str
    name: str
    strike: Callable[[Any], None]
    prepare: Callable[[Any], None] = nothing
    settings: Mapping[str, str] = field(default_factory=dict)
    #: Counts the daemon's tries so far, if they can be seen.
    tries: Callable[[Any], int] | None = None
    #: Whether it is part of every test run.
    short: bool = False
    #: Whether it needs the mock in place of Kafka.
    mock: bool = False
    #: Whether RabbitMQ may turn notifications into dead letters.
    gives_up: bool = False
    #: Whether it may be part of a sequence: it is short, and destroys nothing.
    swift: bool = True
    #: The number of processes that consume the queue.
    processes: int = 1
    #: Whether only the first one connects to RabbitMQ through the proxy.
    apart: bool = False
    #: How many messages may be duplicates; docs/reliability.md names these faults.
    doubles: int = 0
    #: Timeout for all notifications, in seconds after the fault.
    patience: float = 60.0

    @property
    def id(self) -> str:
        """The name in pytest and in the table."""
        return f"{self.edge}: {self.name}"
