"""Sends missing messages, as the command does, in a process that tests kill."""

import os
import signal
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from cki_notifier.audit.compare import Topic
from cki_notifier.audit.send import Result, send
from cki_notifier.audit.stages import Due
from cki_notifier.configuration.certificates import certificate_authorities
from cki_notifier.configuration.settings import Config, KafkaConfig, read_config
from cki_notifier.kafka.ledger import Ledger
from cki_notifier.kafka.publish import Publisher, Record
from cki_notifier.notification.errors import DeliveryUnknown
from cki_notifier.notification.models import Position
from cki_notifier.pipeline import Pipeline, Publishes
from cki_notifier.sources.datawarehouse import DataWarehouse
from cki_notifier.sources.gitlab import GitLab
from cki_notifier.sources.http import HTTP
from cki_notifier.sources.load import Loader
from cki_notifier.sources.transfer import Transfers
from cki_notifier.telemetry import log
from cki_notifier.workers.deadline import Deadline
from cki_notifier.workers.shares import shares_of


class Order(msgspec.Struct):
    """The process' order.

    Attributes:
        settle_seconds: the pause before the first message.
        dies_at: at which message it is killed, counted from 1; 0 for never.
        dies_after: the seconds from handing the message over; None for after its confirmation.
        unconfirmed_at: the message whose confirmation gets lost; 0 for none.
        waits: whether to wait, after the audit, for a line on standard input.
    """

    missing: list[Due]
    settle_seconds: float = 0.2
    dies_at: int = 0
    dies_after: float | None = None
    unconfirmed_at: int = 0
    waits: bool = False


class Counted(Topic):
    """The topic since an hour ago; counts how often it is read."""

    def __init__(self, config: KafkaConfig) -> None:
        super().__init__(config, datetime.now(UTC) - timedelta(hours=1))
        self.reads = 0

    def read_on(self, deadline: Deadline) -> None:
        """Read up to its end."""
        self.reads += 1
        super().read_on(deadline)


class Faulty:
    """A publisher that is killed with the process, or does not get its confirmation."""

    def __init__(self, publisher: Publishes, order: Order) -> None:
        self._publisher = publisher
        self._order = order
        self._count = 0

    def publish(self, record: Record, deadline: Deadline) -> Position | None:
        """Publish, and fail as ordered."""
        self._count += 1
        dies = self._count == self._order.dies_at
        if dies and self._order.dies_after is not None:
            threading.Timer(self._order.dies_after, _die).start()
        position = self._publisher.publish(record, deadline)
        if dies:
            if self._order.dies_after is None:
                _die()
            signal.pause()
        if self._count == self._order.unconfirmed_at:
            raise DeliveryUnknown("kafka", "the confirmation got lost", hiccup=True, held=True)
        return position


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def run(config: Config, order: Order, topic: Topic) -> Result:
    """Send by a pipeline as the command's."""
    assert config.kafka is not None
    shares = shares_of(config.in_flight)
    http = HTTP(Transfers(certificate_authorities()), shares)
    warehouse = DataWarehouse(http, config.datawarehouse)
    loader = Loader(warehouse, GitLab(http, config.gitlab_tokens), None)
    publisher = Publisher(config.kafka)
    pipeline = Pipeline(
        loader, Faulty(publisher, order), config.datawarehouse.url, Ledger(config.kafka)
    )
    seconds = order.settle_seconds
    try:
        return send(order.missing, pipeline, topic, config.rabbitmq, settle_seconds=seconds)
    finally:
        publisher.close(5)


def main() -> None:
    """Run the order in the file named on the command line; print the result."""
    order = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Order)
    config = read_config()
    log.set_up(config.logging_level, config.logging_format)
    assert config.kafka is not None
    topic = Counted(config.kafka)
    topic.read_on(Deadline(30))
    missing = [it for it in order.missing if not topic.has(it.checkout_id, it.stage)]
    order.missing = missing
    if order.waits:
        sys.stderr.write("the topic is read\n")
        sys.stderr.flush()
        sys.stdin.readline()
    result = run(config, order, topic)
    topic.close()
    sys.stdout.buffer.write(msgspec.json.encode(result))


if __name__ == "__main__":
    main()
