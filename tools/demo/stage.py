"""Everything that runs for the demo, put up in order; the stack takes it down."""

import contextlib
import json
import os
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tools import PROJECT
from tools.brokers.rabbitmq import RabbitMQ
from tools.demo import clusters
from tools.demo.bus import Bus
from tools.demo.clusters import Cluster
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
    """What runs, all of it private and on 127.0.0.1, except for a Kafka of the user's."""

    services: Services
    bus: Bus
    cluster: Cluster
    notifier: Notifier
    #: The daemon's status page.
    page: str
    #: What a shell reads to have the daemon's configuration, and its commands.
    env_file: Path

    def stop(self) -> int | None:
        """Ask the daemon to end, and return its exit code."""
        return self.notifier.stop(seconds=_STOP_SECONDS)


class Builder:
    """Puts things up, each with a line on the screen, and has the stack take them down."""

    def __init__(self, stack: contextlib.ExitStack, interrupts: Interrupts, screen: Screen) -> None:
        self._stack = stack
        self._interrupts = interrupts
        self._screen = screen
        self._since = time.monotonic()

    def build(self, *, real_kafka: bool) -> Stage:
        """Put everything up, the daemon last.

        Raises:
            ProcessError: something did not start; the end of its log is in the text.
            ConfigurationError: there are faults in the user's `KAFKA_…` variables.
            KafkaException: the user's Kafka can't be reached, or refuses.
        """
        folder = self._folder()
        services = self._services()
        bus = self._rabbitmq(folder / "rabbitmq")
        cluster = self._kafka(folder / "kafka", real=real_kafka)
        environment = _environment(services, bus, cluster, port := free_port())
        notifier = self._notifier(folder / "notifier", environment)
        self._is_up("its status page", page := f"http://127.0.0.1:{port}/")
        env_file = folder / "env"
        _write_env_file(env_file, environment)
        return Stage(services, bus, cluster, notifier, page, env_file)

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

    def _rabbitmq(self, folder: Path) -> Bus:
        broker = RabbitMQ(folder)
        # Before the start, so that it is ended however far the start came. Nothing has to be kept.
        self._stack.callback(broker.kill)
        broker.start()
        self._is_up("RabbitMQ", f"{broker.host}:{broker.port}")
        return Bus(f"amqp://{broker.user}:{broker.password}@{broker.host}:{broker.port}/%2F")

    def _kafka(self, folder: Path, *, real: bool) -> Cluster:
        if real:
            cluster = clusters.real(self._stack, folder)
        elif clusters.is_given(os.environ):
            cluster = clusters.given(self._stack, os.environ, self._interrupts)
        else:
            cluster = clusters.mock(self._stack)
        self._is_up(cluster.title, cluster.bootstrap)
        self._is_up("its topic", cluster.topic.name)
        return cluster

    def _notifier(self, folder: Path, environment: Mapping[str, str]) -> Notifier:
        notifier = Notifier(folder, environment)
        self._stack.callback(notifier.stop, seconds=_UNWIND_SECONDS)
        notifier.start()
        self._is_up("the daemon (python -m cki_notifier)", "consumes its queue")
        return notifier

    def _is_up(self, what: str, where: str) -> None:
        now = time.monotonic()
        self._screen.is_up(what, where, now - self._since)
        self._since = now


def _environment(services: Services, bus: Bus, cluster: Cluster, port: int) -> dict[str, str]:
    """Return all of the daemon's configuration; there's nothing in it of the user's own."""
    host, _, amqp_port = bus.address.rpartition("@")[2].partition("/")[0].partition(":")
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
        "RABBITMQ_HOST": host,
        "RABBITMQ_PORT": amqp_port,
        # The default asks for checkouts alone, but the demo shows that others are ignored.
        "RABBITMQ_ROUTING_KEYS": "datawarehouse.#",
        "CKI_METRICS_ENABLED": "true",
        "CKI_METRICS_PORT": str(port),
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
