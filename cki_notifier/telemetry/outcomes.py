"""Remembers what became of the last notifications, for whoever asks why."""

import threading
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime

from msgspec import Struct

from cki_notifier.notification.parse import Identity

#: So many are kept.
KEPT = 500
#: A text longer than this is cut: bodies and services may hold any amount, in characters.
_LONGEST = 500


class Result(Struct, frozen=True, gc=False):
    """What became of a notification, and why.

    Attributes:
        outcome: ``sent``, ``ignored``, ``delayed`` or ``dead-lettered``.
        reason: the code of :mod:`cki_notifier.notification.reasons` that goes with it.
        merge_request: its address; ``""`` where it is not known.
        error: what failed; ``""`` where nothing did.
    """

    outcome: str
    reason: str
    merge_request: str = ""
    error: str = ""


class Entry(Struct, frozen=True, gc=False):
    """What is kept of a notification that is settled.

    Attributes:
        number: counts them from 1, in the order in which they were settled.
        time: when, in UTC.
        checkout_id, status: as the notification has them; ``""`` where it has none.
        seconds: how long it took.
    """

    number: int
    time: datetime
    checkout_id: str
    status: str
    result: Result
    seconds: float


def _now() -> datetime:
    return datetime.now(UTC)


class Outcomes:
    """The last outcomes; used by all threads, and cheap to add to.

    Args:
        clock: returns the time in UTC.

    Attributes:
        since: when it began to remember.
    """

    def __init__(self, clock: Callable[[], datetime] = _now) -> None:
        self.since = clock()
        self._clock = clock
        self._lock = threading.Lock()
        self._number = 0
        self._kept: deque[Entry] = deque(maxlen=KEPT)
        self._last_sent: datetime | None = None

    def add(self, identity: Identity, result: Result, seconds: float) -> None:
        """Remember what became of a notification just now, and forget the oldest beyond 500."""
        about = _cut(identity.checkout_id or ""), _cut(identity.status or "")
        kept = Result(result.outcome, result.reason, _cut(result.merge_request), _cut(result.error))
        with self._lock:
            now = self._clock()
            self._number += 1
            self._kept.append(Entry(self._number, now, *about, kept, seconds))
            if result.outcome == "sent":
                self._last_sent = now

    def newest(self, after: int = 0) -> list[Entry]:
        """Return those with a number above ``after``, newest first."""
        with self._lock:
            kept = list(self._kept)
        return [settled for settled in reversed(kept) if settled.number > after]

    @property
    def last_sent(self) -> datetime | None:
        """When a message was last sent; None when none was since the start."""
        with self._lock:
            return self._last_sent


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
