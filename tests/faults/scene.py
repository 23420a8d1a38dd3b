"""What a fault has in its reach: daemons, all that they talk to, and proxies in between."""

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

#: An answer takes so long, so that something is in flight at every moment, in seconds.
LATENCY = 0.1
#: Notifications a second.
RATE = 50.0
NO_CHANGES: Mapping[str, str] = MappingProxyType({})
#: Records have the time at which the broker wrote them.
BROKERS_TIME = MappingProxyType({"message.timestamp.type": "LogAppendTime"})


class Brokers(NamedTuple):
    """Both brokers, and the proxies by which the daemon reaches them.

    Kafka names no address but its proxy's, so everybody reaches it there.
    """

    rabbitmq: RabbitMQ
    amqp_proxy: Proxy
    kafka: Kafka
    kafka_proxy: Proxy


@dataclass(kw_only=True)
class Run:
    """One daemon, or several, with a stream of notifications.

    None is started yet.
    """

    stage: Stage
    #: All of one queue.
    daemons: list[Notifier]
    #: What they say of themselves.
    readiness: Readiness
    stream: Stream
    #: What is random about a fault depends on the seed alone.
    choice: random.Random
    #: When the fault was over, in seconds since 1970; None while it is not.
    over_at: float | None = None
    #: What was in the topic before the topic was deleted.
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
        """Note that everything outside works again, where that is before the end of the fault."""
        self.over_at = self.over_at or time.time()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Have all daemons run, and ask them how they are, while the context lasts."""
        with ExitStack() as stack:
            stack.enter_context(self.readiness.watching())
            for daemon in self.daemons:
                stack.enter_context(daemon)
            yield

    def restart(self, daemon: Notifier | None = None) -> None:
        """Start a daemon again, once it has ended, as whoever watches over it does at once."""
        self.is_over()
        (daemon or self.daemon).start()

    def stop(self) -> None:
        """End all daemons."""
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
    #: Stands in for Kafka where a real one can't be made to fail in some way.
    mock: MockCluster | None = None

    @property
    def kafka(self) -> Kafka:
        """The real one, whether it is in use or not."""
        return self.brokers.kafka

    @property
    def kafka_proxy(self) -> Proxy:
        """The way to it."""
        return self.brokers.kafka_proxy

    @property
    def amqp_proxy(self) -> Proxy:
        """The daemons' way to RabbitMQ."""
        return self.brokers.amqp_proxy


def prepare_daemons(
    environments: Iterable[Mapping[str, str]], folder: Path, *, waits: bool = True
) -> tuple[list[Notifier], Readiness]:
    """Return daemons that are not started yet, and what asks them how they are.

    Args:
        environments: of each, to which its HTTP port is added if there is none.
        folder: for their logs.
        waits: whether a daemon counts as started when it says that it consumes; else at once.
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
        seed: of the stream, and of what is random about the fault.
        settings: changes to the daemons' environment.
        mocked: whether a mock takes the place of Kafka.
        waits: whether a daemon counts as started when it says that it consumes; else at once.
        processes: so many daemons.
        apart: whether all but the first go to RabbitMQ without the proxy.
        rate: so many notifications a second.
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
    """Something that breaks, and is repaired.

    `strike` breaks it and returns when it is repaired; it is given the run, of the kind that has
    what it breaks. `prepare` is called before the daemons start. `settings` are changes to their
    environment.
    """

    edge: str
    name: str
    strike: Callable[[Any], None]
    prepare: Callable[[Any], None] = nothing
    settings: Mapping[str, str] = field(default_factory=dict)
    #: Counts what the daemon tried at the edge so far, if that can be seen.
    tries: Callable[[Any], int] | None = None
    #: Whether it is part of every test run.
    short: bool = False
    #: Whether it needs the mock in place of Kafka.
    mock: bool = False
    #: Whether RabbitMQ may give notifications up, which then are dead letters.
    gives_up: bool = False
    #: Whether it may be one of a sequence: it is soon over, and nothing is destroyed by it.
    swift: bool = True
    #: So many processes consume the queue.
    processes: int = 1
    #: Whether all but the first go to RabbitMQ without the proxy.
    apart: bool = False
    #: So many messages may be in the topic twice, which is to be documented.
    doubles: int = 0
    #: By then, in seconds after the fault, everything has to be where it belongs.
    patience: float = 60.0

    @property
    def id(self) -> str:
        """What pytest calls it."""
        return f"{self.edge}: {self.name}"
