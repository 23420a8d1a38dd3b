"""Remembers the last outcomes with their reasons, for the status page."""

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

#: The number of outcomes kept, and as many again of those that concern a checkout.
KEPT = 500
#: The most bytes of sent messages kept.
_MOST_MESSAGES = 4 * 1024 * 1024
#: Reasons that concern no checkout. There may be very many of them.
_NOBODYS = frozenset({IgnoreReason.OBJECT_TYPE, IgnoreReason.STATUS})


class Result(Struct, frozen=True, kw_only=True, gc=False):
    """The outcome of a notification, with its reason.

    Attributes:
        outcome: ``sent``, ``ignored``, ``delayed`` or ``dead-lettered``.
        reason: its code, of :mod:`cki_notifier.notification.reasons`.
        merge_request: its address; ``""`` if unknown.
        error: ``""`` for none.
        steps: the rules that were applied, with the facts each one saw.
        was_there: whether its message was already in the topic.
        position: of its record in the topic; None for none.
        message: as sent; empty for none.
        next_try: the next attempt, in UTC; None for none.
        letter: the dead letter's id; ``""`` for none.
        by: who sent it by hand; ``""`` for the daemon.
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
    """A remembered outcome.

    Attributes:
        number: counts outcomes from 1, in their order.
        time: of the outcome, in UTC.
        identity: of the notification, with texts of bounded length.
        result: without its message; see :meth:`Outcomes.message`.
        seconds: the attempt's duration.
    """

    number: int
    time: datetime
    identity: Identity
    result: Result
    seconds: float


class Outcomes:
    """The last outcomes. Any thread may use it, and adding is cheap.

    Args:
        clock: returns the time in UTC.

    Attributes:
        since: when it was made.
        last_sent: the time of the last message sent; None for none since the start.
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
        """Remember an outcome of just now, and forget the oldest beyond 500."""
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
        """Return the outcomes with a number above ``after``, newest first."""
        with self._lock:
            kept = list(self._kept)
        return [settled for settled in reversed(kept) if settled.number > after]

    def of(self, checkout_id: str) -> list[Entry]:
        """Return the outcomes of one checkout, oldest first."""
        with self._lock:
            kept = list(self._of_checkouts)
        return [it for it in kept if it.identity.checkout_id == cut(checkout_id)]

    def message(self, number: int) -> bytes:
        """Return a sent message, empty if it is not kept."""
        with self._lock:
            return self._messages.get(number, b"")

    @property
    def idle_seconds(self) -> float:
        """The seconds since the last outcome of the daemon, or since its start."""
        return time.monotonic() - self._settled_at


def _brief(result: Result) -> Result:
    """Return a result without its message, with long texts cut."""
    steps = result.steps
    if any(len(it.saw) > LONGEST for it in steps):
        steps = tuple(replace(it, saw=cut(it.saw)) for it in steps)
    about, error = cut(result.merge_request), cut(result.error)
    return replace(result, merge_request=about, error=error, steps=steps, message=b"")
