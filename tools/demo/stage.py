"""Everything that runs for the demo, put up in order; the stack takes it down."""

import contextlib
import json
import os
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools import PROJECT
from tools.brokers.clusters import KafkaCluster, RabbitMQCluster
from tools.brokers.kafka import Kafka
from tools.brokers.rabbitmq import RabbitMQ
from tools.demo import clusters
from tools.demo.bus import Bus
from tools.demo.clusters import Cluster
from tools.demo.control import SOCKET, Member
from tools.demo.daemons import Daemons
from tools.demo.interrupts import Interrupts
from tools.demo.screen import Screen
from tools.notifier import Notifier
from tools.processes import free_port
from tools.stand_ins import Services
from tools.stand_ins.jira import Kind

#: The daemon's own default.
QUEUE = "cki.queue.webhooks.cki_notifier"

_GITLAB_TOKEN = "gitlab-token"  # noqa: S105 - the stand-in's own
_JIRA_TOKEN = "jira-token"  # noqa: S105 - likewise
_JIRA_EMAIL = "cki@example.com"

#: How long the daemon has to finish what it does.
_STOP_SECONDS = 30.0

#: The same when the demo failed or was interrupted, and nobody waits for what it still does.
_UNWIND_SECONDS = 5.0

#: How long what was killed may go on writing into the folder.
_REMOVE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Stage:
    """What runs, all of it private and on the loopback, except for a Kafka of the user's."""

    services: Services
    bus: Bus
    cluster: Cluster
    daemons: Daemons
    #: The status page of each process of the daemon.
    pages: Sequence[str]
    #: What a shell reads to have the daemon's configuration, and its commands.
    env_file: Path
    #: Where it is asked to play with its members, which are there if it has clusters.
    control: Path
    members: Mapping[str, Member]

    def stop(self) -> list[int | None]:
        """Ask the daemon to end, and return the exit code of each process."""
        return self.daemons.stop(seconds=_STOP_SECONDS)


class Builder:
    """Puts things up, each with a line on the screen, and has the stack take them down."""

    def __init__(self, stack: contextlib.ExitStack, interrupts: Interrupts, screen: Screen) -> None:
        self._stack = stack
        self._interrupts = interrupts
        self._screen = screen
        self._since = time.monotonic()
        self._members: dict[str, Member] = {}

    def build(self, *, cluster: bool, real_kafka: bool) -> Stage:
        """Put everything up, the daemon last.

        Raises:
            ProcessError: something did not start; the end of its log is in the text.
            ConfigurationError: there are faults in the user's `KAFKA_…` variables.
            KafkaException: the user's Kafka can't be reached, or refuses.
        """
        folder = self._folder()
        services = self._services()
        rabbitmq = self._rabbitmqs(folder) if cluster else self._rabbitmq(folder / "rabbitmq")
        kafka = self._kafkas(folder) if cluster else self._kafka(folder / "kafka", real=real_kafka)
        self._is_up("its topic", kafka.topic.name)
        environment = _environment(services, rabbitmq, kafka)
        names = ("notifier-1", "notifier-2") if cluster else ("notifier",)
        ports = [free_port() for _ in names]
        pages = [f"http://127.0.0.1:{port}/" for port in ports]
        notifiers = []
        for name, port, page in zip(names, ports, pages, strict=True):
            own = environment | {"CKI_METRICS_PORT": str(port)}
            what = name if cluster else "python -m cki_notifier"
            notifiers.append(notifier := self._notifier(folder / name, own, what))
            self._is_up("its status page", page)
            self._members[name] = Member(notifier, page)
        env_file, control = folder / "env", folder / "control"
        more = {"CKI_METRICS_PORT": str(ports[0])} | ({SOCKET: str(control)} if cluster else {})
        _write_env_file(env_file, environment | more)
        return Stage(
            services,
            Bus(*_addresses(rabbitmq)),
            kafka,
            Daemons(notifiers),
            pages,
            env_file,
            control,
            self._members if cluster else {},
        )

    def _folder(self) -> Path:
        with self._interrupts.postponed():
            folder = Path(tempfile.mkdtemp(prefix="cki-notifier-demo-"))
            self._stack.callback(_remove, folder)
        return folder

    def _services(self) -> Services:
        services = self._stack.enter_context(Services())
        services.gitlab.token = _GITLAB_TOKEN
        services.jira.kind = Kind.CLOUD
        services.jira.token, services.jira.email = _JIRA_TOKEN, _JIRA_EMAIL
        self._is_up("DataWarehouse (a stand-in)", services.warehouse.url)
        self._is_up("GitLab (a stand-in)", services.gitlab.url)
        self._is_up("Jira Cloud (a stand-in)", services.jira.url)
        return services

    def _rabbitmqs(self, folder: Path) -> RabbitMQCluster:
        cluster = RabbitMQCluster(folder)
        self._stack.callback(cluster.kill)
        cluster.start()
        self._are_up("RabbitMQ", cluster.nodes)
        return cluster

    def _kafkas(self, folder: Path) -> Cluster:
        cluster = KafkaCluster(folder)
        kafka = clusters.real(self._stack, cluster)
        self._are_up("Kafka", cluster.nodes)
        return kafka

    def _rabbitmq(self, folder: Path) -> RabbitMQ:
        broker = RabbitMQ(folder)
        # Before the start, so that it is ended however far the start came. Nothing has to be kept.
        self._stack.callback(broker.kill)
        broker.start()
        self._is_up("RabbitMQ", f"{broker.host}:{broker.port}")
        return broker

    def _kafka(self, folder: Path, *, real: bool) -> Cluster:
        if real:
            cluster = clusters.real(self._stack, Kafka(folder))
        elif clusters.is_given(os.environ):
            cluster = clusters.given(self._stack, os.environ, self._interrupts)
        else:
            cluster = clusters.mock(self._stack)
        self._is_up(cluster.title, cluster.bootstrap)
        return cluster

    def _notifier(self, folder: Path, environment: Mapping[str, str], what: str) -> Notifier:
        notifier = Notifier(folder, environment)
        self._stack.callback(notifier.stop, seconds=_UNWIND_SECONDS)
        notifier.start()
        self._is_up(f"the daemon ({what})", "consumes its queue")
        return notifier

    def _are_up(self, what: str, nodes: Sequence[RabbitMQ] | Sequence[Kafka]) -> None:
        for node in nodes:
            host = node.host if isinstance(node, RabbitMQ) else "127.0.0.1"
            self._members[node.folder.name] = Member(node, address := f"{host}:{node.port}")
            self._is_up(f"{what} ({node.folder.name})", address)

    def _is_up(self, what: str, where: str) -> None:
        now = time.monotonic()
        self._screen.is_up(what, where, now - self._since)
        self._since = now


