"""Kafka on 127.0.0.1: a real broker, a mock of a cluster, and readers of topics."""

import base64
import contextlib
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaException,
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

#: Where `scripts/setup.sh` puts Kafka's libraries.
_JARS = PROJECT / ".cache" / "kafka"

#: The default of parameters for settings.
NO_SETTINGS: Mapping[str, str] = MappingProxyType({})

#: 16 bytes in URL-safe base64 without padding, as Kafka requires. All our clusters share it.
_CLUSTER = base64.urlsafe_b64encode(b"sandbox-of-tests").decode().rstrip("=")

#: A small heap, and a JVM that starts fast instead of one with a high peak speed.
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

#: Timeout for formatting the data folder.
_FORMAT_SECONDS = 30.0

#: Timeout for one request to a broker.
_REQUEST_SECONDS = 10.0

#: Timeout for a request that is repeated without an answer.
_PROBE_SECONDS = 1.0

#: The longest wait for a message between two looks at the clock.
_POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Record:
    """A message as a consumer sees it; a missing key, value or header value is empty."""

    key: str
    value: bytes
    headers: dict[str, str]
    partition: int
    offset: int
    #: When it was written, in milliseconds since 1970.
    timestamp_ms: int


class Topic:
    """A topic on any server; `settings` are librdkafka's for a connection.

    All methods raise `KafkaException` if the server can't be reached, or refuses.
    """

    def __init__(self, name: str, settings: Mapping[str, Any]) -> None:
        self.name = name
        self.settings = dict(settings)

    @cached_property
    def _admin(self) -> AdminClient:
        return AdminClient(self.settings)

    def partitions(self) -> list[int]:
        """Return the partitions with a leader; none if the topic is missing."""
        return _partitions(self._admin, self.name, _REQUEST_SECONDS)

    def create(
        self, partitions: int = -1, replicas: int = -1, config: Mapping[str, str] = NO_SETTINGS
    ) -> None:
        """Create it; -1 stands for the server's default."""
        topic = NewTopic(self.name, partitions, replicas, config=dict(config))
        self._admin.create_topics([topic])[self.name].result(timeout=_REQUEST_SECONDS)

    def wait(self, partitions: int = 1) -> None:
        """Return when this many of its partitions can be written."""
        wait_until(lambda: len(self.partitions()) >= partitions, what=f"the topic {self.name}")

    def delete(self) -> None:
        """Delete it; return when it is gone."""
        self._admin.delete_topics([self.name])[self.name].result(timeout=_REQUEST_SECONDS)
        wait_until(lambda: not self.partitions(), what=f"the topic {self.name}")


class Reader:
    """Reads all partitions of a topic, from the beginning or only new messages.

    The topic may appear later, and the broker may stop and start meanwhile. A reader commits
    nothing and joins no group, so any number of readers see all messages. Messages of a partition
    are in order.
    """

    def __init__(self, topic: Topic, *, from_the_beginning: bool = True) -> None:
        self._topic = topic
        self._consumer = Consumer(
            {
                **topic.settings,
                "group.id": "sandbox",  # required, though the reader joins no group
                "enable.auto.commit": False,
                "fetch.wait.max.ms": 50,
                "reconnect.backoff.max.ms": 200,
            }
        )
        #: The last error; librdkafka retries by itself.
        self.trouble = ""
        if not from_the_beginning:
            # Find the end now: librdkafka resolves `OFFSET_END` only when it starts to read.
            self._assign(_REQUEST_SECONDS, self._end)

    def poll(self, seconds: float) -> Record | None:
        """Wait for the next message; return None at the timeout."""
        if not self._consumer.assignment():
            with contextlib.suppress(KafkaException):
                self._assign(_PROBE_SECONDS, lambda _: OFFSET_BEGINNING)
        message = self._consumer.poll(seconds)
        if message is None:
            return None
        if error := message.error():
            self.trouble = error.str()
            return None
        headers: Any = message.headers() or []
        return Record(
            key=_text(message.key()),
            value=message.value() or b"",
            headers={name: _text(value) for name, value in headers},
            partition=message.partition() or 0,
            offset=message.offset() or 0,
            timestamp_ms=message.timestamp()[1],
        )

    def close(self) -> None:
        """Stop reading."""
        self._consumer.close()

    def _assign(self, seconds: float, offset: Callable[[TopicPartition], int]) -> None:
        name = self._topic.name
        found = [TopicPartition(name, it) for it in _partitions(self._consumer, name, seconds)]
        for partition in found:
            partition.offset = offset(partition)
        self._consumer.assign(found)

    def _end(self, partition: TopicPartition) -> int:
        """Return the offset of the next message; raise TimeoutError without an answer."""
        offsets = self._consumer.get_watermark_offsets(partition, timeout=_REQUEST_SECONDS)
        if offsets is None:
            raise TimeoutError(f"Kafka did not return the end of {partition.topic} in time")
        return int(offsets[1])


