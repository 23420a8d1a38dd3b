"""Kafka on 127.0.0.1: a real broker of one node, a mock of a cluster, and readers of topics."""

import base64
import contextlib
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Self

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # it has no list of its names
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)
from confluent_kafka.cimpl import NewTopic

from tools import PROJECT
from tools.processes import Process, ProcessError, free_port, listens, run, wait_until

_HOST = "127.0.0.1"

#: Where `scripts/setup.sh` puts Kafka's libraries.
_JARS = PROJECT / ".cache" / "kafka"

#: No settings: the default of parameters that take some.
NO_SETTINGS: Mapping[str, str] = MappingProxyType({})

#: Kafka wants 16 bytes in URL-safe base64 without padding. Nothing tells our clusters apart by it.
_CLUSTER = base64.urlsafe_b64encode(b"sandbox-of-tests").decode().rstrip("=")

#: A small heap, and a JVM that starts fast rather than one that gets fast after a while.
_JVM = (
    "-Xmx256m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",
    "-Xshare:auto",
    "-Xlog:disable",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
)

#: How long formatting the data folder may take.
_FORMAT_SECONDS = 30.0

#: How long one request to a broker may take.
_REQUEST_SECONDS = 10.0

#: How long a question may take that is asked again when there is no answer.
_PROBE_SECONDS = 1.0

#: Pause between two looks at the metadata, and the longest wait for a message before the clock is
#: looked at.
_POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Record:
    """What a consumer sees of a message; a missing key, value or header value is empty."""

    key: str
    value: bytes
    headers: dict[str, str]
    partition: int
    offset: int
    #: When it was written, in milliseconds since 1970.
    timestamp_ms: int


@dataclass(frozen=True)
class Seat:
    """A broker's place, alone or in a cluster: its id, and each controller's port by its id."""

    node: int
    controllers: Mapping[int, int]


class Topics:
    """The topics of a Kafka, and who may do what with them."""

    bootstrap: str
    #: How many brokers keep what is in a topic.
    replicas = 1

    def brokers(self) -> list[int]:
        """Return the ids of the brokers that the cluster counts on now; none without an answer."""
        with contextlib.suppress(KafkaException):
            return list(_admin(self.bootstrap).list_topics(timeout=_PROBE_SECONDS).brokers)
        return []

    def create_topic(
        self, name: str, partitions: int = 3, config: Mapping[str, str] = NO_SETTINGS
    ) -> None:
        """Create a topic and return when all its partitions can be written.

        Raises `KafkaException` when the broker refuses.
        """
        admin = _admin(self.bootstrap)
        topic = NewTopic(name, partitions, replication_factor=self.replicas, config=dict(config))
        admin.create_topics([topic])[name].result(timeout=_REQUEST_SECONDS)
        wait_until(lambda: len(_partitions(admin, name)) == partitions)

    def delete_topic(self, name: str) -> None:
        """Delete a topic and return when it is gone; raises `KafkaException` when refused."""
        admin = _admin(self.bootstrap)
        admin.delete_topics([name])[name].result(timeout=_REQUEST_SECONDS)
        wait_until(lambda: name not in admin.list_topics(timeout=_PROBE_SECONDS).topics)

    def allow(self, user: str, operation: AclOperation, topic: str) -> None:
        """Let one of the `users` do something with a topic, which need not be there yet."""
        rule = AclBinding(
            ResourceType.TOPIC,
            topic,
            ResourcePatternType.LITERAL,
            f"User:{user}",
            "*",
            operation,
            AclPermissionType.ALLOW,
        )
        admin = _admin(self.bootstrap)
        admin.create_acls([rule])[rule].result(timeout=_REQUEST_SECONDS)


