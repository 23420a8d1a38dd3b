"""One run of a program: its surroundings, its start, its end, and its results."""

import contextlib
import json
import math
import re
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final
from uuid import uuid4

import pika
from confluent_kafka import Consumer, TopicPartition
from pika.adapters.blocking_connection import BlockingChannel

from cki_notifier.configuration.settings import read_operator_config
from cki_notifier.rabbitmq.queues import MainQueue, retry_arguments
from tools.benchmarks.figures import Setup
from tools.benchmarks.meter import Meter, peak_mib, processes_in
from tools.benchmarks.programs import Program
from tools.benchmarks.warehouse import COUNTS_PATH, GITLAB_TOKEN, WAREHOUSE_TOKEN
from tools.benchmarks.workload import Kind, Notification, judge, workload
from tools.brokers.kafka import Kafka, Record, read_topic
from tools.brokers.rabbitmq import RabbitMQ
from tools.notifier import complete
from tools.processes import Process, free_port, listens, wait_until

#: For all runs, which have their queues one after the other.
_EXCHANGE: Final = "benchmark"
_PARTITIONS: Final = 3
#: Timeout for a backlog to reach the queue, or to be read from the topic, in seconds.
_PATIENCE: Final = 60.0
#: A program that writes nothing for this long has stalled, in seconds.
_STALLED_SECONDS: Final = 30.0
#: Time for the last acknowledgements after the last message, in seconds.
_SETTLE_SECONDS: Final = 0.3
_STOP_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.05
_REQUEST_SECONDS: Final = 10.0
_SETTLED: Final = re.compile(r"^cki_notifier_notifications_total\{.*\} (\S+)$", re.MULTILINE)


class TrialError(Exception):
    """A program failed; the text has the end of its log."""


@dataclass(frozen=True, slots=True)
class Rig:
    """A RabbitMQ and a Kafka for all runs, and a folder for logs."""

    rabbitmq: RabbitMQ
    kafka: Kafka
    folder: Path


@contextlib.contextmanager
def private_rig() -> Iterator[Rig]:
    """Run private brokers in this context, and remove them at its end."""
    with tempfile.TemporaryDirectory(prefix="cki-notifier-bench-") as name:
        folder = Path(name)
        with RabbitMQ(folder / "rabbitmq") as rabbitmq, Kafka(folder / "kafka") as kafka:
            yield Rig(rabbitmq, kafka, folder)


