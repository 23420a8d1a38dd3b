"""Kafka on 127.0.0.1: a real broker of one node, a mock of a cluster, and readers of topics."""

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

#: The longest wait for a message before the clock is looked at.
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


class Topic:
    """A topic on any server; `settings` are librdkafka's, and lead there.

    All methods raise `KafkaException` when the server can't be reached, or refuses.
    """

    def __init__(self, name: str, settings: Mapping[str, Any]) -> None:
        self.name = name
        self.settings = dict(settings)

    @cached_property
    def _admin(self) -> AdminClient:
        return AdminClient(self.settings)

    def partitions(self) -> list[int]:
        """Return the partitions that have a leader; none when there is no such topic."""
        return _partitions(self._admin, self.name, _REQUEST_SECONDS)

    def create(
        self, partitions: int = -1, replicas: int = -1, config: Mapping[str, str] = NO_SETTINGS
    ) -> None:
        """Create it, with the server's own number for -1."""
        topic = NewTopic(self.name, partitions, replicas, config=dict(config))
        self._admin.create_topics([topic])[self.name].result(timeout=_REQUEST_SECONDS)

    def wait(self, partitions: int = 1) -> None:
        """Return when so many of its partitions can be written."""
        wait_until(lambda: len(self.partitions()) >= partitions, what=f"the topic {self.name}")

    def delete(self) -> None:
        """Delete it, and return when it is gone."""
        self._admin.delete_topics([self.name])[self.name].result(timeout=_REQUEST_SECONDS)
        wait_until(lambda: not self.partitions(), what=f"the topic {self.name}")


class Reader:
    """Reads all partitions of a topic, from the beginning or what comes from now on.

    The topic may come into being later, and the broker may come and go meanwhile. Nothing is
    committed and no group is joined, so any number of readers see everything. Within a partition,
    messages are in order.
    """

    def __init__(self, topic: Topic, *, from_the_beginning: bool = True) -> None:
        self._topic = topic
        self._consumer = Consumer(
            {
                **topic.settings,
                "group.id": "sandbox",  # has to be set, though nothing of the group is used
                "enable.auto.commit": False,
                "fetch.wait.max.ms": 50,
                "reconnect.backoff.max.ms": 200,
            }
        )
        #: The last error, after which librdkafka tries again by itself.
        self.trouble = ""
        if not from_the_beginning:
            # The end has to be known now: `OFFSET_END` is looked up when the reading begins.
            self._assign(_REQUEST_SECONDS, self._end)

    def poll(self, seconds: float) -> Record | None:
        """Wait for the next message, None when there is none in time."""
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
        """Return the offset that the next message gets; raises TimeoutError when it's not told."""
        offsets = self._consumer.get_watermark_offsets(partition, timeout=_REQUEST_SECONDS)
        if offsets is None:
            raise TimeoutError(f"Kafka did not tell the end of {partition.topic} in time")
        return int(offsets[1])


