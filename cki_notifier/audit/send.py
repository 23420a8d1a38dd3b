"""Publishes the missing messages one by one, as a manual run does, without duplicates.

Before each message, the audit reads the topic's new records: a daemon or another audit may have
sent it meanwhile. At the beginning, the audit waits for the last messages of a killed one.
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

#: From handing a message to a working Kafka to its record in the topic, at most, in seconds.
SETTLE_SECONDS = 2.0


class Became(StrEnum):
    """How a missing message ended."""

    SENT = "sent"
    THERE = "there"
    IGNORED = "ignored"
    FAILED = "failed"


class Row(Struct, frozen=True):
    """A missing message and how it ended.

    Attributes:
        reason: the code of the rule that ignores it now, or the error; ``""`` otherwise.
    """

    due: Due
    became: Became
    reason: str = ""


class Result(Struct):
    """How the missing messages ended.

    Attributes:
        total: the number of messages to send.
        rows: the handled ones, in their order.
        counts: the number of handled ones by ending.
        signal: the signal that ended the run early, 0 for none.
    """

    total: int
    rows: list[Row] = msgspec.field(default_factory=list)
    counts: dict[Became, int] = msgspec.field(default_factory=lambda: dict.fromkeys(Became, 0))
    signal: int = 0

    def add(self, row: Row) -> None:
        """Add the next one."""
        self.rows.append(row)
        self.counts[row.became] += 1

    @property
    def left(self) -> int:
        """The number of messages that were not handled."""
        return self.total - len(self.rows)


def send(
    missing: Sequence[Due],
    pipeline: Pipeline,
    topic: Topic,
    rabbitmq: RabbitMQConfig | None = None,
    *,
    settle_seconds: float = SETTLE_SECONDS,
) -> Result:
    """Publish the missing messages; show and log how each ends.

    One failure does not stop the others. After a signal, finish the message in flight and begin no
    other. A second signal ends the process at once; the next run sends only messages still missing.

    Args:
        missing: in the order to send.
        pipeline: its publisher sends.
        topic: the messages in the topic.
        rabbitmq: to report the runs to the daemons; None for no report.
        settle_seconds: the least wait before the topic's new records are read.
    """
    sending = _Sending(pipeline, topic, len(missing), settle_seconds)
    # A handler may interrupt any code, so it only puts the signal into a reentrant queue.
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
        stopping: set after a signal.
        runs: the reports for the daemons.
    """

    def __init__(self, pipeline: Pipeline, topic: Topic, total: int, settle_seconds: float) -> None:
        self._pipeline = pipeline
        self._topic = topic
        self._settle_seconds = settle_seconds
        self.stopping = threading.Event()
        self.result = Result(total)
        self.runs: list[ManualRun] = []

    def go(self, missing: Sequence[Due]) -> None:
        """Send one message after the other until a signal arrives."""
        # Interrupted: in a pause before a retry, or while waiting for Kafka.
        with progress("sent") as tell, suppress(Interrupted):
            self._settle()
            for due in missing:
                if self.stopping.is_set():
                    break
                self.result.add(self._one(due))
                tell(len(missing), len(self.result.rows), self.result.counts[Became.SENT])

    def _settle(self) -> None:
        """Wait with jitter: two audits that begin at once should not go on at once."""
        self.stopping.wait(self._settle_seconds * random.uniform(1, 2))  # noqa: S311  # jitter

    def _one(self, due: Due) -> Row:
        if self._topic.has(due.checkout_id, due.stage):
            return self._there(due)
        deadline = Deadline(by_hand.LONGEST_SECONDS, self.stopping)
        # A retry looks up the record from this time on. The topic was read up to here before.
        notification = replace(due.notification(), existed_at=datetime.now(UTC))
        decided: Announcement | Ignored | NotifierError
        try:
            decided = by_hand.persist(
                lambda: self._pipeline.decide(notification, deadline), deadline
            )
            # As late as possible: until our record is there, another process could send, too.
            by_hand.persist(lambda: self._topic.read_on(deadline), deadline)
            if self._topic.has(due.checkout_id, due.stage):
                if self.result.rows:  # another audit sends the same now: let it go ahead
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
