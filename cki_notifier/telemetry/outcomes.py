"""Remembers what became of the last notifications, for whoever asks why."""

import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime

from msgspec import Struct
from msgspec.structs import replace

from cki_notifier.notification.models import Position
from cki_notifier.notification.parse import Identity
from cki_notifier.notification.reasons import IgnoreReason
from cki_notifier.rules.explain import Step
from cki_notifier.telemetry.printable import LONGEST, cut

#: So many are kept; and as many of those that concern a checkout.
KEPT = 500
#: Of the messages that were sent so much is kept, in bytes.
_MOST_MESSAGES = 4 * 1024 * 1024
#: What is ignored for these is no checkout's affair, and there may be very many of them.
_NOBODYS = frozenset({IgnoreReason.OBJECT_TYPE, IgnoreReason.STATUS})


class Result(Struct, frozen=True, kw_only=True, gc=False):
    """What became of a notification, and why.

    Attributes:
        outcome: ``sent``, ``ignored``, ``delayed`` or ``dead-lettered``.
        reason: the code of :mod:`cki_notifier.notification.reasons` that goes with it.
        merge_request: its address; ``""`` where it is not known.
        error: what failed; ``""`` where nothing did.
        steps: the rules that were applied, and what each one saw.
        was_there: whether its message was in the topic already.
        position: of its record in the topic; None where none was written.
        message: that was sent; empty where none was.
        next_try: when it is tried again, in UTC; None when it is not.
        letter: its id among the dead letters; ``""`` when it is not there.
        by: who sent it by hand; ``""`` for the daemon itself.
    """

    outcome: str
    reason: str
    merge_request: str = ""
    error: str = ""
    steps: tuple[Step, ...] = ()
    was_there: bool = False
    position: Position | None = None
    message: bytes = b""
    next_try: datetime | None = None
    letter: str = ""
    by: str = ""


class Entry(Struct, frozen=True, gc=False):
    """What is kept of a notification that is settled.

    Attributes:
        number: counts them from 1, in the order in which they were settled.
        time: when, in UTC.
        identity: its own; no text in it is long.
        result: without its message, for which :meth:`Outcomes.message` is asked.
        seconds: how long it took.
    """

    number: int
    time: datetime
    identity: Identity
    result: Result
    seconds: float


class Outcomes:
    """The last outcomes; used by all threads, and cheap to add to.

    Args:
        clock: returns the time in UTC.

    Attributes:
        since: when it began to remember.
        last_sent: when a message was last sent; None when none was since the start.
    """

    def __init__(self, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.since = clock()
        self._clock = clock
        self._lock = threading.Lock()
        self._number = 0
        self._kept: deque[Entry] = deque(maxlen=KEPT)
        self._of_checkouts: deque[Entry] = deque(maxlen=KEPT)
        self._messages: dict[int, bytes] = {}
        self._bytes = 0
        self.last_sent: datetime | None = None
        self._settled_at = time.monotonic()

    def add(self, identity: Identity, result: Result, seconds: float) -> None:
        """Remember what became of a notification just now, and forget the oldest beyond 500."""
        checkout_id, status = cut(identity.checkout_id or ""), cut(identity.status or "")
        identity, kept = replace(identity, checkout_id=checkout_id, status=status), _brief(result)
        with self._lock:
            now = self._clock()
            if not result.by:
                self._settled_at = time.monotonic()
            self._number += 1
            entry = Entry(self._number, now, identity, kept, seconds)
            self._kept.append(entry)
            if result.outcome != "ignored" or result.reason not in _NOBODYS:
                self._of_checkouts.append(entry)
            if result.outcome == "sent":
                self.last_sent = now
            if result.message:
                self._messages[self._number] = result.message
                self._bytes += len(result.message)
            while self._bytes > _MOST_MESSAGES:
                self._bytes -= len(self._messages.pop(next(iter(self._messages))))

    def newest(self, after: int = 0) -> list[Entry]:
        """Return those with a number above ``after``, newest first."""
        with self._lock:
            kept = list(self._kept)
        return [settled for settled in reversed(kept) if settled.number > after]

    def of(self, checkout_id: str) -> list[Entry]:
        """Return those of one checkout, oldest first."""
        with self._lock:
            kept = list(self._of_checkouts)
        return [it for it in kept if it.identity.checkout_id == cut(checkout_id)]

    def message(self, number: int) -> bytes:
        """Return the message that was sent, empty when it is not kept (any more)."""
        with self._lock:
            return self._messages.get(number, b"")

    @property
    def idle_seconds(self) -> float:
        """For how long this process has settled nothing, since its start at most."""
        return time.monotonic() - self._settled_at


def _brief(result: Result) -> Result:
    """Return a result without its message, and without what is too long to be kept."""
    steps = result.steps
    if any(len(it.saw) > LONGEST for it in steps):
        steps = tuple(replace(it, saw=cut(it.saw)) for it in steps)
    about, error = cut(result.merge_request), cut(result.error)
    return replace(result, merge_request=about, error=error, steps=steps, message=b"")