def read_topic(
    bootstrap: str, topic: str, *, seconds: float, until: Callable[[list[Record]], bool]
) -> list[Record]:
    """Read all partitions from the beginning until `until` says True of what was read so far.

    It is asked after each message. When it never says True in `seconds`, what was read in that time
    is returned, so the caller still has to look.
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
    # Of all topics: asked for one alone, a server may make it.
    found = client.list_topics(timeout=seconds).topics.get(topic)
    partitions = found.partitions.values() if found else ()
    return sorted(each.id for each in partitions if each.leader != -1)


def _settings(bootstrap: str) -> dict[str, Any]:
    return {"bootstrap.servers": bootstrap, "log_level": 0}


def _text(value: bytes | str | None) -> str:
    return value.decode() if isinstance(value, bytes) else value or ""


class Topics:
    """The topics of a Kafka, and who may do what with them."""

    bootstrap: str
    #: How many brokers keep what is in a topic.
    replicas = 1

    def brokers(self) -> list[int]:
        """Return the ids of the brokers that the cluster counts on now; none without an answer."""
        with contextlib.suppress(KafkaException):
            admin = AdminClient(_settings(self.bootstrap))
            return list(admin.list_topics(timeout=_PROBE_SECONDS).brokers)
        return []

    def create_topic(
        self, name: str, partitions: int = 3, config: Mapping[str, str] = NO_SETTINGS
    ) -> None:
        """Create a topic and return when all its partitions can be written."""
        topic = Topic(name, _settings(self.bootstrap))
        topic.create(partitions, self.replicas, config)
        topic.wait(partitions)

    def delete_topic(self, name: str) -> None:
        """Delete a topic and return when it is gone."""
        Topic(name, _settings(self.bootstrap)).delete()

    def allow(self, user: str, operation: AclOperation, topic: str) -> None:
        """Let one of the `users` do something with a topic, which need not be there yet."""
        pattern, permission = ResourcePatternType.LITERAL, AclPermissionType.ALLOW
        who = (f"User:{user}", "*")
        rule = AclBinding(ResourceType.TOPIC, topic, pattern, *who, operation, permission)
        admin = AdminClient(_settings(self.bootstrap))
        admin.create_acls([rule])[rule].result(timeout=_REQUEST_SECONDS)


class Kafka(Topics, Process):
    """A Kafka broker, a controller as well, with everything it keeps in `folder`.

    Its libraries are those that `scripts/setup.sh` fetches. `settings` are broker settings on top
    of those here, or instead of them. The port and the data stay the same over restarts. A topic is
    there only once it was created.

    With `users`, their passwords by name, there is a second listener, `sasl_bootstrap`, where they
    log in (SASL_PLAINTEXT, PLAIN) and may do what `allow` allowed, and nothing else. In a cluster
    it is one of the `controllers`, whose ports are given by their ids.
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
        # Another Java needs another archive.
        state = f"{self._program} {self._program.stat().st_mtime_ns}"
        digest = hashlib.sha256(state.encode()).hexdigest()[:12]
        self._archive = _JARS / f"classes-{digest}.jsa"
        self._new_archive = _JARS / f".classes-{os.getpid()}-{self.port}.jsa"
        super().__init__(
            f"Kafka's broker {node}",
            self._java("kafka.Kafka", self._settings),
            log=self.folder / "kafka.log",
            # It answers and has registered with its controller.
            ready=lambda: listens(self.port) and bool(self.brokers()),
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
        share = []
        if self._archive.exists():
            share = [f"-XX:SharedArchiveFile={self._archive}"]
        elif archive and os.access(_JARS, os.W_OK):
            share = [f"-XX:ArchiveClassesAtExit={self._new_archive}"]
        # In a fixed order: an archive is good for one class path only.
        libraries = ":".join(map(str, sorted(_JARS.glob("*.jar"))))
        return [str(self._program), *_JVM, *share, "-cp", libraries, main, *map(str, arguments)]


class MockKafka:
    """librdkafka's mock of a Kafka cluster, which lives in this process until it is closed.

    Other processes reach it at `bootstrap`. It takes what a producer sends, idempotence included,
    and hands it out again, but it checks and limits nothing, and nobody can administer it: a topic
    comes into being, with 4 partitions, when it is first asked for.
    """

    def __init__(self) -> None:
        self._owner = Producer({"test.mock.num.brokers": 1, "log_level": 0})
        (broker,) = self._owner.list_topics(timeout=_REQUEST_SECONDS).brokers.values()
        self.bootstrap = f"{broker.host}:{broker.port}"

    def create_topic(self, name: str) -> None:
        """Ask for a topic."""
        self._owner.list_topics(name, timeout=_REQUEST_SECONDS)

    def close(self) -> None:
        """End the mock, which ends with the producer that holds it."""
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
        # Who leads changes when a test has it change.
        "auto.leader.rebalance.enable": "false",
        # After a kill, the controller refuses the new broker while the old one may still live.
        "broker.session.timeout.ms": "2000",
        "broker.heartbeat.interval.ms": "250",
        # Its default is half of the heap.
        "log.cleaner.dedupe.buffer.size": "4194304",
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