def read_topic(
    bootstrap: str, topic: str, *, seconds: float, until: Callable[[list[Record]], bool]
) -> list[Record]:
    """Read all partitions from the beginning until `until` returns True for the records so far.

    Also returns after `seconds`, so the caller has to check the result.
    """
    records: list[Record] = []
    deadline = time.monotonic() + seconds
    with contextlib.closing(Reader(Topic(topic, _settings(bootstrap)))) as reader:
        while time.monotonic() < deadline:
            if (record := reader.poll(_POLL_SECONDS)) is not None:
                records.append(record)
                if until(records):
                    break
    return records


def _partitions(client: AdminClient | Consumer, topic: str, seconds: float) -> list[int]:
    # Metadata of all topics: a request for one topic may create it.
    found = client.list_topics(timeout=seconds).topics.get(topic)
    partitions = found.partitions.values() if found else ()
    return sorted(each.id for each in partitions if each.leader != -1)


def _settings(bootstrap: str) -> dict[str, Any]:
    return {"bootstrap.servers": bootstrap, "log_level": 0}


def _text(value: bytes | str | None) -> str:
    return value.decode() if isinstance(value, bytes) else value or ""


class Topics:
    """The topics of a Kafka, and the rights to them."""

    bootstrap: str
    #: The number of replicas of a topic.
    replicas = 1

    def brokers(self) -> list[int]:
        """Return the ids of the brokers in the cluster; none without an answer."""
        with contextlib.suppress(KafkaException):
            admin = AdminClient(_settings(self.bootstrap))
            return list(admin.list_topics(timeout=_PROBE_SECONDS).brokers)
        return []

    def create_topic(
        self, name: str, partitions: int = 3, config: Mapping[str, str] = NO_SETTINGS
    ) -> None:
        """Create a topic; return when all its partitions can be written."""
        topic = Topic(name, _settings(self.bootstrap))
        topic.create(partitions, self.replicas, config)
        topic.wait(partitions)

    def delete_topic(self, name: str) -> None:
        """Delete a topic; return when it is gone."""
        Topic(name, _settings(self.bootstrap)).delete()

    def allow(self, user: str, operation: AclOperation, topic: str) -> None:
        """Allow one of the `users` an operation on a topic, which may be missing."""
        pattern, permission = ResourcePatternType.LITERAL, AclPermissionType.ALLOW
        who = (f"User:{user}", "*")
        rule = AclBinding(ResourceType.TOPIC, topic, pattern, *who, operation, permission)
        admin = AdminClient(_settings(self.bootstrap))
        admin.create_acls([rule])[rule].result(timeout=_REQUEST_SECONDS)


