"""Looks up in the topic whether an event's record is there already.

The topic is the only ledger, so a lookup finds a record of any process. It reads the headers of all
partitions, because the topic may have got more of them. It starts at the earliest possible time of
the record and stops at the end that the topic had at the question. The reader remembers the
headers: many questions at once need one scan, and later questions only the new records.

The reader exists while there are questions, and for a minute after. It joins no group and commits
nothing.
"""

import logging
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from concurrent.futures import Future
from contextlib import suppress
from datetime import datetime
from typing import Any

from msgspec import Struct

from cki_notifier.configuration.settings import KafkaConfig
from cki_notifier.kafka.client import KafkaException, described
from cki_notifier.kafka.scan import EARLIEST, LATEST, PAUSE_SECONDS, Ranges, Scan, is_forbidden
from cki_notifier.notification.errors import Unavailable
from cki_notifier.telemetry import metrics
from cki_notifier.workers.deadline import Deadline
from cki_notifier.workers.threads import start_vital

logger = logging.getLogger(__name__)

#: The headers with an event's id and type (CloudEvents, Kafka protocol binding).
_ID, _TYPE = "ce_id", "ce_type"
#: The longest ones of cki-notifier, in bytes.
_LONGEST_ID, _LONGEST_TYPE = 36, 100
#: The greatest expected difference between the clocks of DataWarehouse and cki-notifier.
_MARGIN_SECONDS = 3600.0
#: The most remembered ids: ten days of 20,000 records, in about 30 MiB.
_MOST_IDS = 200_000
#: The reader ends after this time without a question, in seconds.
_IDLE_SECONDS = 60.0
#: Without the right to read the topic, the pause before the next attempt, in seconds.
_FORBIDDEN_SECONDS = 60.0
#: The interval in which a waiting thread checks its deadline, in seconds.
_LOOK_SECONDS = 1.0


class _Question(Struct, frozen=True, eq=False):
    """A wanted event.

    Attributes:
        since: the earliest possible time of its record, in milliseconds since 1970.
        answer: the event's type, or None if the topic has no record of it.
    """

    event_id: bytes
    since: int
    answer: Future[str | None]


class Ledger:
    """Answers whether an event's record is in the topic. Thread-safe."""

    def __init__(self, config: KafkaConfig) -> None:
        self._config = config
        self._changed = threading.Condition()
        self._questions: list[_Question] = []
        self._thread: threading.Thread | None = None
        self._trouble = "no answer"
        self._forbidden_until = 0.0  # and then until a successful read

    def find(self, event_id: str, existed_at: datetime | None, deadline: Deadline) -> str | None:
        """Look an event up.

        Args:
            event_id: its ``ce_id``.
            existed_at: a time at which the event existed, None if unknown.
            deadline: limits the wait for Kafka.

        Returns:
            The ``ce_type`` of its record. None without a record, or without the right to read it.

        Raises:
            Unavailable: no answer in time.
            Interrupted: the process is stopping.
        """
        since = EARLIEST
        if existed_at is not None:
            since = max(0, int((existed_at.timestamp() - _MARGIN_SECONDS) * 1000))
        found, result = None, "forbidden"
        if time.monotonic() >= self._forbidden_until:
            found = self._wait(self._ask(_Question(event_id.encode(), since, Future())), deadline)
        if found is not None:
            result = "found"
        elif not self._forbidden_until:
            result = "absent"
        metrics.topic_lookups.labels(result).inc()
        return found

    def _ask(self, question: _Question) -> "Future[str | None]":
        with self._changed:
            self._questions.append(question)
            self._changed.notify()
            if self._thread is None:
                try:
                    self._thread = start_vital("kafka reader", self._serve)
                except RuntimeError as error:
                    raise Unavailable("kafka", str(error), hiccup=True, held=True) from error
        return question.answer

    def _wait(self, answer: "Future[str | None]", deadline: Deadline) -> str | None:
        try:
            while True:
                with suppress(TimeoutError):
                    return deadline.wait_for(answer, _LOOK_SECONDS, "a lookup in the topic")
                text = f"the topic can't be read: {self._trouble}"
                deadline.check(Unavailable("kafka", text, hiccup=True, held=True))
        finally:
            answer.cancel()

    def _serve(self) -> None:
        """Answer questions until none comes for a while."""
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
                if reader.may_read and self._forbidden_until:
                    self._forbidden_until = 0.0
                    logger.warning("kafka: the topic %s can be read now", self._config.topic)
                for question in questions:
                    _answer(question, found.get(question.event_id))
        if reader is not None:
            reader.close()

    def _next(self) -> list[_Question]:
        """Wait for questions and return them; none after the idle time."""
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
        self._trouble = described(error)
        if not is_forbidden(error):
            logger.debug("kafka: the topic can't be read: %s", self._trouble)
            time.sleep(PAUSE_SECONDS)
            with self._changed:
                self._questions += questions
            return
        if not self._forbidden_until:
            logger.error(
                "kafka: we may not read the topic %s, so redeliveries and retries may cause "
                "duplicates; grant our user the right Read",
                self._config.topic,
            )
        self._forbidden_until = time.monotonic() + _FORBIDDEN_SECONDS
        for question in questions:
            _answer(question, None)


