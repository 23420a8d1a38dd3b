"""Announces what is missing, one by one, as a manual run does; nothing twice.

The topic says what was announced. It is read on before each message, so that what somebody else
sent meanwhile, a daemon or another audit, is left alone. What an audit that was killed had handed
to Kafka has arrived after a moment, which is waited for once, at the beginning.
"""

import queue
import random
import threading
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from enum import StrEnum

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from cki_notifier.audit.compare import Topic
from cki_notifier.audit.stages import Due
from cki_notifier.by_hand import send as by_hand
from cki_notifier.configuration.settings import RabbitMQConfig
from cki_notifier.notification.command_words import ManualRun
from cki_notifier.notification.errors import Interrupted, NotifierError
from cki_notifier.notification.models import Ignored
from cki_notifier.pipeline import Announcement, Pipeline
from cki_notifier.telemetry.terminal import progress, show
from cki_notifier.workers.deadline import Deadline
from cki_notifier.workers.signals import postponed
from cki_notifier.workers.threads import beside

#: While Kafka answers, what somebody handed to it is in the topic after so long, in seconds.
SETTLE_SECONDS = 2.0


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
    topic: Topic,
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
        topic: what it says was announced.
        rabbitmq: where the daemons are told; None for nowhere.
        settle_seconds: before the topic is read on for the first time, at least.
    """
    sending = _Sending(pipeline, topic, len(missing), settle_seconds)
    # A handler may interrupt the very code that it would call, so it only puts the signal into a
    # queue that is made for that.
    arrived: queue.SimpleQueue[int] = queue.SimpleQueue()

    def wait() -> int:
        if number := arrived.get():
            sending.stopping.set()
        return number

    with postponed(arrived.put):
        signal = beside("signals", wait)
        try:
            sending.go(missing)
        finally:
            by_hand.tell_daemons_of(sending.runs, rabbitmq)
            arrived.put(0)
    sending.result.signal = signal.result()
    return sending.result


class _Sending:
    """One run; see :func:`send`.

    Attributes:
        stopping: set when a signal has come.
        runs: what the daemons are to be told.
    """

    def __init__(self, pipeline: Pipeline, topic: Topic, total: int, settle_seconds: float) -> None:
        self._pipeline = pipeline
        self._topic = topic
        self._settle_seconds = settle_seconds
        self.stopping = threading.Event()
        self.result = Result(total)
        self.runs: list[ManualRun] = []

    def go(self, missing: Sequence[Due]) -> None:
        """Send one after the other, until a signal comes."""
        # In a pause before the next try, or while Kafka was waited for in vain.
        with progress("sent") as tell, suppress(Interrupted):
            self._settle()
            for due in missing:
                if self.stopping.is_set():
                    break
                self.result.add(self._one(due))
                tell(len(missing), len(self.result.rows), self.result.counts[Became.SENT])

    def _settle(self) -> None:
        """Wait; two that begin at once don't end at once."""
        self.stopping.wait(self._settle_seconds * random.uniform(1, 2))  # noqa: S311  # jitter

    def _one(self, due: Due) -> Row:
        if self._topic.has(due.checkout_id, due.stage):
            return self._there(due)
        deadline = Deadline(by_hand.LONGEST_SECONDS, self.stopping)
        # Its record gets the time of now. Should a try not be confirmed, the record is looked for
        # from now on: one that is older was seen when the topic was read.
        notification = replace(due.notification(), existed_at=datetime.now(UTC))
        decided: Announcement | Ignored | NotifierError
        try:
            decided = by_hand.persist(
                lambda: self._pipeline.decide(notification, deadline), deadline
            )
            # Last of all, so that nobody has much time to send it between this and our record.
            by_hand.persist(lambda: self._topic.read_on(deadline), deadline)
            if self._topic.has(due.checkout_id, due.stage):
                if self.result.rows:  # somebody else sends the same now: they get ahead of us
                    self._settle()
                return self._there(due)
            if isinstance(decided, Announcement):
                by_hand.send(self._pipeline, decided, notification, deadline)
        except Interrupted:
            raise
        except NotifierError as error:
            decided = error
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
        self._say(due, "already in the topic, not sent again")
        return Row(due, Became.THERE)

    def _say(self, due: Due, text: str) -> None:
        show(f"{due.checkout_id} {due.stage}: {text}")