class Kafka(Topics, Process):
    """A Kafka broker, also a controller, with all its files in `folder`.

    `scripts/setup.sh` fetches its libraries. `settings` add to the broker settings here, or replace
    them. The port and the data survive a restart. Topics are not created automatically.

    `users` are passwords by user name. With users, a second listener is at `sasl_bootstrap`. Users
    log in there (SASL_PLAINTEXT, PLAIN), and only `allow` gives them rights. In a cluster,
    `controllers` holds the ports of all controllers, by their ids.
    """

    host = "127.0.0.1"

    def __init__(
        self,
        folder: Path,
        *,
        settings: Mapping[str, str] = NO_SETTINGS,
        users: Mapping[str, str] = NO_SETTINGS,
        node: int = 1,
        controllers: Mapping[int, int] | None = None,
    ) -> None:
        self.port = free_port()
        self.bootstrap = f"{self.host}:{self.port}"
        listeners = {"PLAINTEXT": self.bootstrap}
        if users:
            self.sasl_bootstrap = f"{self.host}:{free_port()}"
            listeners["SASL_PLAINTEXT"] = self.sasl_bootstrap
        self.folder = folder.absolute()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._data = self.folder / "data"
        self._settings = self.folder / "server.properties"
        properties = {
            **_properties(node, controllers or {node: free_port()}, listeners),
            "log.dirs": str(self._data),
            **(_sasl(users) if users else {}),
            **settings,
        }
        self._settings.write_text("".join(f"{name}={properties[name]}\n" for name in properties))
        if (java := shutil.which("java")) is None:
            raise ProcessError("Kafka needs Java 17 or newer, and there is no java in PATH")
        self._program = Path(java).resolve()
        # Each Java version needs its own archive.
        state = f"{self._program} {self._program.stat().st_mtime_ns}"
        digest = hashlib.sha256(state.encode()).hexdigest()[:12]
        self._archive = _JARS / f"classes-{digest}.jsa"
        self._new_archive = _JARS / f".classes-{os.getpid()}-{self.port}.jsa"
        super().__init__(
            f"Kafka's broker {node}",
            self._java("kafka.Kafka", self._settings),
            log=self.folder / "kafka.log",
            # The broker answers, and has registered with its controller.
            ready=lambda: listens(self.port) and bool(self.brokers()),
            environment={"PATH": os.defpath, "LANG": "C.UTF-8"},
            folder=self.folder,
        )

    def start(self) -> None:
        """Start the broker; return when it answers. The first start formats the data folder."""
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
        """Stop the broker as `Process.stop` does; the very first stop takes seconds longer."""
        code = super().stop(seconds=seconds)
        if self._new_archive.exists():
            self._new_archive.replace(self._archive)
        return code

    def _java(self, main: str, *arguments: str | Path, archive: bool = False) -> list[str]:
        """Return the command that runs this class.

        With a class data archive, a JVM starts Kafka in half the time. The first broker that stops
        writes one beside the libraries.
        """
        share = []
        if self._archive.exists():
            share = [f"-XX:SharedArchiveFile={self._archive}"]
        elif archive and os.access(_JARS, os.W_OK):
            share = [f"-XX:ArchiveClassesAtExit={self._new_archive}"]
        # In a fixed order: an archive fits only one class path.
        libraries = ":".join(map(str, sorted(_JARS.glob("*.jar"))))
        return [str(self._program), *_JVM, *share, "-cp", libraries, main, *map(str, arguments)]


class MockKafka:
    """librdkafka's mock of a Kafka cluster, in this process.

    Other processes reach it at `bootstrap`. It stores and returns records, also from an idempotent
    producer, without checks and limits. It has no administration. The first request for a topic
    creates it, with 4 partitions.
    """

    def __init__(self) -> None:
        self._owner = Producer({"test.mock.num.brokers": 1, "log_level": 0})
        (broker,) = self._owner.list_topics(timeout=_REQUEST_SECONDS).brokers.values()
        self.bootstrap = f"{broker.host}:{broker.port}"

    def create_topic(self, name: str) -> None:
        """Create a topic, by a request for it."""
        self._owner.list_topics(name, timeout=_REQUEST_SECONDS)

    def close(self) -> None:
        """End the mock, together with the producer that holds it."""
        del self._owner


def _properties(
    node: int, controllers: Mapping[int, int], listeners: Mapping[str, str]
) -> dict[str, str]:
    """Return the settings of a broker with these listeners for clients, an address by its kind."""
    clients = [f"{kind}://{address}" for kind, address in listeners.items()]
    voters = [f"{each}@{Kafka.host}:{port}" for each, port in controllers.items()]
    return {
        "node.id": str(node),
        "process.roles": "broker,controller",
        "controller.listener.names": "CONTROLLER",
        "controller.quorum.voters": ",".join(voters),
        "listeners": ",".join([*clients, f"CONTROLLER://{Kafka.host}:{controllers[node]}"]),
        "advertised.listeners": ",".join(clients),
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,"
        "SASL_PLAINTEXT:SASL_PLAINTEXT",
        "inter.broker.listener.name": "PLAINTEXT",
        "auto.create.topics.enable": "false",
        "offsets.topic.num.partitions": "1",
        "offsets.topic.replication.factor": "1",
        "group.initial.rebalance.delay.ms": "0",
        # Leaders change only when a test changes them.
        "auto.leader.rebalance.enable": "false",
        # After a kill, the controller refuses the new broker while the old one may still live.
        "broker.session.timeout.ms": "2000",
        "broker.heartbeat.interval.ms": "250",
        # Its default is half of the heap.
        "log.cleaner.dedupe.buffer.size": "4194304",
    }


def _sasl(users: Mapping[str, str]) -> dict[str, str]:
    """Return the settings for the login of users. Clients without login may do everything."""
    entries = " ".join(f'user_{name}="{password}"' for name, password in users.items())
    module = "org.apache.kafka.common.security.plain.PlainLoginModule"
    return {
        "sasl.enabled.mechanisms": "PLAIN",
        "listener.name.sasl_plaintext.plain.sasl.jaas.config": f"{module} required {entries};",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
    }
