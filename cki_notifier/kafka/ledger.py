"""The topic as the ledger: tells whether an event's record is in the topic already.

Nothing else keeps what was sent, so nothing else can be wrong about it: whichever process wrote a
record, it is found. All partitions are read, so that a topic that grew is right too: headers alone
matter, from the earliest moment at which the record can have been written, up to the end that the
topic had when the question was asked. What was read is remembered, so that many questions at once
need one scan, and the next ones only what was added since.

There is a reader only while there are questions, and for a minute after. It joins no group and
commits nothing.
"""

import logging
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from datetime import datetime
from typing import Any

from msgspec import Struct

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
from cki_notifier.notification.errors import Unavailable
from cki_notifier.telemetry import metrics
from cki_notifier.workers.deadline import Deadline
from cki_notifier.workers.threads import start_vital

logger = logging.getLogger(__name__)

#: What identifies an event, and what tells its type (CloudEvents, Kafka protocol binding).
_ID, _TYPE = "ce_id", "ce_type"
#: None of ours is longer, in bytes.
_LONGEST_ID, _LONGEST_TYPE = 36, 100
#: The clocks of whoever made the notification and of whoever wrote the record may differ so much.
_MARGIN_SECONDS = 3600.0
#: So many ids are remembered: ten days of 20,000 records need some 30 MiB.
_MOST_IDS = 200_000
#: The reader is given up when nobody has asked for so long, in seconds.
_IDLE_SECONDS = 60.0
#: Who has no right to read the topic is asked again so often whether that has changed, in seconds.
_FORBIDDEN_SECONDS = 60.0
#: For one question to the brokers, and before the next try after one that failed, in seconds.
_ASK_SECONDS, _PAUSE_SECONDS = 5.0, 1.0
#: A broker that has told of an end of the topic and sends nothing up to it for so long is asked
#: anew, in seconds.
_STALLED_SECONDS = 15.0
_POLL_SECONDS = 0.1
_MOST_AT_ONCE = 500
#: Who waits for an answer looks up so often, in seconds.
_LOOK_SECONDS = 1.0
#: Kafka's words for times that are none (its protocol, ListOffsets).
_LATEST, _EARLIEST = -1, -2
#: Not about the topic: without the right to a group there is still no need of one.
_IMMATERIAL = frozenset(
    {KafkaError.GROUP_AUTHORIZATION_FAILED, KafkaError.COORDINATOR_NOT_AVAILABLE}
)


class _Question(Struct, frozen=True, eq=False):
    """An event that is looked for.

    Attributes:
        since: its record can't have been written before, in milliseconds since 1970.
        answer: the event's type when it is there, None when it is not.
    """

    event_id: bytes
    since: int
    answer: Future[str | None]