class Kafka(Topics, Process):
    """A Kafka broker, a controller as well, with everything it keeps in `folder`.

    Its libraries are those that `scripts/setup.sh` fetches. `settings` are broker settings on top
    of those here, or instead of them. The port and the data stay the same over restarts. A topic is
    there only once it was created.

    With `users`, their passwords by name, there is a second listener, `sasl_bootstrap`, where they
    log in (SASL_PLAINTEXT, PLAIN) and may do what `allow` allowed, and nothing else. `seat` is its
    place in a cluster.
    """

    def __init__(
        self,
        folder: Path,
        *,
        settings: Mapping[str, str] = NO_SETTINGS,
        users: Mapping[str, str] = NO_SETTINGS,
        seat: Seat | None = None,
    ) -> None:
        """Choose the ports and write the configuration; `folder` is made when it is missing."""
        self.port = free_port()
        self.bootstrap = f"{_HOST}:{self.port}"
        seat = seat or Seat(1, {1: free_port()})
        controller_port = seat.controllers[seat.node]
        listeners = _listeners(self.port, controller_port)
        if users:
            sasl_port = free_port()
            self.sasl_bootstrap = f"{_HOST}:{sasl_port}"
            listeners = _listeners(self.port, controller_port, sasl_port) | _sasl(users)
        self.folder = folder.absolute()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._data = self.folder / "data"
        self._settings = self.folder / "server.properties"
        properties = _properties(seat, self._data) | listeners | dict(settings)
        self._settings.write_text("".join(f"{name}={properties[name]}\n" for name in properties))
        self._jars = _JARS
        self._program = _find_java()
        self._archive = self._jars / f"classes-{_digest(self._program)}.jsa"
        self._new_archive = self._jars / f".classes-{os.getpid()}-{self.port}.jsa"
        super().__init__(
            f"Kafka's broker {seat.node}",
            self._java("kafka.Kafka", self._settings),
            log=self.folder / "kafka.log",
            ready=self._is_ready,
            environment={"PATH": os.defpath, "LANG": "C.UTF-8"},
            folder=self.folder,
        )

    def start(self) -> None:
        """Start the broker and return when it answers; the first time, format the data folder."""
        if not (self._data / "meta.properties").exists():
            format_data = ("format", "--cluster-id", _CLUSTER, "--config", self._settings)
            run(
                "formatting Kafka's data folder",
                self._java("kafka.tools.StorageTool", *format_data),
                environment={"PATH": os.defpath},
                folder=self.folder,
                seconds=_FORMAT_SECONDS,
            )
        self.command = self._java("kafka.Kafka", self._settings, archive=True)
        super().start()

    def stop(self, *, seconds: float = 30) -> int | None:
        """Stop the broker as `Process.stop` does; the first one ever takes seconds longer."""
        code = super().stop(seconds=seconds)
        if self._new_archive.exists():
            self._new_archive.replace(self._archive)
        return code

    def _java(self, main: str, *arguments: str | Path, archive: bool = False) -> list[str]:
        """Return the command that runs this class.

        A JVM starts a Kafka in half the time from an archive of classes in the form in which it
        holds them. So the first broker that is stopped leaves one beside the libraries.
        """
        if self._archive.exists():
            share = [f"-XX:SharedArchiveFile={self._archive}"]
        elif archive and os.access(self._jars, os.W_OK):
            share = [f"-XX:ArchiveClassesAtExit={self._new_archive}"]
        else:
            share = []
        # In a fixed order: an archive is good for one class path only.
        libraries = ":".join(map(str, sorted(self._jars.glob("*.jar"))))
        return [str(self._program), *_JVM, *share, "-cp", libraries, main, *map(str, arguments)]

    def _is_ready(self) -> bool:
        """Tell whether the broker answers and has registered with its controller."""
        return listens(self.port) and bool(self.brokers())


