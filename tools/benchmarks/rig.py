"""Everything around a program that is measured: brokers, a stand-in, a queue and a topic."""

import contextlib
import json
import shutil
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pika
from confluent_kafka import Consumer, TopicPartition
from pika.adapters.blocking_connection import BlockingChannel

from cki_notifier.configuration.secret import Secret
from cki_notifier.configuration.settings import RabbitMQConfig
from cki_notifier.rabbitmq.connection import close, connect
from cki_notifier.rabbitmq.queues import DELAYS, MainQueue, dead_letter_queue, delay_queue
from tools.benchmarks.meter import processes_in
from tools.benchmarks.programs import Task
from tools.benchmarks.warehouse import COUNTS_PATH, GITLAB_TOKEN, WAREHOUSE_TOKEN
from tools.benchmarks.workload import Notification
from tools.brokers.kafka import Kafka, Record, read_topic
from tools.brokers.rabbitmq import RabbitMQ
from tools.notifier import complete
from tools.processes import Process, free_port, listens

_PARTITIONS: Final = 3
_ROUTING_KEYS: Final = ("datawarehouse.#",)
#: However long it takes to put a backlog into the queue or to read it from the topic, in seconds.
_PATIENCE: Final = 60.0
_POLL_SECONDS: Final = 0.05
_REQUEST_SECONDS: Final = 10.0


class Rig:
    """A RabbitMQ and a Kafka for all that is measured.

    Args:
        rabbitmq: runs already.
        kafka: likewise.
        folder: for logs; it is not removed.
    """

    def __init__(self, rabbitmq: RabbitMQ, kafka: Kafka, folder: Path) -> None:
        self.rabbitmq = rabbitmq
        self.kafka = kafka
        self.folder = folder

    @contextlib.contextmanager
    def scene(self, latency: float, *, has_big: bool = False) -> Iterator["Scene"]:
        """Put up what a single run needs, and take it down after it.

        Args:
            latency: the stand-in's, in seconds.
            has_big: whether it shows big documents.
        """
        options = ["--latency", str(latency), *(["--big"] if has_big else [])]
        with contextlib.ExitStack() as stack:
            yield Scene(self, options, stack)

    @contextlib.contextmanager
    def channel(self) -> Iterator[BlockingChannel]:
        """Open a channel to RabbitMQ."""
        # Nobody looks after this one's heartbeats.
        parameters = pika.ConnectionParameters(self.rabbitmq.host, self.rabbitmq.port, heartbeat=0)
        connection = pika.BlockingConnection(parameters)
        try:
            yield connection.channel()
        finally:
            connection.close()


@contextlib.contextmanager
def private_rig() -> Iterator[Rig]:
    """Put up brokers that nobody else uses; nothing is left of them."""
    with contextlib.ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="cki-notifier-bench-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        rabbitmq = RabbitMQ(folder / "rabbitmq")
        # Nothing has to be kept, so it is not asked to end.
        stack.callback(rabbitmq.kill)
        rabbitmq.start()
        kafka = stack.enter_context(Kafka(folder / "kafka"))
        yield Rig(rabbitmq, kafka, folder)