class Ledger:
    """Answers whether an event's record is in the topic; used by all threads.

    Args:
        config: the topic, and settings that
            :func:`cki_notifier.kafka.client.setting_faults` accepted.
    """

    def __init__(self, config: KafkaConfig) -> None:
        self._config = config
        self._changed = threading.Condition()
        self._questions: list[_Question] = []
        self._thread: threading.Thread | None = None
        self._trouble = "it does not answer"
        self._forbidden_until = 0.0
        self._is_forbidden = False

    def find(self, event_id: str, existed_at: datetime | None, deadline: Deadline) -> str | None:
        """Look an event up.

        Args:
            event_id: its ``ce_id``.
            existed_at: there was the event already; None when that is not known.
            deadline: while Kafka is away, it is waited for.

        Returns:
            The ``ce_type`` of its record; None when there is no record, or none that we may read.

        Raises:
            Unavailable: it could not be told in time.
            Interrupted: the process is stopping.
        """
        since = _EARLIEST
        if existed_at is not None:
            since = max(0, int((existed_at.timestamp() - _MARGIN_SECONDS) * 1000))
        question = _Question(event_id.encode(), since, Future())
        if time.monotonic() < self._forbidden_until:
            found, result = None, "forbidden"
        else:
            self._ask(question)
            try:
                found = self._wait(question.answer, deadline)
            finally:
                question.answer.cancel()
            is_unknown = found is None and self._is_forbidden
            result = "forbidden" if is_unknown else "found" if found is not None else "absent"
        metrics.topic_lookups.labels(result).inc()
        return found

    def _ask(self, question: _Question) -> None:
        with self._changed:
            self._questions.append(question)
            self._changed.notify()
            if self._thread is None:
                try:
                    self._thread = start_vital("kafka reader", self._serve)
                except RuntimeError as error:
                    raise Unavailable("kafka", str(error), hiccup=True, held=True) from error

    def _wait(self, answer: "Future[str | None]", deadline: Deadline) -> str | None:
        while True:
            try:
                return deadline.wait_for(answer, _LOOK_SECONDS, "a look into the topic")
            except FutureTimeoutError:
                if not deadline.remaining():
                    text = f"the topic can't be read: {self._trouble}"
                    raise Unavailable("kafka", text, hiccup=True, held=True) from None
                deadline.check()

    def _serve(self) -> None:
        """Answer questions, until nobody asks any more."""
        reader: _Reader | None = None
        while questions := self._next():
            try:
                reader = reader or _Reader(self._config)
                found = reader.look(questions)
            except (KafkaException, MemoryError) as error:
                if reader is not None:
                    reader.close()
                    reader = None
                self._failed(questions, error)
            else:
                if reader.may_read:
                    self._allowed()
                for question in questions:
                    _answer(question, found.get(question.event_id))
        if reader is not None:
            reader.close()

    def _next(self) -> list[_Question]:
        """Return what is asked, nothing when nobody asks any more."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._questions, _IDLE_SECONDS)
                questions, self._questions = self._questions, []
                if not questions:
                    self._thread = None
                    return []
            if awaited := [it for it in questions if not it.answer.cancelled()]:
                return awaited

    def _failed(self, questions: list[_Question], error: KafkaException | MemoryError) -> None:
        reason = error.args[0] if error.args else ""
        self._trouble = described(error)
        if (
            isinstance(reason, KafkaError)
            and reason.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED
        ):
            self._forbidden()
            for question in questions:
                _answer(question, None)
            return
        logger.debug("kafka: the topic can't be read: %s", self._trouble)
        time.sleep(_PAUSE_SECONDS)
        with self._changed:
            self._questions += questions

    def _forbidden(self) -> None:
        """Tell once that the topic can't be read; until it can, nobody is kept waiting."""
        self._forbidden_until = time.monotonic() + _FORBIDDEN_SECONDS
        if not self._is_forbidden:
            self._is_forbidden = True
            logger.error(
                "kafka: we may not read the topic %s, so what may have been sent before is sent "
                "again; have our user allowed to read it",
                self._config.topic,
            )

    def _allowed(self) -> None:
        if self._is_forbidden:
            self._is_forbidden = False
            logger.warning("kafka: the topic %s can be read now", self._config.topic)