class MockKafka:
    """librdkafka's mock of a Kafka cluster, which lives in this process while the context is open.

    Other processes reach it at `bootstrap`. It takes what a producer sends, idempotence included,
    and hands it out again, but it checks and limits nothing, and nobody can administer it: a topic
    comes into being, with 4 partitions, when it is first asked for.
    """

    def __init__(self, brokers: int = 1) -> None:
        """Choose the number of brokers."""
        self._brokers = brokers
        self._owner: Producer | None = None
        self.bootstrap = ""

    def __enter__(self) -> Self:
        """Start the mock and set `bootstrap`."""
        self._owner = Producer({"test.mock.num.brokers": self._brokers, "log_level": 0})
        brokers = self._owner.list_topics(timeout=_REQUEST_SECONDS).brokers.values()
        self.bootstrap = ",".join(f"{broker.host}:{broker.port}" for broker in brokers)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the mock: it ends with the producer that holds it."""
        self._owner = None


def read_topic(
    bootstrap: str, topic: str, *, seconds: float, until: Callable[[list[Record]], bool]
) -> list[Record]:
    """Read all partitions from the beginning until `until` says True of what was read so far.

    It is asked after each message. When it never says True in `seconds`, what was read in that time
    is returned, so the caller still has to look. Within a partition, messages are in order.
    """
    records: list[Record] = []
    with contextlib.closing(stream_topic(bootstrap, topic, seconds=seconds)) as stream:
        for record in stream:
            records.append(record)
            if until(records):
                break
    return records


def stream_topic(bootstrap: str, topic: str, *, seconds: float) -> Generator[Record, None, None]:
    """Yield each message of all partitions as it comes, from the beginning, for `seconds`.

    The topic may come into being later, and the broker may come and go meanwhile. Nothing is
    committed and no group is joined, so any number of readers see everything.
    """
    deadline = time.monotonic() + seconds
    consumer = _consumer(bootstrap)
    try:
        partitions = _await_partitions(consumer, topic, deadline)
        consumer.assign([TopicPartition(topic, each, OFFSET_BEGINNING) for each in partitions])
        while time.monotonic() < deadline:
            message = consumer.poll(_POLL_SECONDS)
            # An error here says that the broker is away; librdkafka goes on trying by itself.
            if message is not None and not message.error():
                yield record_of(message)
    finally:
        consumer.close()


def _properties(seat: Seat, data: Path) -> dict[str, str]:
    """Return the settings of a broker, but for its listeners."""
    voters = [f"{node}@{_HOST}:{port}" for node, port in seat.controllers.items()]
    return {
        "node.id": str(seat.node),
        "process.roles": "broker,controller",
        "controller.listener.names": "CONTROLLER",
        "controller.quorum.voters": ",".join(voters),
        "log.dirs": str(data),
        "auto.create.topics.enable": "false",
        "offsets.topic.num.partitions": "1",
        "offsets.topic.replication.factor": "1",
        "group.initial.rebalance.delay.ms": "0",
        # Who leads changes when a test has it change.
        "auto.leader.rebalance.enable": "false",
        # After a kill, the controller refuses the new broker while the old one may still live.
        "broker.session.timeout.ms": "2000",
        "broker.heartbeat.interval.ms": "250",
        # Its default is half of the heap.
        "log.cleaner.dedupe.buffer.size": "4194304",
    }


def _listeners(port: int, controller_port: int, sasl_port: int = 0) -> dict[str, str]:
    """Return the settings of the listeners, the one with SASL only when it has a port."""
    clients = [f"PLAINTEXT://{_HOST}:{port}"]
    if sasl_port:
        clients.append(f"SASL_PLAINTEXT://{_HOST}:{sasl_port}")
    return {
        "listeners": ",".join([*clients, f"CONTROLLER://{_HOST}:{controller_port}"]),
        "advertised.listeners": ",".join(clients),
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,"
        "SASL_PLAINTEXT:SASL_PLAINTEXT",
        "inter.broker.listener.name": "PLAINTEXT",
    }


def _sasl(users: Mapping[str, str]) -> dict[str, str]:
    """Return the settings by which users log in; who needs not log in may do anything."""
    entries = " ".join(f'user_{name}="{password}"' for name, password in users.items())
    module = "org.apache.kafka.common.security.plain.PlainLoginModule"
    return {
        "sasl.enabled.mechanisms": "PLAIN",
        "listener.name.sasl_plaintext.plain.sasl.jaas.config": f"{module} required {entries};",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
    }


def _find_java() -> Path:
    java = shutil.which("java")
    if java is None:
        raise ProcessError("Kafka needs Java 17 or newer, and there is no java in PATH")
    return Path(java).resolve()


def _digest(java: Path) -> str:
    """Return what changes with another Java, which needs an archive of its own."""
    state = f"{java} {java.stat().st_mtime_ns}"
    return hashlib.sha256(state.encode()).hexdigest()[:12]


def _admin(bootstrap: str) -> AdminClient:
    return AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})


def _consumer(bootstrap: str) -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "sandbox",  # has to be set, though nothing of the group is used
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 50,
            "reconnect.backoff.max.ms": 200,
            "log_level": 0,
        }
    )


def _partitions(client: AdminClient | Consumer, topic: str) -> list[int]:
    """Return the partitions that have a leader; none for a topic that is not there."""
    metadata = client.list_topics(topic, timeout=_PROBE_SECONDS).topics[topic]
    return [each.id for each in metadata.partitions.values() if each.leader != -1]


def _await_partitions(consumer: Consumer, topic: str, deadline: float) -> list[int]:
    partitions: list[int] = []
    while not partitions and time.monotonic() < deadline:
        with contextlib.suppress(KafkaException):
            partitions = _partitions(consumer, topic)
        time.sleep(0 if partitions else _POLL_SECONDS)
    return partitions


def record_of(message: "Message[Any, Any]") -> Record:
    """Return what a consumer sees of a message."""
    headers: Any = message.headers() or []
    return Record(
        key=_text(message.key()),
        value=message.value() or b"",
        headers={name: _text(value) for name, value in headers},
        partition=message.partition() or 0,
        offset=message.offset() or 0,
        timestamp_ms=message.timestamp()[1],
    )


def _text(value: bytes | str | None) -> str:
    return value.decode() if isinstance(value, bytes) else value or ""
