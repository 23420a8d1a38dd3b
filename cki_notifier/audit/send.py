"""Announces what is missing, one by one, as a manual run does; nothing twice.

The topic says what was announced. It is read on before each message, so that what somebody else
sent meanwhile, a daemon or another audit, is left alone. What an audit that was killed had handed
to Kafka has arrived after a moment, which is waited for once, at the beginning.
"""

import queue
import random
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from typing import Protocol

import msgspec
from msgspec import Struct

from cki_notifier.audit.stages import STATUS, Due
from cki_notifier.by_hand import send as by_hand
from cki_notifier.configuration.settings import RabbitMQConfig
from cki_notifier.notification.command_words import ManualRun
from cki_notifier.notification.errors import Interrupted, NotifierError
from cki_notifier.notification.models import Ignored, Notification, Stage
from cki_notifier.pipeline import Announcement, Pipeline
from cki_notifier.telemetry.progress import Progress
from cki_notifier.telemetry.terminal import show
from cki_notifier.workers.deadline import Deadline
from cki_notifier.workers.signals import postponed

#: While Kafka answers, what somebody handed to it is in the topic after so long, in seconds.
SETTLE_SECONDS = 2.0


class Announced(Protocol):
    """Whatever knows what the topic says was announced."""

    def has(self, checkout_id: str, stage: Stage) -> bool:
        """Tell whether a checkout's stage was, as far as the topic was read."""

    def read_on(self, deadline: Deadline) -> object:
        """Read what was added to the topic; raises a NotifierError when that can't be had."""


class Became(StrEnum):
    """What became of one that was missing."""

    SENT = "sent"
    THERE = "there"
    IGNORED = "ignored"
    FAILED = "failed"


class Row(Struct, frozen=True):
    """One that was missing, and what became of it.

    Attributes:
        reason: the code of the rule that ignores it now, or why it can't be sent; ``""`` else.
    """

    due: Due
    became: Became
    reason: str = ""


class Result(Struct):
    """What became of those that were missing.

    Attributes:
        total: how many were to be sent.
        rows: of each that was come to, in their order.
        counts: how many of them became what.
        signal: the signal that ended it early, 0 when none did.
    """

    total: int
    rows: list[Row] = msgspec.field(default_factory=list)
    counts: dict[Became, int] = msgspec.field(default_factory=lambda: dict.fromkeys(Became, 0))
    signal: int = 0

    def add(self, row: Row) -> None:
        """Note what became of the next one."""
        self.rows.append(row)
        self.counts[row.became] += 1

    @property
    def left(self) -> int:
        """How many were not come to."""
        return self.total - len(self.rows)


def send(
    missing: Sequence[Due],
    pipeline: Pipeline,
    announced: Announced,
    rabbitmq: RabbitMQConfig | None = None,
    *,
    settle_seconds: float = SETTLE_SECONDS,
) -> Result:
    """Announce what is missing; what happens to each is said on standard error, and logged.

    A failure of one does not stop the others. A signal ends it in order: what was handed to Kafka
    is waited for, and nothing more is begun. A second one ends the process at once, and whoever
    runs it again sends only what is still missing.

    Args:
        missing: in the order in which they are sent.
        pipeline: whose publisher sends.
        announced: the topic.
        rabbitmq: where the daemons are told; None for nowhere.
        settle_seconds: before the topic is read on for the first time, at least.
    """
    with _ending() as ending:
        sending = _Sending(pipeline, announced, ending.stopping, len(missing), settle_seconds)
        try:
            sending.go(missing)
        finally:
            by_hand.tell_daemons_of(sending.runs, rabbitmq)
        sending.result.signal = ending.signal
    return sending.result


class _Ending:
    """What a signal leaves behind."""

    def __init__(self) -> None:
        self.signal = 0
        self.stopping = threading.Event()


@contextmanager
def _ending() -> Iterator[_Ending]:
    """Have a signal noted, and whoever waits woken.

    A handler may interrupt the very code that it would call, so it only puts the signal into a
    queue that is made for that.
    """
    ending = _Ending()
    arrived: queue.SimpleQueue[int] = queue.SimpleQueue()

    def wait() -> None:
        if number := arrived.get():
            ending.signal = number
            ending.stopping.set()

    thread = threading.Thread(target=wait, name="signals", daemon=True)
    thread.start()
    try:
        with postponed(arrived.put):
            yield ending
    finally:
        arrived.put(0)
        thread.join()


class _Sending:
    """One run; see :func:`send`.

    Attributes:
        runs: what the daemons are to be told.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        announced: Announced,
        stopping: threading.Event,
        total: int,
        settle_seconds: float,
    ) -> None:
        self._settle_seconds = settle_seconds
        self._pipeline = pipeline
        self._announced = announced
        self._stopping = stopping
        self._progress = Progress(total, "sent")
        self.result = Result(total)
        self.runs: list[ManualRun] = []

    def go(self, missing: Sequence[Due]) -> None:
        """Send one after the other, until a signal comes."""
        try:
            self._settle()
            for due in missing:
                if self._stopping.is_set():
                    break
                self.result.add(self._one(due))
                self._progress.show(len(self.result.rows), self.result.counts[Became.SENT])
        except Interrupted:
            pass  # in a pause before the next try, or while Kafka was waited for in vain
        finally:
            self._progress.clear()

    def _settle(self) -> None:
        """Wait; two that begin at once don't end at once."""
        self._stopping.wait(self._settle_seconds * random.uniform(1, 2))  # noqa: S311  # jitter

    def _one(self, due: Due) -> Row:
        if self._announced.has(due.checkout_id, due.stage):
            return self._there(due)
        deadline = Deadline(by_hand.LONGEST_SECONDS, self._stopping)
        notification = _notification(due)
        decided: Announcement | Ignored | NotifierError
        try:
            decided = by_hand.persist(
                lambda: self._pipeline.decide(notification, deadline), deadline
            )
            # Last of all, so that nobody has much time to send it between this and our record.
            by_hand.persist(lambda: self._announced.read_on(deadline), deadline)
            if self._announced.has(due.checkout_id, due.stage):
                if self.result.rows:  # somebody else sends the same now: they get ahead of us
                    self._settle()
                return self._there(due)
            if isinstance(decided, Announcement):
                by_hand.send(self._pipeline, decided, notification, deadline)
        except Interrupted:
            raise
        except NotifierError as error:
            decided = error
        self._progress.clear()
        run = by_hand.told_of(notification, decided)
        self.runs.append(run)
        if isinstance(decided, Ignored):
            self._say(due, f"ignored now ({decided.reason}): {decided.reason.sentence}")
            return Row(due, Became.IGNORED, run.reason)
        if isinstance(decided, NotifierError):
            self._say(due, f"not sent: {decided}")
            return Row(due, Became.FAILED, str(decided))
        return Row(due, Became.SENT)

    def _there(self, due: Due) -> Row:
        self._say(due, "is in the topic by now, so it is not sent")
        return Row(due, Became.THERE)

    def _say(self, due: Due, text: str) -> None:
        self._progress.clear()
        show(f"{due.checkout_id} {due.stage}: {text}")


def _notification(due: Due) -> Notification:
    """Return the notification that the warehouse would have sent, by an id that every audit gives.

    There is no time in it: the record gets that of now. Should a try not be confirmed, its record
    is looked for from now on: one that is older was seen when the topic was read.
    """
    return Notification(
        event_id=due.event_id,
        checkout_id=due.checkout_id,
        object_type="checkout",
        status=STATUS[due.stage],
        existed_at=datetime.now(UTC),
    )
