"""One Kafka topic on any server: made, read, removed.

``python -m tools.demo.topic`` makes the one that the ``KAFKA_…`` variables name, if it is missing.
"""

import os
import sys
import time
from collections.abc import Mapping
from typing import Any

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Producer,
)
from confluent_kafka import TopicPartition as Position
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from cki_notifier.configuration.settings import read_config, revealed
from cki_notifier.kafka.client import setting_faults
from tools.brokers.kafka import Record, record_of

#: How long one request to a broker may take.
_REQUEST_SECONDS = 10.0

_PAUSE_SECONDS = 0.05

#: librdkafka's log on standard error, from errors on: why a server can't be reached is only there.
_QUIET: Mapping[str, Any] = {"log_level": 3}

#: What the daemon's configuration asks for besides Kafka.
_ELSEWHERE = {
    "CKI_DEPLOYMENT_ENVIRONMENT": "staging",
    "DATAWAREHOUSE_URL": "http://127.0.0.1",
    "DATAWAREHOUSE_TOKEN": "none",
}


class Topic:
    """A topic by its name on the server that `KAFKA_…` variables lead to.

    The daemon's own reading of the variables is used, so that whatever leads the daemon to the
    server leads here as well.

    Raises:
        ConfigurationError: there are faults in the variables.
    """

    def __init__(self, variables: Mapping[str, str]) -> None:
        config = read_config(
            _ELSEWHERE | dict(variables), needs_rabbitmq=False, check_kafka=setting_faults
        )
        assert config.kafka is not None  # read for staging, which needs it
        self.name = config.kafka.topic
        self._settings: dict[str, Any] = {**revealed(config.kafka.settings), **_QUIET}

    def exists(self) -> bool:
        """Tell whether the server has the topic; raises `KafkaException` when it can't say."""
        consumer = _consumer(self._settings)
        try:
            return bool(_partitions(consumer, self.name))
        finally:
            consumer.close()

    def ask_for(self) -> None:
        """Bring the topic into being on a server that makes what it is asked for."""
        Producer(self._settings).list_topics(self.name, timeout=_REQUEST_SECONDS)

    def create(self) -> None:
        """Create the topic with the server's own defaults; raises `KafkaException` when refused."""
        # Held until the end: a client that is gone answers nothing.
        admin = AdminClient(self._settings)
        topic = NewTopic(self.name, num_partitions=-1, replication_factor=-1)
        admin.create_topics([topic])[self.name].result(timeout=_REQUEST_SECONDS)

    def wait(self) -> None:
        """Return when all brokers know of the topic, which was just created, or soon will."""
        deadline = time.monotonic() + _REQUEST_SECONDS
        while not self.exists() and time.monotonic() < deadline:
            time.sleep(_PAUSE_SECONDS)

    def delete(self) -> None:
        """Delete the topic; raises `KafkaException` when refused."""
        admin = AdminClient(self._settings)
        admin.delete_topics([self.name])[self.name].result(timeout=_REQUEST_SECONDS)

    def reader(self, *, from_the_beginning: bool) -> "Reader":
        """Return a reader of all there is, or of what comes from now on."""
        return Reader(self._settings, self.name, from_the_beginning=from_the_beginning)


class Reader:
    """Reads all partitions; nothing is committed and no group is joined."""

    def __init__(
        self, settings: Mapping[str, Any], topic: str, *, from_the_beginning: bool
    ) -> None:
        self._consumer = _consumer(settings)
        self.trouble = ""
        positions = [Position(topic, each) for each in _partitions(self._consumer, topic)]
        for position in positions:
            # The end has to be known now: `OFFSET_END` is looked up when the reading begins.
            position.offset = OFFSET_BEGINNING if from_the_beginning else self._end(position)
        self._consumer.assign(positions)

    def poll(self, seconds: float) -> Record | None:
        """Wait for the next message, None when there is none in time.

        An error, after which librdkafka tries again by itself, is kept in `trouble`.
        """
        message = self._consumer.poll(seconds)
        if message is None:
            return None
        if error := message.error():
            self.trouble = error.str()
            return None
        return record_of(message)

    def close(self) -> None:
        """Stop reading."""
        self._consumer.close()

    def _end(self, position: Position) -> int:
        """Return the offset that the next message gets; raises TimeoutError when it's not told."""
        offsets = self._consumer.get_watermark_offsets(position, timeout=_REQUEST_SECONDS)
        if offsets is None:
            raise TimeoutError(f"Kafka did not tell the end of {position.topic} in time")
        return int(offsets[1])


def _consumer(settings: Mapping[str, Any]) -> Consumer:
    return Consumer(
        {
            **settings,
            "group.id": "cki-notifier-demo",  # has to be set, though nothing of the group is used
            "enable.auto.commit": False,
            "fetch.wait.max.ms": 50,
        }
    )


def _partitions(consumer: Consumer, topic: str) -> list[int]:
    """Return the partitions of a topic that have a leader; none when there is no such topic.

    Raises:
        KafkaException: the server can't be reached, or does not tell.
    """
    metadata = consumer.list_topics(topic, timeout=_REQUEST_SECONDS).topics[topic]
    if metadata.error and metadata.error.code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
        raise KafkaException(metadata.error)
    return sorted(each.id for each in metadata.partitions.values() if each.leader != -1)


def main() -> int:
    """Make the topic, unless it is there; return the exit code."""
    topic = Topic(os.environ)
    if not topic.exists():
        topic.create()
        topic.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