class _Reader:
    """Reads the topic forward, and remembers the events it saw.

    Attributes:
        may_read: whether anything was read.
    """

    def __init__(self, config: KafkaConfig) -> None:
        self._topic = config.topic
        settings: dict[str, Any] = reading(revealed(config.settings))
        self._consumer = Consumer(settings | {"error_cb": _note}, logger=LIBRDKAFKA_LOG)
        self.may_read = False
        self._forget()

    def close(self) -> None:
        """Leave the cluster."""
        self._consumer.close()

    def look(self, questions: Iterable[_Question]) -> Mapping[bytes, str]:
        """Return the types of those events whose records are in the topic, by their ids.

        Raises:
            KafkaException: it can't be told.
        """
        wanted = {it.event_id for it in questions}
        if wanted <= self._types.keys():
            return self._types
        partitions = self._partitions()
        ends = self._offsets(partitions, _LATEST)
        starts = self._offsets(partitions, min(it.since for it in questions))
        if self._is_another_topic(ends):
            self._forget()
        found = {it: self._types[it] for it in wanted & self._types.keys()}
        earlier, later = {}, {}
        for partition, end in ends.items():
            start = min(starts[partition], end)
            first, reached = self._read.get(partition, (start, start))
            if start > reached:  # what is between is not asked for
                first = reached = start
            earlier[partition], later[partition] = (start, first), (reached, end)
            self._read[partition] = (min(start, first), end)
        self._scan(earlier, wanted, found)
        self._scan(later, wanted, found)
        if self._is_overfull:
            self._forget()
        return found

    def _forget(self) -> None:
        #: By id; and by partition, from where to where it was read.
        self._types: dict[bytes, str] = {}
        self._read: dict[int, tuple[int, int]] = {}
        self._is_overfull = False

    def _partitions(self) -> list[int]:
        topic = self._consumer.list_topics(self._topic, timeout=_ASK_SECONDS).topics[self._topic]
        if topic.error is None:
            return list(topic.partitions)
        if topic.error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            return []  # nothing is in it
        raise KafkaException(topic.error)

    def _offsets(self, partitions: list[int], since: int) -> dict[int, int]:
        """Return by partition the offset of the first record that is not older."""
        asked = [TopicPartition(self._topic, it, since) for it in partitions]
        told = self._consumer.offsets_for_times(asked, timeout=_ASK_SECONDS) if asked else []
        for it in told:
            if it.error is not None:
                raise KafkaException(it.error)
        return {it.partition: it.offset if it.offset >= 0 else sys.maxsize for it in told}

    def _is_another_topic(self, ends: Mapping[int, int]) -> bool:
        """Tell whether the topic was deleted and made again, so that less is in it than we read."""
        return any(reached > ends.get(it, 0) for it, (_, reached) in self._read.items())

    def _scan(
        self,
        ranges: Mapping[int, tuple[int, int]],
        wanted: AbstractSet[bytes],
        found: dict[bytes, str],
    ) -> None:
        """Read from one offset up to another one of each partition, and note what is wanted."""
        left = {it: end for it, (start, end) in ranges.items() if start < end}
        if not left:
            return
        self._consumer.assign([TopicPartition(self._topic, it, ranges[it][0]) for it in left])
        heard = time.monotonic()
        while left:
            message = self._consumer.poll(_POLL_SECONDS)
            if message is not None:
                for one in (message, *self._consumer.consume(_MOST_AT_ONCE, 0)):
                    self._take(one, left, wanted, found)
                heard = time.monotonic()
            elif time.monotonic() - heard > _STALLED_SECONDS:
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001  # its name
        self.may_read = True
        self._consumer.unassign()

    def _take(
        self,
        message: Message,
        left: dict[int, int],
        wanted: AbstractSet[bytes],
        found: dict[bytes, str],
    ) -> None:
        error, partition, offset = message.error(), message.partition(), message.offset()
        if error is None:
            self._remember(dict(message.headers() or ()), wanted, found)
            offset = (offset or 0) + 1
        elif error.code() in _IMMATERIAL:
            return
        elif error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001  # its name
            raise KafkaException(error)
        if partition in left and (offset or 0) >= left[partition]:
            del left[partition]

    def _remember(
        self, headers: Mapping[str, Any], wanted: AbstractSet[bytes], found: dict[bytes, str]
    ) -> None:
        event_id, type_ = headers.get(_ID), headers.get(_TYPE)
        if not isinstance(event_id, bytes) or len(event_id) > _LONGEST_ID:
            return
        type_ = sys.intern((type_ or b"")[:_LONGEST_TYPE].decode(errors="replace"))
        if event_id in wanted:
            found[event_id] = type_
        if len(self._types) < _MOST_IDS:
            self._types[event_id] = type_
        else:
            self._is_overfull = True


def _answer(question: _Question, type_: str | None) -> None:
    if question.answer.set_running_or_notify_cancel():
        question.answer.set_result(type_)


def _note(error: KafkaError) -> None:
    """Take librdkafka's word that it can't do something now; it goes on trying by itself."""
    logger.debug("kafka: reading the topic: %s", error.str())