def _addresses(rabbitmq: RabbitMQ | RabbitMQCluster) -> list[str]:
    user = f"{RabbitMQ.user}:{RabbitMQ.password}"
    return [f"amqp://{user}@{host}:{rabbitmq.port}/%2F" for host in rabbitmq.host.split()]


def _environment(
    services: Services, rabbitmq: RabbitMQ | RabbitMQCluster, cluster: Cluster
) -> dict[str, str]:
    """Return the daemon's configuration, all but a port; there's nothing of the user's own."""
    return {
        "DATAWAREHOUSE_URL": services.warehouse.url,
        "DATAWAREHOUSE_TOKEN": services.warehouse.token,
        "GITLAB_TOKENS": json.dumps({services.gitlab.url.partition("//")[2]: "GITLAB_TOKEN"}),
        "GITLAB_TOKEN": _GITLAB_TOKEN,
        "JIRA_SERVER": services.jira.url,
        "JIRA_EMAIL": _JIRA_EMAIL,
        "JIRA_TOKEN_AUTH": _JIRA_TOKEN,
        # One in which messages are sent.
        "CKI_DEPLOYMENT_ENVIRONMENT": "staging",
        "RABBITMQ_HOST": rabbitmq.host,
        "RABBITMQ_PORT": str(rabbitmq.port),
        # The default asks for checkouts alone, but the demo shows that others are ignored.
        "RABBITMQ_ROUTING_KEYS": "datawarehouse.#",
        "CKI_METRICS_ENABLED": "true",
        **cluster.variables,
    }


def _write_env_file(path: Path, environment: Mapping[str, str]) -> None:
    """Write it for its owner alone: there may be passwords of the user's Kafka in it."""
    ours = {"PYTHONPATH": str(PROJECT), **environment}
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in ours.items()]
    programs = shlex.quote(str(Path(sys.executable).parent))
    path.touch(mode=0o600)
    path.write_text(f"export PATH={programs}:$PATH\n{''.join(lines)}")


def _remove(folder: Path) -> None:
    """Remove the folder, though what was killed right now may still write a last file."""
    deadline = time.monotonic() + _REMOVE_SECONDS
    while folder.exists() and time.monotonic() < deadline:
        shutil.rmtree(folder, ignore_errors=True)