class Scene:
    """A stand-in warehouse, a queue and a topic for a single run."""

    def __init__(self, rig: Rig, options: list[str], stack: contextlib.ExitStack) -> None:
        name = uuid4().hex[:8]
        self._rig = rig
        self._stack = stack
        self.folder = rig.folder / name
        self.folder.mkdir()
        self.exchange = f"exchange.{name}"
        self.queue = f"queue.{name}"
        self.topic = f"topic.{name}"
        port, gitlab_port = free_port(), free_port()
        self.warehouse = f"http://127.0.0.1:{port}"
        self.gitlab = f"http://127.0.0.1:{gitlab_port}"
        self._warehouse_folder = self.folder / "warehouse"
        self._stand_in(port, gitlab_port, options)
        self._declare()
        rig.kafka.create_topic(self.topic, _PARTITIONS, {"message.timestamp.type": "LogAppendTime"})
        stack.callback(rig.kafka.delete_topic, self.topic)
        self._watcher = _consumer(rig.kafka.bootstrap)
        stack.callback(self._watcher.close)

    def task(self, *, in_flight: int, logging_level: str, merge_requests: bool) -> Task:
        """Return what a program has to be told to work here."""
        return Task(
            rabbitmq_port=self._rig.rabbitmq.port,
            exchange=self.exchange,
            queue=self.queue,
            bootstrap=self._rig.kafka.bootstrap,
            topic=self.topic,
            warehouse=self.warehouse,
            warehouse_token=WAREHOUSE_TOKEN,
            gitlab=self.gitlab,
            gitlab_token=GITLAB_TOKEN,
            in_flight=in_flight,
            logging_level=logging_level,
            merge_requests=merge_requests,
            metrics_port=free_port(),
        )

    def run(self, process: Process) -> None:
        """Start a process; it is killed at the end, unless it was stopped before."""
        self._stack.callback(process.kill)
        process.start()

    def services(self) -> dict[str, list[int]]:
        """Return the process ids of everything around the program."""
        return {
            "warehouse": processes_in(self._warehouse_folder),
            "rabbitmq": processes_in(self._rig.rabbitmq.folder),
            "kafka": processes_in(self._rig.kafka.folder),
        }

    def fill_queue(self, notifications: Iterable[Notification]) -> None:
        """Publish notifications; return when all of them are in the queue."""
        count = 0
        with self._rig.channel() as channel:
            for each in notifications:
                publish(channel, self.exchange, each)
                count += 1
            # The broker's end of the channel keeps what a young queue did not take at once.
            self._wait_for_queue(count)

    def channel(self) -> contextlib.AbstractContextManager[BlockingChannel]:
        """Open a channel to RabbitMQ."""
        return self._rig.channel()

    def left_in_queue(self) -> int:
        """Return how many notifications nobody holds; exact once the program has ended."""
        with self._rig.channel() as channel:
            return int(channel.queue_declare(self.queue, passive=True).method.message_count)

    def written(self) -> int:
        """Return how many records are in the topic, without reading them."""
        return sum(self._end(TopicPartition(self.topic, each)) for each in range(_PARTITIONS))

    def records(self) -> list[Record]:
        """Read all that is in the topic, in the order in which it was written."""
        count = self.written()
        if not count:
            return []
        found = read_topic(
            self._rig.kafka.bootstrap,
            self.topic,
            seconds=_PATIENCE,
            until=lambda seen: len(seen) >= count,
        )
        return sorted(found, key=lambda it: it.timestamp_ms)

    def asked(self) -> dict[str, Any]:
        """Return what the stand-in tells of the requests it had."""
        url = self.warehouse + COUNTS_PATH
        with urllib.request.urlopen(url, timeout=_REQUEST_SECONDS) as answer:  # noqa: S310  # ours
            counts: dict[str, Any] = json.load(answer)
        return counts

    def _end(self, partition: TopicPartition) -> int:
        offsets = self._watcher.get_watermark_offsets(partition, timeout=_REQUEST_SECONDS)
        if offsets is None:
            raise TimeoutError(f"Kafka did not tell the end of {self.topic} in time")
        return int(offsets[1])

    def _stand_in(self, port: int, gitlab_port: int, options: list[str]) -> None:
        self._warehouse_folder.mkdir()
        ports = ["--port", str(port), "--gitlab-port", str(gitlab_port)]
        process = Process(
            "the stand-in warehouse",
            [sys.executable, "-m", "tools.benchmarks.warehouse", *ports, *options],
            log=self._warehouse_folder / "log",
            ready=lambda: listens(port) and listens(gitlab_port),
            environment=complete({}),
            folder=self._warehouse_folder,
        )
        self.run(process)

    def _declare(self) -> None:
        """Declare exchange and queues as the daemon does."""
        config = RabbitMQConfig(
            hosts=(self._rig.rabbitmq.host,),
            port=self._rig.rabbitmq.port,
            virtual_host=self._rig.rabbitmq.vhost,
            user=self._rig.rabbitmq.user,
            password=Secret(self._rig.rabbitmq.password),
            ca_file=None,
            exchange=self.exchange,
            queue=self.queue,
            routing_keys=_ROUTING_KEYS,
        )
        connection = connect(config, "benchmark")
        MainQueue(config, is_temporary=False).declare(connection)
        close(connection)
        self._stack.callback(self._delete)

    def _delete(self) -> None:
        delays = [delay_queue(self.queue, seconds) for seconds in DELAYS]
        with self._rig.channel() as channel:
            for name in (self.queue, dead_letter_queue(self.queue), *delays):
                channel.queue_delete(name)
            channel.exchange_delete(self.exchange)

    def _wait_for_queue(self, count: int) -> None:
        deadline = time.monotonic() + _PATIENCE
        while (seen := self.left_in_queue()) < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"only {seen} of {count} notifications came into the queue")
            time.sleep(_POLL_SECONDS)


def publish(channel: BlockingChannel, exchange: str, notification: Notification) -> None:
    """Publish a notification that survives a restart of the broker."""
    channel.basic_publish(
        exchange,
        notification.routing_key,
        notification.body,
        pika.BasicProperties(
            delivery_mode=2,
            content_type="application/json",
            headers={"x-cki-attempts": 1} if notification.is_returned else None,
        ),
    )


def _consumer(bootstrap: str) -> Consumer:
    return Consumer({"bootstrap.servers": bootstrap, "group.id": "benchmark", "log_level": 0})