class _Reader:
    """Reads the topic forward and remembers its events.

    Attributes:
        may_read: whether it has read any record.
    """

    def __init__(self, config: KafkaConfig) -> None:
        self._topic = Scan(config)
        self.may_read = False
        self._forget()

    def close(self) -> None:
        """Disconnect."""
        self._topic.close()

    def look(self, questions: Iterable[_Question]) -> Mapping[bytes, str]:
        """Return the types of the wanted events in the topic, by their ids.

        Raises:
            KafkaException: Kafka doesn't answer, or forbids it.
        """
        wanted = {it.event_id for it in questions}
        if wanted <= self._types.keys():
            return self._types
        partitions = self._topic.partitions()  # none without a topic
        ends = self._topic.offsets(partitions, LATEST)
        starts = self._topic.offsets(partitions, min(it.since for it in questions))
        if self._is_another_topic(ends):
            self._forget()
        earlier, later = {}, {}
        for partition, end in ends.items():
            start = min(starts[partition], end)
            first, reached = self._read.get(partition, (start, start))
            if start > reached:  # nobody asks for the records in between
                first = reached = start
            earlier[partition], later[partition] = (start, first), (reached, end)
            self._read[partition] = (min(start, first), end)
        self._scan(earlier, wanted)
        self._scan(later, wanted)
        found = self._types
        if self._is_overfull:
            self._forget()
        return found

    def _forget(self) -> None:
        #: Types by event id, and by partition the range of offsets that was read.
        self._types: dict[bytes, str] = {}
        self._read: dict[int, tuple[int, int]] = {}
        self._is_overfull = False

    def _is_another_topic(self, ends: Mapping[int, int]) -> bool:
        """Tell whether the topic was recreated, so that it holds less than before."""
        return any(reached > ends.get(it, 0) for it, (_, reached) in self._read.items())

    def _scan(self, ranges: Ranges, wanted: AbstractSet[bytes]) -> None:
        """Read a range of each partition and remember its events."""
        if self._topic.read(ranges, lambda it: self._remember(it.headers(), wanted)):
            self.may_read = True

    def _remember(self, headers: Any, wanted: AbstractSet[bytes]) -> None:
        headers = dict(headers or ())
        event_id, type_ = headers.get(_ID), headers.get(_TYPE)
        if not isinstance(event_id, bytes) or len(event_id) > _LONGEST_ID:
            return
        if event_id in wanted or len(self._types) < _MOST_IDS:
            type_ = (type_ or b"")[:_LONGEST_TYPE].decode(errors="replace")
            self._types[event_id] = sys.intern(type_)
        else:
            self._is_overfull = True


def _answer(question: _Question, type_: str | None) -> None:
    if question.answer.set_running_or_notify_cancel():
        question.answer.set_result(type_)
