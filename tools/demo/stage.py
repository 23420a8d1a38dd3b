"""Start everything for the demo, in order; the stack stops it."""

import contextlib
import json
import os
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

from confluent_kafka import KafkaException

from tools import PROJECT
from tools.brokers.clusters import KafkaCluster, RabbitMQCluster
from tools.brokers.kafka import Kafka, MockKafka, Topic
from tools.brokers.rabbitmq import RabbitMQ
from tools.demo.bus import Bus
from tools.demo.control import SOCKET, Member
from tools.demo.interrupts import interrupts
from tools.demo.screen import Screen
from tools.demo.topic import SERVERS, TOPIC, given_variables, topic_of
from tools.notifier import Notifier
from tools.processes import ProcessError, free_port
from tools.stand_ins import Services
from tools.stand_ins.jira import Kind

#: The daemon's own default.
QUEUE = "cki.queue.webhooks.cki_notifier"

#: Time for the daemon to finish its work, in seconds.
_STOP_SECONDS = 30.0

#: The same after a failure or a signal.
_UNWIND_SECONDS = 5.0

#: Time for killed processes to stop writing into the folder, in seconds.
_REMOVE_SECONDS = 5.0


class Stage:
    """The services and processes of the demo, all on the loopback except for the user's Kafka.

    Each start prints a line on the screen. The stack stops everything.

    Attributes:
        services, bus, topic: the daemon's services, RabbitMQ and topic.
        daemons, pages: the processes of the daemon, which share a queue, and their status pages.
        members: all processes, by name. With clusters the socket `control` controls them.
        env_file: a shell script that sets the daemon's configuration and `PATH`.
    """

    def __init__(self, stack: contextlib.ExitStack, screen: Screen) -> None:
        self._stack = stack
        self._screen = screen
        self._since = time.monotonic()
        self._read: dict[Notifier, int] = {}
        self._settled: list[dict[str, Any]] = []
        self.daemons: list[Notifier] = []
        self.pages: list[str] = []
        self.members: dict[str, Member] = {}

    def put_up(self, *, cluster: bool, real_kafka: bool) -> None:
        """Start everything, the daemon last.

        Raises:
            ProcessError: a process did not start; the text has the end of its log.
            ConfigurationError: the user's `KAFKA_…` variables are invalid.
            KafkaException: the user's Kafka can't be reached, or refuses.
        """
        with interrupts.postponed():
            folder = Path(tempfile.mkdtemp(prefix="cki-notifier-demo-"))
            self._stack.callback(_remove, folder)
        self.env_file, self.control = folder / "env", folder / "control"
        self.is_cluster = cluster
        self.services = self._start_services()
        rabbitmq = RabbitMQCluster(folder) if cluster else RabbitMQ(folder / "rabbitmq")
        self._start("RabbitMQ", rabbitmq)
        user = f"{RabbitMQ.user}:{RabbitMQ.password}"
        hosts = rabbitmq.host.split()
        self.bus = Bus(*(f"amqp://{user}@{host}:{rabbitmq.port}/%2F" for host in hosts))
        if os.environ.get(SERVERS) and not cluster and not real_kafka:
            variables = self._use_given_kafka()
        else:
            variables = self._start_kafka(folder, cluster=cluster, real=real_kafka)
        self.topic = topic_of(variables)
        self._is_up("its topic", self.topic.name)
        environment = _environment(self.services, rabbitmq) | variables
        for name in ("notifier-1", "notifier-2") if cluster else ("notifier",):
            what = name if cluster else "python -m cki_notifier"
            self._start_notifier(folder / name, environment, what)
        more = {"CKI_METRICS_PORT": self.pages[0].rpartition(":")[2].rstrip("/")}
        more |= {SOCKET: str(self.control)} if cluster else {}
        _write_env_file(self.env_file, environment | more)

    @property
    def running(self) -> bool:
        """Whether no process of the daemon has ended."""
        return all(process.running for process in self.daemons)

    def settled(self) -> list[dict[str, Any]]:
        """Return the logs' lines about settled notifications, new ones at the end."""
        for process in self.daemons:
            lines = process.settled()
            self._settled += lines[self._read.get(process, 0) :]
            self._read[process] = len(lines)
        return self._settled

    def warnings(self) -> list[str]:
        """Return the messages of all warnings, by time."""
        lines = [line for process in self.daemons for line in process.lines()]
        warnings = [line for line in lines if line["level"] == "WARNING"]
        return [line["message"] for line in sorted(warnings, key=lambda line: str(line["time"]))]

    def tail(self) -> str:
        """Return the last lines of each log."""
        return "\n".join(process.tail() for process in self.daemons)

    def stop(self) -> list[int | None]:
        """Stop the daemon; return the exit code of each process."""
        return [process.stop(seconds=_STOP_SECONDS) for process in self.daemons]

    def _start_services(self) -> Services:
        services = self._stack.enter_context(Services())
        services.gitlab.token = "gitlab-token"  # noqa: S105 - the stand-in's own
        services.jira.kind = Kind.CLOUD
        services.jira.token = "jira-token"  # noqa: S105 - the stand-in's own
        services.jira.email = "cki@example.com"
        self._is_up("DataWarehouse (a stand-in)", services.warehouse.url)
        self._is_up("GitLab (a stand-in)", services.gitlab.url)
        self._is_up("Jira Cloud (a stand-in)", services.jira.url)
        return services

    def _start_kafka(self, folder: Path, *, cluster: bool, real: bool) -> dict[str, str]:
        """Start a Kafka; return the variables that name it."""
        kafka: Kafka | KafkaCluster | MockKafka
        if cluster or real:
            kafka = KafkaCluster(folder) if cluster else Kafka(folder / "kafka")
            self._start("Kafka" if cluster else "Kafka (a real broker)", kafka)
        else:
            kafka = self._stack.enter_context(contextlib.closing(MockKafka()))
            self._is_up("Kafka (librdkafka's mock cluster)", kafka.bootstrap)
        kafka.create_topic(TOPIC)
        return {SERVERS: kafka.bootstrap, "KAFKA_TOPIC": TOPIC}

    def _use_given_kafka(self) -> dict[str, str]:
        """Return the variables of the user's Kafka.

        The topic is `KAFKA_TOPIC`, or a new one with a unique name, so that the demo writes to no
        other topic by accident. A missing topic is created, and the stack deletes it.
        """
        variables = {"KAFKA_TOPIC": f"cki-notifier-demo-{uuid4().hex[:8]}"} | given_variables()
        topic = topic_of(variables)
        is_missing = not topic.partitions()
        self._is_up("Kafka (yours)", variables[SERVERS])
        if is_missing:
            with interrupts.postponed():
                topic.create()
                self._stack.callback(_delete, topic)
            topic.wait()
        return variables

    def _start(self, what: str, broker: RabbitMQ | RabbitMQCluster | Kafka | KafkaCluster) -> None:
        # Before the start, so that a start that fails half-way is cleaned up, too.
        self._stack.callback(broker.kill)
        broker.start()
        nodes: Sequence[RabbitMQ | Kafka] = (
            broker.nodes if isinstance(broker, RabbitMQCluster | KafkaCluster) else [broker]
        )
        for node in nodes:
            name, address = node.folder.name, f"{node.host}:{node.port}"
            self.members[name] = Member(node, address)
            self._is_up(f"{what} ({name})" if len(nodes) > 1 else what, address)

    def _start_notifier(self, folder: Path, environment: Mapping[str, str], what: str) -> None:
        port = free_port()
        notifier = Notifier(folder, {**environment, "CKI_METRICS_PORT": str(port)})
        self._stack.callback(notifier.stop, seconds=_UNWIND_SECONDS)
        notifier.start()
        self._is_up(f"the daemon ({what})", "consumes its queue")
        page = f"http://127.0.0.1:{port}/"
        self._is_up("its status page", page)
        self.daemons.append(notifier)
        self.pages.append(page)
        self.members[folder.name] = Member(notifier, page)

    def _is_up(self, what: str, where: str) -> None:
        now = time.monotonic()
        self._screen.is_up(what, where, now - self._since)
        self._since = now