class Trial:
    """A stand-in for DataWarehouse, a queue and a topic for a single run of a program.

    Args:
        rig: the brokers.
        program: not started yet.
        setup: of the run.
        stack: its end removes everything.
        progress: gets the number of messages in the topic.
        has_big: whether DataWarehouse has big documents, which take a second to make.

    Attributes:
        warehouse, gitlab: URLs, without a slash at the end.
        meter: of the ``program``, and of ``warehouse``, ``rabbitmq`` and ``kafka``.
        published: when each notification was published, by checkout id, in seconds since 1970.
        started: when the program started, in seconds since 1970.
        values: results of any program, after `finish`.
        fault: the failures, after `finish`; empty for none.
    """

    def __init__(
        self,
        rig: Rig,
        program: Program,
        setup: Setup,
        stack: contextlib.ExitStack,
        *,
        progress: Callable[[int], None] = lambda _: None,
        has_big: bool = False,
    ) -> None:
        name = uuid4().hex[:8]
        self._rig = rig
        self._program = program
        self._progress = progress
        self._stack = stack
        self._folder = rig.folder / name
        self._queue = f"queue.{name}"
        self._topic = f"topic.{name}"
        ports = free_port(), free_port()
        self.warehouse, self.gitlab = (f"http://127.0.0.1:{port}" for port in ports)
        self.setup = setup
        self._workload = workload(
            self.gitlab, merge_requests=setup.merge_requests, returned=setup.returned
        )
        self._notifications: list[Notification] = []
        self._expected = 0
        self.published: dict[str, float] = {}
        self._processes: list[Process] = []
        self._metrics_ports = [free_port() for _ in range(setup.processes)]
        self.started = 0.0
        self.values: dict[str, float] = {}
        self.fault = ""
        self._start_stand_in(*ports, has_big=has_big)
        self._channel = self._declare_queue()
        self._watcher = self._create_topic()
        self.meter = Meter(
            {
                "program": [],
                "warehouse": processes_in(self._folder / "warehouse"),
                "rabbitmq": processes_in(rig.rabbitmq.folder),
                "kafka": processes_in(rig.kafka.folder),
            }
        )
        stack.callback(self.meter.stop)

    def take(self, how_many: int) -> list[Notification]:
        """Return the next notifications."""
        return list(islice(self._workload, how_many))

    def publish(self, notifications: Sequence[Notification], per_second: float = math.inf) -> None:
        """Publish persistent notifications."""
        begin = time.perf_counter()
        for index, each in enumerate(notifications):
            if (wait := begin + index / per_second - time.perf_counter()) > 0:
                time.sleep(wait)
            self.published[each.checkout_id] = time.time()
            properties = pika.BasicProperties(
                delivery_mode=2,
                content_type="application/json",
                headers={"x-cki-attempts": 1} if each.is_returned else None,
            )
            self._channel.basic_publish(_EXCHANGE, each.routing_key, each.body, properties)
        self._notifications += notifications
        self._expected += sum(it.kind is not Kind.NOISE for it in notifications)

    def wait_for_queue(self) -> None:
        """Return when all published notifications are in the queue; only before `start`.

        The broker holds back notifications that a new queue does not accept at once.
        """
        count = len(self._notifications)
        wait_until(lambda: self._left() >= count, seconds=_PATIENCE, what=f"a queue of {count}")

    def start(self) -> None:
        """Start the program's processes."""
        self.started = time.time()
        for index, port in enumerate(self._metrics_ports):
            folder = self._folder / f"program-{index}"
            environment = self._environment() | {"CKI_METRICS_PORT": str(port)}
            process = Process(
                self._program.name,
                self._program.command,
                log=folder / "log",
                ready=partial(_are_any_in, folder),
                environment={**environment, **self._program.environment},
                folder=folder,
            )
            self._run(process)
            self._processes.append(process)
            self.meter.groups["program"].extend(processes_in(folder))

    def missing(self) -> int:
        """Return how many expected messages are missing in the topic."""
        written = self._written()
        self._progress(written)
        return self._expected - written

    def wait(self) -> None:
        """Return when all expected messages are in the topic.

        Raises:
            TrialError: the program stalled or ended.
        """
        before, since = self.missing(), time.monotonic()
        while (now := self.missing()) > 0:
            if now != before:
                before, since = now, time.monotonic()
            elif time.monotonic() - since > _STALLED_SECONDS:
                raise TrialError(f"{self._program.name} lacks {now} messages:\n{self._logs()}")
            elif not all(process.running for process in self._processes):
                raise TrialError(f"{self._program.name} ended by itself:\n{self._logs()}")
            time.sleep(_POLL_SECONDS)

    def finish(self) -> list[Record]:
        """Stop the program, and judge it; return all records in the order of writing."""
        time.sleep(_SETTLE_SECONDS)
        self.meter.stop()
        peaks = list(map(peak_mib, self.meter.groups["program"]))
        self.values |= {"peak_mib": sum(peaks), "largest_mib": max(peaks)}
        if self._program.has_metrics:
            settled = list(map(_settled, self._metrics_ports))
            self.values["evenness"] = min(settled) / max(settled)
        for process in self._processes:
            process.stop(seconds=_STOP_SECONDS)
        records = self._records()
        wrong = judge(self._notifications, records, self._left())
        self.values |= {"lost": wrong["lost"], "repeated": wrong["repeated"]}
        self.fault = ", ".join(f"{count} {what}" for what, count in wrong.items() if count)
        return records

    def cpu_ms(self, start: float, end: float, handled: float) -> float:
        """Return the program's CPU milliseconds for each of the ``handled`` notifications."""
        return 1000 * self.meter.cpu_between("program", start, end) / handled

    def shares(self, start: float, end: float) -> dict[str, float]:
        """Return the share of a core that each of the surroundings used, by its name."""
        return {
            name: self.meter.cpu_between(name, start, end) / (end - start)
            for name in ("warehouse", "rabbitmq", "kafka")
        }

    def asked(self) -> dict[str, int]:
        """Return how many requests the stand-in ``answered``, and how many it ``refused``."""
        url = self.warehouse + COUNTS_PATH
        with urllib.request.urlopen(url, timeout=_REQUEST_SECONDS) as answer:  # noqa: S310  # ours
            counts: dict[str, int] = json.load(answer)
        return counts

    def _start_stand_in(self, port: int, gitlab_port: int, *, has_big: bool) -> None:
        folder = self._folder / "warehouse"
        options = [str(port), str(gitlab_port), str(self.setup.latency), *["big"] * has_big]
        process = Process(
            "the stand-in for DataWarehouse",
            [sys.executable, "-m", "tools.benchmarks.warehouse", *options],
            log=folder / "log",
            ready=lambda: listens(port) and listens(gitlab_port),
            environment=complete({}),
            folder=folder,
        )
        self._run(process)

    def _declare_queue(self) -> BlockingChannel:
        """Declare the daemon's queues; return a channel."""
        # This connection sends no heartbeats.
        parameters = self._rig.rabbitmq.parameters(heartbeat=0)
        connection = self._stack.enter_context(pika.BlockingConnection(parameters))
        channel = connection.channel()
        channel.exchange_declare(_EXCHANGE, "topic", durable=True)
        for queue in (self._queue, *retry_arguments(self._queue)):
            self._stack.callback(channel.queue_delete, queue)
        config = read_operator_config(self._environment()).rabbitmq
        MainQueue(config, is_temporary=False).declare(connection)
        return channel

    def _create_topic(self) -> Consumer:
        """Create the topic; return a consumer for its length."""
        kafka = self._rig.kafka
        settings = {"message.timestamp.type": "LogAppendTime"}
        kafka.create_topic(self._topic, _PARTITIONS, settings)
        self._stack.callback(kafka.delete_topic, self._topic)
        consumer = Consumer(
            {"bootstrap.servers": kafka.bootstrap, "group.id": "benchmark", "log_level": 0}
        )
        self._stack.callback(consumer.close)
        return consumer

    def _environment(self) -> dict[str, str]:
        return complete(
            {
                "CKI_DEPLOYMENT_ENVIRONMENT": "staging",
                "CKI_LOGGING_LEVEL": "WARN",
                "CKI_LOGGING_FORMAT": "text",
                "CKI_METRICS_ENABLED": "true",
                "CKI_NOTIFIER_IN_FLIGHT": str(self.setup.in_flight),
                "DATAWAREHOUSE_URL": self.warehouse,
                "DATAWAREHOUSE_TOKEN": WAREHOUSE_TOKEN,
                "GITLAB_TOKENS": json.dumps({self.gitlab.partition("//")[2]: "GITLAB_TOKEN"}),
                "GITLAB_TOKEN": GITLAB_TOKEN,
                "RABBITMQ_HOST": self._rig.rabbitmq.host,
                "RABBITMQ_PORT": str(self._rig.rabbitmq.port),
                "RABBITMQ_QUEUE": self._queue,
                "RABBITMQ_ROUTING_KEYS": "datawarehouse.#",
                "WEBHOOK_RECEIVER_EXCHANGE": _EXCHANGE,
                "KAFKA_BOOTSTRAP_SERVERS": self._rig.kafka.bootstrap,
                "KAFKA_TOPIC": self._topic,
            }
        )

    def _run(self, process: Process) -> None:
        """Start a process; the stack kills it."""
        process.log.parent.mkdir(parents=True)
        self._stack.callback(process.kill)
        process.start()

    def _left(self) -> int:
        """Return how many notifications are ready in the queue; exact while no program runs."""
        return int(self._channel.queue_declare(self._queue, passive=True).method.message_count)

    def _written(self) -> int:
        """Return how many records are in the topic, without reading them."""
        ends = (
            self._watcher.get_watermark_offsets(
                TopicPartition(self._topic, each), timeout=_REQUEST_SECONDS
            )
            for each in range(_PARTITIONS)
        )
        return sum(end[1] for end in ends)

    def _records(self) -> list[Record]:
        count = self._written()
        found = read_topic(
            self._rig.kafka.bootstrap,
            self._topic,
            seconds=_PATIENCE if count else 0,
            until=lambda seen: len(seen) >= count,
        )
        return sorted(found, key=lambda it: it.timestamp_ms)

    def _logs(self) -> str:
        return "\n".join(process.tail() for process in self._processes)


def _are_any_in(folder: Path) -> bool:
    return bool(processes_in(folder))


def _settled(metrics_port: int) -> float:
    """Return how many notifications a process has settled, by its metrics."""
    url = f"http://127.0.0.1:{metrics_port}/metrics"
    with urllib.request.urlopen(url, timeout=_REQUEST_SECONDS) as answer:
        return sum(map(float, _SETTLED.findall(answer.read().decode())))
