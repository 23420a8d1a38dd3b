"""Reads the headers of the topic's records forward, from offset to offset of each partition.

By hand: it joins no group and commits nothing. What transactions leave in a topic, an end that is
told of before its records come, and brokers that fall silent are dealt with here.
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

#: By partition, from which offset up to which one.
Ranges = Mapping[int, tuple[int, int]]

#: Kafka's words for times that are none (its protocol, ListOffsets).
LATEST, EARLIEST = -1, -2
#: Before the next try after one that failed, in seconds.
PAUSE_SECONDS = 1.0
#: For one question to the brokers, in seconds.
_ASK_SECONDS = 5.0
#: A broker that has told of an end of the topic and sends nothing up to it for so long is asked
#: anew, in seconds.
_STALLED_SECONDS = 15.0
_POLL_SECONDS = 0.1
_MOST_AT_ONCE = 500
#: Not about the topic: without the right to a group there is still no need of one.
_IMMATERIAL = frozenset(
    {KafkaError.GROUP_AUTHORIZATION_FAILED, KafkaError.COORDINATOR_NOT_AVAILABLE}
)


class Scan:
    """Reads one topic; used by one thread.

    Every method raises KafkaException for what can't be told now.

    Attributes:
        trouble: what librdkafka can't do now, as it said last; ``""`` while records come.
    """

    def __init__(self, config: KafkaConfig) -> None:
        self._topic = config.topic
        self.trouble = ""
        settings: dict[str, Any] = reading(revealed(config.settings))
        self._consumer = Consumer(settings | {"error_cb": self._note}, logger=LIBRDKAFKA_LOG)

    def close(self) -> None:
        """Leave the cluster."""
        self._consumer.close()

    def partitions(self) -> list[int]:
        """Return the topic's partitions, none where there is no such topic."""
        topic = self._consumer.list_topics(self._topic, timeout=_ASK_SECONDS).topics[self._topic]
        if topic.error is None:
            return list(topic.partitions)
        if topic.error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            return []
        raise KafkaException(topic.error)

    def offsets(self, partitions: list[int], since: int) -> dict[int, int]:
        """Return by partition the offset of the first record that is not older.

        Where there is none, it is beyond all offsets.

        Args:
            partitions: are asked about.
            since: milliseconds since 1970; or :data:`EARLIEST`, or :data:`LATEST` for the offset
                that the next record will have.
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
        """Read from one offset up to another one of each partition; tell whether there were any.

        Args:
            ranges: by partition.
            take: is given each record; of what was written meanwhile, perhaps some more.
            go_on: called again and again; what it raises ends the reading.
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
        """Take librdkafka's word that it can't do something now; it goes on trying by itself."""
        self.trouble = described(error)
        logger.debug("kafka: reading the topic: %s", error.str())


def is_forbidden(error: KafkaException | MemoryError) -> bool:
    """Tell whether we have no right to the topic."""
    reason = error.args[0] if error.args else ""
    return isinstance(reason, KafkaError) and reason.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED


def _pass(message: Message, left: dict[int, int], take: Callable[[Message], object]) -> None:
    """Hand a record on; note which partition is read to its end."""
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
