"""Reads the headers of the topic's records, in a range of offsets of each partition.

It joins no group and commits nothing. It handles the markers of transactions, an end that a broker
reports before its records, and brokers that fall silent.
"""

import logging
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from cki_notifier.configuration.settings import KafkaConfig, revealed
from cki_notifier.kafka.client import (
    LIBRDKAFKA_LOG,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
    described,
    reading,
)

logger = logging.getLogger(__name__)

#: By partition, the first offset and the one behind the last.
Ranges = Mapping[int, tuple[int, int]]

#: Kafka's special times (Kafka protocol, ListOffsets).
LATEST, EARLIEST = -1, -2
#: The pause after a failed attempt, in seconds.
PAUSE_SECONDS = 1.0
#: The timeout of a request to the brokers, in seconds.
_ASK_SECONDS = 5.0
#: The timeout of a broker that has reported the topic's end, but sends no records, in seconds.
_STALLED_SECONDS = 15.0
_POLL_SECONDS = 0.1
_MOST_AT_ONCE = 500
#: Errors about the group, which the scan doesn't need.
_IMMATERIAL = frozenset(
    {KafkaError.GROUP_AUTHORIZATION_FAILED, KafkaError.COORDINATOR_NOT_AVAILABLE}
)


class Scan:
    """Reads one topic. Used by one thread.

    Every method raises KafkaException if Kafka doesn't answer or refuses.

    Attributes:
        trouble: librdkafka's last error, ``""`` while records arrive.
    """

    def __init__(self, config: KafkaConfig) -> None:
        self._topic = config.topic
        self.trouble = ""
        settings: dict[str, Any] = reading(revealed(config.settings))
        self._consumer = Consumer(settings | {"error_cb": self._note}, logger=LIBRDKAFKA_LOG)

    def close(self) -> None:
        """Disconnect."""
        self._consumer.close()

    def partitions(self) -> list[int]:
        """Return the topic's partitions, none if the topic doesn't exist."""
        topic = self._consumer.list_topics(self._topic, timeout=_ASK_SECONDS).topics[self._topic]
        if topic.error is None:
            return list(topic.partitions)
        if topic.error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            return []
        raise KafkaException(topic.error)

    def offsets(self, partitions: list[int], since: int) -> dict[int, int]:
        """Return the offset of the first record since a time, by partition.

        Without such a record, the offset is ``sys.maxsize``.

        Args:
            partitions: the partitions to ask about.
            since: milliseconds since 1970, :data:`EARLIEST`, or :data:`LATEST` for the offset of
                the next record.
        """
        asked = [TopicPartition(self._topic, it, since) for it in partitions]
        told = self._consumer.offsets_for_times(asked, timeout=_ASK_SECONDS) if asked else []
        for it in told:
            if it.error is not None:
                raise KafkaException(it.error)
        return {it.partition: it.offset if it.offset >= 0 else sys.maxsize for it in told}

    def read(
        self,
        ranges: Ranges,
        take: Callable[[Message], object],
        go_on: Callable[[], object] = lambda: None,
    ) -> bool:
        """Read a range of each partition; return whether it had to read.

        Args:
            ranges: by partition.
            take: called with each record, and perhaps with some newer ones.
            go_on: called repeatedly. An exception from it ends the reading.
        """
        left = {it: end for it, (start, end) in ranges.items() if start < end}
        if not left:
            return False
        self._consumer.assign([TopicPartition(self._topic, it, ranges[it][0]) for it in left])
        heard = time.monotonic()
        while left:
            message = self._consumer.poll(_POLL_SECONDS)
            if message is not None:
                for one in (message, *self._consumer.consume(_MOST_AT_ONCE, 0)):
                    _pass(one, left, take)
                heard, self.trouble = time.monotonic(), ""
            elif time.monotonic() - heard > _STALLED_SECONDS:
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001  # its name
            go_on()
        self._consumer.unassign()
        return True

    def _note(self, error: KafkaError) -> None:
        """Note an error of librdkafka, which retries by itself."""
        self.trouble = described(error)
        logger.debug("kafka: reading the topic: %s", error.str())


def is_forbidden(error: KafkaException | MemoryError) -> bool:
    """Tell whether the error is a missing right to the topic."""
    reason = error.args[0] if error.args else ""
    return isinstance(reason, KafkaError) and reason.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED


def _pass(message: Message, left: dict[int, int], take: Callable[[Message], object]) -> None:
    """Pass a record on, and drop its partition from ``left`` at the end of the range."""
    error, partition, offset = message.error(), message.partition(), message.offset()
    if error is None:
        take(message)
        offset = (offset or 0) + 1
    elif error.code() in _IMMATERIAL:
        return
    elif error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001  # its name
        raise KafkaException(error)
    if partition in left and (offset or 0) >= left[partition]:
        del left[partition]
