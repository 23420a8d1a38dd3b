"""What is not settled yet: the notifications in hand, and those that are delayed, and why."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

from msgspec import Struct

from cki_notifier.notification.parse import Identity
from cki_notifier.telemetry.outcomes import Result

#: So many that are delayed are remembered; the one that was delayed first goes.
_MOST_DELAYED = 1000
#: Which of our connections a notification came by, and its number there.
Key = tuple[int, int]


class Work(Protocol):
    """What is done for a notification."""

    @property
    def waits_for(self) -> str:
        """What it waits for now, ``""`` while it goes on."""


class Held(Struct, frozen=True):
    """A notification in hand: the broker handed it out, and it is not settled.

    Attributes:
        first_seen: when it was received the very first time, in UTC.
        seconds: for which it is in hand now.
        does: what happens to it, as ``waits for its turn``.
    """

    identity: Identity
    first_seen: datetime
    seconds: float
    does: str


class Delayed(Struct, frozen=True):
    """A notification in a delay queue, where this process has put it.

    Attributes:
        first_seen: when it was received the very first time, in UTC.
        until: when it comes back, in UTC.
        result: of the last try.
    """

    identity: Identity
    first_seen: datetime
    until: datetime
    result: Result


class _Taken(Struct):
    identity: Identity
    first_seen: datetime
    since: float
    work: Work | None = None
    does: str = "waits for its turn"


class Unsettled:
    """Remembers them; used by all threads, and cheap to add to.

    Args:
        clock: returns the time in UTC.
    """

    def __init__(self, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._taken: dict[Key, _Taken] = {}
        self._delayed: dict[str, Delayed] = {}

    def take(self, key: Key, identity: Identity, first_seen: datetime) -> None:
        """Note that the broker handed one out."""
        with self._lock:
            self._taken[key] = _Taken(identity, first_seen, time.monotonic())
            self._delayed.pop(identity.event_id, None)

    def begin(self, key: Key, work: Work) -> None:
        """Note that the work on one begins."""
        with self._lock:
            if taken := self._taken.get(key):
                taken.work = work

    def copy(self, key: Key, queue: str) -> None:
        """Note that a copy of one is to be put into a queue."""
        with self._lock:
            if taken := self._taken.get(key):
                taken.work, taken.does = None, f"a copy waits for {queue}"

    def lose(self) -> None:
        """Note that the broker hands out again all that it has handed out."""
        with self._lock:
            self._taken.clear()

    def settle(self, key: Key) -> None:
        """Note that one is settled."""
        with self._lock:
            self._taken.pop(key, None)

    def delay(self, delayed: Delayed) -> None:
        """Note that one was put into a delay queue."""
        with self._lock:
            self._delayed[delayed.identity.event_id] = delayed
            if len(self._delayed) > _MOST_DELAYED:
                del self._delayed[next(iter(self._delayed))]

    def in_hand(self) -> list[Held]:
        """Return what is in hand, what was received first coming first."""
        now = time.monotonic()
        with self._lock:
            taken = list(self._taken.values())
        held = [Held(it.identity, it.first_seen, now - it.since, _doing(it)) for it in taken]
        return sorted(held, key=lambda it: it.first_seen)

    def delayed(self) -> list[Delayed]:
        """Return what is delayed now, what comes back first coming first."""
        now = self._clock()
        with self._lock:
            self._delayed = {name: it for name, it in self._delayed.items() if it.until > now}
            return sorted(self._delayed.values(), key=lambda it: it.until)


def _doing(taken: _Taken) -> str:
    if taken.work is None:
        return taken.does
    waits_for = taken.work.waits_for
    return f"waits: {waits_for}" if waits_for else "is being handled"
