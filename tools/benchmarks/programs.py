"""The programs that can be measured: how each is told what to do, and started."""

import json
import re
import sys
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tools.benchmarks.meter import processes_in
from tools.notifier import complete
from tools.processes import Process

_SETTLED: Final = re.compile(r"^cki_notifier_notifications_total\{.*\} (\S+)$", re.MULTILINE)
_REQUEST_SECONDS: Final = 10.0


@dataclass(frozen=True, kw_only=True)
class Task:
    """All that a program is told."""

    rabbitmq_port: int
    exchange: str
    queue: str
    bootstrap: str
    topic: str
    warehouse: str
    warehouse_token: str
    gitlab: str
    gitlab_token: str
    in_flight: int
    logging_level: str
    merge_requests: bool
    #: Where the program shows its metrics, if it has any.
    metrics_port: int


@dataclass(frozen=True, slots=True)
class Program:
    """A program that can be measured.

    Attributes:
        name: in the tables.
        command: what to run.
        environment: all of its environment, for a task.
        settled: asks a process with a task how many notifications it has settled; None where
            nothing can be asked.
    """

    name: str
    command: tuple[str, ...]
    environment: Callable[[Task], Mapping[str, str]]
    settled: Callable[[Task], float] | None = None

    def process(self, task: Task, folder: Path) -> Process:
        """Return the process for a task, not started yet, with a folder of its own."""
        folder.mkdir(parents=True)
        return Process(
            self.name,
            self.command,
            log=folder / "log",
            ready=lambda: bool(processes_in(folder)),
            environment=self.environment(task),
            folder=folder,
        )


def _of_notifier(task: Task) -> dict[str, str]:
    return complete(
        {
            "CKI_DEPLOYMENT_ENVIRONMENT": "staging",
            "CKI_LOGGING_LEVEL": task.logging_level,
            "CKI_LOGGING_FORMAT": "text",
            "CKI_METRICS_ENABLED": "true",
            "CKI_METRICS_PORT": str(task.metrics_port),
            "CKI_NOTIFIER_IN_FLIGHT": str(task.in_flight),
            "DATAWAREHOUSE_URL": task.warehouse,
            "DATAWAREHOUSE_TOKEN": task.warehouse_token,
            "GITLAB_TOKENS": json.dumps({task.gitlab.partition("//")[2]: "GITLAB_TOKEN"}),
            "GITLAB_TOKEN": task.gitlab_token,
            "RABBITMQ_HOST": "127.0.0.1",
            "RABBITMQ_PORT": str(task.rabbitmq_port),
            "RABBITMQ_QUEUE": task.queue,
            "WEBHOOK_RECEIVER_EXCHANGE": task.exchange,
            "RABBITMQ_ROUTING_KEYS": "datawarehouse.#",
            "KAFKA_BOOTSTRAP_SERVERS": task.bootstrap,
            "KAFKA_TOPIC": task.topic,
        }
    )


def _settled(task: Task) -> float:
    url = f"http://127.0.0.1:{task.metrics_port}/metrics"
    with urllib.request.urlopen(url, timeout=_REQUEST_SECONDS) as answer:
        return sum(map(float, _SETTLED.findall(answer.read().decode())))


NOTIFIER: Final = Program(
    "cki-notifier", (sys.executable, "-m", "cki_notifier"), _of_notifier, _settled
)


def notifier_in(project: Path) -> Program:
    """Return the daemon of another copy of this project, an older one perhaps.

    Raises:
        ValueError: the folder holds none.
    """
    folder = project.resolve()
    if not (folder / "cki_notifier" / "__main__.py").exists():
        raise ValueError(f"there is no cki_notifier in {project}")

    def environment(task: Task) -> dict[str, str]:
        return _of_notifier(task) | {"PYTHONPATH": str(folder)}

    return Program(f"cki-notifier in {folder.name}", NOTIFIER.command, environment, _settled)