def _environment(services: Services, rabbitmq: RabbitMQ | RabbitMQCluster) -> dict[str, str]:
    """Return the daemon's configuration, without Kafka and without variables of the user."""
    return {
        "DATAWAREHOUSE_URL": services.warehouse.url,
        "DATAWAREHOUSE_TOKEN": services.warehouse.token,
        "GITLAB_TOKENS": json.dumps({services.gitlab.url.partition("//")[2]: "GITLAB_TOKEN"}),
        "GITLAB_TOKEN": services.gitlab.token or "",
        "JIRA_SERVER": services.jira.url,
        "JIRA_EMAIL": services.jira.email or "",
        "JIRA_TOKEN_AUTH": services.jira.token or "",
        # An environment in which the daemon sends messages.
        "CKI_DEPLOYMENT_ENVIRONMENT": "staging",
        "RABBITMQ_HOST": rabbitmq.host,
        "RABBITMQ_PORT": str(rabbitmq.port),
        # The default binds checkouts only, but the demo shows an ignored build.
        "RABBITMQ_ROUTING_KEYS": "datawarehouse.#",
        "CKI_METRICS_ENABLED": "true",
    }


def _write_env_file(path: Path, environment: Mapping[str, str]) -> None:
    """Write it readable only by its owner: it may hold passwords of the user's Kafka."""
    ours = {"PYTHONPATH": str(PROJECT), **environment}
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in ours.items()]
    programs = shlex.quote(str(Path(sys.executable).parent))
    path.touch(mode=0o600)
    path.write_text(f"export PATH={programs}:$PATH\n{''.join(lines)}")


def _delete(topic: Topic) -> None:
    try:
        topic.delete()
    except (KafkaException, ProcessError, TimeoutError) as error:
        print(f"The topic {topic.name} could not be deleted: {error}")


def _remove(folder: Path) -> None:
    """Remove the folder; retry, as processes killed just now may still write a file."""
    deadline = time.monotonic() + _REMOVE_SECONDS
    while folder.exists() and time.monotonic() < deadline:
        shutil.rmtree(folder, ignore_errors=True)
