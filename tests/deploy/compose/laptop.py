"""Run the services of compose.yaml on a machine without a container engine.

Commands and variables are those of the file. Names and ports of containers are replaced by ports of
this machine's loopback. Private brokers of `tools/` replace the images of RabbitMQ and Kafka, with
the settings of the file.
"""

import json
import os
import re
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.deploy.compose import project
from tools.brokers.kafka import Kafka
from tools.brokers.rabbitmq import RabbitMQ
from tools.notifier import Notifier, complete
from tools.processes import Process, free_port, listens

#: An address in a container with its port, and the addresses of the container itself.
_HOSTS = "|".join([*project.names(), r"0\.0\.0\.0", r"127\.0\.0\.1"])
_PLACE = re.compile(rf"\b({_HOSTS})(:|/|', )(\d{{4,5}})\b")

#: The variables whose values are ports.
_PORT_VARIABLES = ("CKI_METRICS_PORT", "RABBITMQ_PORT")

#: The time limit of a command that ends by itself, in seconds.
_COMMAND_SECONDS = 60.0


class Laptop:
    """Maps each container port to a port of the loopback, and keeps all files in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ports: dict[int, int] = {}

    def port(self, container_port: int) -> int:
        """Return the loopback's port for a port of a service's container."""
        if container_port not in self._ports:
            self._ports[container_port] = free_port()
        return self._ports[container_port]

    def led(self, text: str) -> str:
        """Return a text with all addresses replaced by those of the loopback."""
        if text in {"0.0.0.0", *project.names()}:  # noqa: S104  # listens on the loopback only
            return "127.0.0.1"
        return _PLACE.sub(lambda it: f"127.0.0.1{it[2]}{self.port(int(it[3]))}", text)

    def environment(self, service: str) -> dict[str, str]:
        """Return the variables of a service."""
        return {
            name: str(self.port(int(value))) if name in _PORT_VARIABLES else self.led(value)
            for name, value in project.environment(service).items()
        }

    def command(self, words: list[str]) -> list[str]:
        """Return a container's command, with this Python instead of the image's."""
        return [sys.executable if word == "python" else self.led(word) for word in words]

    def rabbitmq(self) -> RabbitMQ:
        """Return RabbitMQ with the plugin for Prometheus, not started yet."""
        broker = RabbitMQ(self.folder / "rabbitmq")
        self._ports[5672] = broker.port
        (broker.folder / "enabled_plugins").write_text("[rabbitmq_prometheus].\n")
        with (broker.folder / "rabbitmq.conf").open("a") as settings:
            settings.write(f"prometheus.tcp.ip = {broker.host}\n")
            settings.write(f"prometheus.tcp.port = {self.port(15692)}\n")
        return broker

    def kafka(self) -> Kafka:
        """Return Kafka with the settings of its service, not started yet."""
        # The image maps KAFKA_NODE_ID to node.id in the same way.
        settings = {
            name.removeprefix("KAFKA_").lower().replace("_", "."): value
            for name, value in self.environment("kafka").items()
            if name != "KAFKA_LOG_DIRS"  # of the container
        }
        broker = Kafka(self.folder / "kafka", settings=settings)
        broker.port = self.port(9092)
        broker.bootstrap = f"127.0.0.1:{broker.port}"
        return broker

    def stand_ins(self) -> Process:
        """Return the stand-ins, not started yet."""
        return Process(
            "the stand-ins",
            self.command(project.command("stand-ins")),
            log=self.folder / "stand-ins.log",
            ready=lambda: all(listens(self.port(port)) for port in (8001, 8002, 8003)),
            environment=complete(self.environment("stand-ins")),
            folder=self.folder,
        )

    def prometheus(self) -> Process:
        """Return Prometheus with the files of its service, not started yet."""
        project.lay_out("prometheus", self.folder / "prometheus")
        folder = self.folder / "prometheus" / "etc" / "prometheus"
        settings = folder / "prometheus.yml"
        settings.write_text(self.led(settings.read_text()))
        port = self.port(9090)
        return Process(
            "Prometheus",
            [
                "prometheus",
                f"--config.file={settings}",
                f"--storage.tsdb.path={self.folder / 'prometheus' / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            log=self.folder / "prometheus.log",
            ready=lambda: listens(port),
            folder=self.folder,
        )

    def notifier(self, changes: Mapping[str, str] | None = None, *, waits: bool = True) -> Notifier:
        """Return the daemon, not started yet."""
        environment = self.environment("cki-notifier") | dict(changes or {})
        port = environment["CKI_METRICS_PORT"]
        return Notifier(self.folder / f"notifier-{port}", environment, waits=waits)

    def run(self, words: list[str], service: str) -> subprocess.CompletedProcess[str]:
        """Run a command of a service to its end."""
        return subprocess.run(
            self.command(words),
            env=complete(self.environment(service)) | {"PATH": os.environ["PATH"]},
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=_COMMAND_SECONDS,
        )

    def check(self, service: str) -> subprocess.CompletedProcess[str]:
        """Run a service's health check; its exit code is 0 when the service is healthy."""
        return self.run(project.healthcheck(service), service)

    def get(self, container_port: int, path: str, **query: str) -> Any:
        """Return a JSON document from a service."""
        text = urllib.parse.urlencode(query)
        address = f"http://127.0.0.1:{self.port(container_port)}{path}?{text}"
        with urllib.request.urlopen(address, timeout=30) as answer:
            return json.load(answer)
