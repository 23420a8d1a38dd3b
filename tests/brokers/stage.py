"""The environment of one daemon under test, and its results from outside."""

import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, Self, TypeVar
from uuid import uuid4

import pika
from pika.adapters.blocking_connection import BlockingChannel

from tools.brokers.kafka import Record, read_topic
from tools.brokers.rabbitmq import RabbitMQ
from tools.notifier import Notifier, complete
from tools.stand_ins import Exchange, Services

T = TypeVar("T")

#: The timeout of a failing test, even on a slow machine, in seconds.
PATIENCE = 30.0


class Letter(NamedTuple):
    """A message in a queue."""

    body: bytes
    headers: dict[str, Any]
    properties: pika.BasicProperties


class Held:
    """A fault of a service: it answers only when allowed."""

    def __init__(self) -> None:
        self.may_answer = threading.Event()

    def __call__(self, exchange: Exchange) -> None:
        """Wait, then send the true answer."""
        self.may_answer.wait(2 * PATIENCE)
        exchange.connection.answer(exchange.answer)


def eventually(look: Callable[[], T], *, seconds: float = PATIENCE, what: str = "") -> T:
    """Repeat a call until its result is true; return it.

    Raises:
        AssertionError: the result is false after ``seconds``.
    """
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < deadline, f"not seen within {seconds} s: {what or look}"
        time.sleep(0.05)
    return seen


class Stage:
    """An exchange, a queue and a topic for one test, and empty services."""

    def __init__(
        self, rabbitmq: RabbitMQ, bootstrap: str, services: Services, folder: Path
    ) -> None:
        name = uuid4().hex[:8]
        self.rabbitmq = rabbitmq
        self.bootstrap = bootstrap
        self.services = services
        self.folder = folder
        self.exchange = f"exchange.{name}"
        self.queue = f"queue.{name}"
        self.topic = f"topic.{name}"
        self.environment = {
            "CKI_DEPLOYMENT_ENVIRONMENT": "staging",
            "CKI_LOGGING_LEVEL": "DEBUG",
            "DATAWAREHOUSE_URL": services.warehouse.url,
            "DATAWAREHOUSE_TOKEN": services.warehouse.token,
            "JIRA_SERVER": services.jira.url,
            "RABBITMQ_HOST": rabbitmq.host,
            "RABBITMQ_PORT": str(rabbitmq.port),
            "RABBITMQ_QUEUE": self.queue,
            "WEBHOOK_RECEIVER_EXCHANGE": self.exchange,
            "RABBITMQ_ROUTING_KEYS": "datawarehouse.#",
            "KAFKA_BOOTSTRAP_SERVERS": bootstrap,
            "KAFKA_TOPIC": self.topic,
        }
        self._open = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Declare the exchange, like DataWarehouse."""
        with self.channel() as channel:
            channel.exchange_declare(self.exchange, "topic", durable=True)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the daemons."""
        self._open.close()

    def daemon(
        self, settings: Mapping[str, str] = MappingProxyType({}), *, waits: bool = True, **more: str
    ) -> Notifier:
        """Start a daemon with changes to the environment. It stops with the test."""
        environment = {**self.environment, **settings, **more}
        folder = self.folder / f"notifier-{uuid4().hex[:8]}"
        return self._open.enter_context(Notifier(folder, environment, waits=waits))

    def command(
        self, *arguments: str, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run the command line to its end."""
        return subprocess.run(
            [sys.executable, "-m", "cki_notifier", *arguments],
            env=complete(self.environment if environment is None else environment),
            capture_output=True,
            text=True,
            check=False,
            timeout=90,
        )

    @contextlib.contextmanager
    def channel(self) -> Iterator[BlockingChannel]:
        """Open a channel to the broker."""
        connection = pika.BlockingConnection(self.rabbitmq.parameters())
        try:
            yield connection.channel()
        finally:
            connection.close()

    def publish(
        self,
        *bodies: bytes | Mapping[str, Any],
        routing_key: str = "datawarehouse.checkout.any",
        properties: pika.BasicProperties | None = None,
    ) -> None:
        """Publish notifications to the exchange in order, and wait for each confirmation."""
        with self.channel() as channel:
            channel.confirm_delivery()
            for body in bodies:
                data = body if isinstance(body, bytes) else json.dumps(body).encode()
                channel.basic_publish(self.exchange, routing_key, data, properties, mandatory=True)

    def records_until(self, enough: Callable[[list[Record]], bool]) -> list[Record]:
        """Read the topic until there are enough records, or until the timeout."""
        return read_topic(self.bootstrap, self.topic, seconds=PATIENCE, until=enough)

    def records(self, count: int) -> list[Record]:
        """Read the topic until it has a number of records; return them all."""
        found = self.records_until(lambda seen: len(seen) >= count)
        assert len(found) >= count, f"{len(found)} records instead of {count}"
        return found

    def messages(self, count: int) -> list[dict[str, Any]]:
        """Read a number of messages from the topic."""
        return [json.loads(record.value) for record in self.records(count)]

    def keys(self, count: int) -> set[str]:
        """Read the topic until its records have a number of different keys; return the keys."""
        found = self.records_until(lambda seen: len({record.key for record in seen}) >= count)
        return {record.key for record in found}

    def waiting(self, queue: str) -> int:
        """Return the number of ready messages in a queue, 0 for a missing queue."""
        with self.channel() as channel:
            try:
                return int(channel.queue_declare(queue, passive=True).method.message_count)
            except pika.exceptions.ChannelClosedByBroker:
                return 0

    def take(self, queue: str, count: int = 1) -> list[Letter]:
        """Wait for a number of messages in a queue, and take them out."""
        eventually(lambda: self.waiting(queue) >= count, what=f"{count} in {queue}")
        letters = []
        with self.channel() as channel:
            for _ in range(count):
                _, properties, body = channel.basic_get(queue, auto_ack=True)
                assert properties is not None
                assert body is not None
                letters.append(Letter(body, dict(properties.headers or {}), properties))
        return letters

    def dead_letters(self, count: int = 1) -> list[Letter]:
        """Take a number of dead letters."""
        return self.take(f"{self.queue}.dead-letter", count)

    def finish(self, daemon: Notifier) -> None:
        """Stop a daemon and check that the main queue is empty.

        The count is exact only without a consumer. RabbitMQ returns notifications in flight to the
        queue, so the daemon gets a few starts to process them.
        """
        for _ in range(5):
            assert daemon.stop() == 0
            if not self.waiting(self.queue):
                return
            daemon.start()
            time.sleep(1)
        raise AssertionError(f"{self.waiting(self.queue)} notifications stay in the queue")
