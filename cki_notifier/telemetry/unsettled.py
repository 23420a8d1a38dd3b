"""Remembers the notifications without a final outcome: in flight or delayed."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

from msgspec import Struct

from cki_notifier.notification.parse import Identity
from cki_notifier.telemetry.outcomes import Result

#: The most delayed notifications remembered; the oldest is forgotten.
_MOST_DELAYED = 1000
#: The number of the connection that delivered a notification, and its delivery tag there.
Key = tuple[int, int]


class Work(Protocol):
    """The work on a notification."""

    @property
    def waits_for(self) -> str:
        """The cause of its present wait, ``""`` while it runs."""


class Held(Struct, frozen=True):
    """A notification in flight.

    Attributes:
        first_seen: when it was first received, in UTC.
        seconds: since RabbitMQ delivered it this time.
        does: its present state, as ``waits for its turn``.
    """

    identity: Identity
    first_seen: datetime
    seconds: float
    does: str


class Delayed(Struct, frozen=True):
    """A notification that this process put into a retry queue.

    Attributes:
        first_seen: when it was first received, in UTC.
        until: when it returns to the main queue, in UTC.
        result: of the last attempt.
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
    """Remembers them. Any thread may use it, and adding is cheap.

    Args:
        clock: returns the time in UTC.
    """

    def __init__(self, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._taken: dict[Key, _Taken] = {}
        self._delayed: dict[str, Delayed] = {}

    def take(self, key: Key, identity: Identity, first_seen: datetime) -> None:
        """Note that RabbitMQ delivered one."""
        with self._lock:
            self._taken[key] = _Taken(identity, first_seen, time.monotonic())
            self._delayed.pop(identity.event_id, None)

    def begin(self, key: Key, work: Work) -> None:
        """Note that work on one starts."""
        with self._lock:
            if taken := self._taken.get(key):
                taken.work = work

    def copy(self, key: Key, queue: str) -> None:
        """Note that a copy of one waits for a queue."""
        with self._lock:
            if taken := self._taken.get(key):
                taken.work, taken.does = None, f"a copy waits for {queue}"

    def lose(self) -> None:
        """Note that RabbitMQ will redeliver all that are in flight."""
        with self._lock:
            self._taken.clear()

    def settle(self, key: Key) -> None:
        """Note that one is finished."""
        with self._lock:
            self._taken.pop(key, None)

    def delay(self, delayed: Delayed) -> None:
        """Note that one was put into a retry queue."""
        with self._lock:
            self._delayed[delayed.identity.event_id] = delayed
            if len(self._delayed) > _MOST_DELAYED:
                del self._delayed[next(iter(self._delayed))]

    def in_hand(self) -> list[Held]:
        """Return the notifications in flight, the oldest first."""
        now = time.monotonic()
        with self._lock:
            taken = list(self._taken.values())
        held = [Held(it.identity, it.first_seen, now - it.since, _doing(it)) for it in taken]
        return sorted(held, key=lambda it: it.first_seen)

    def delayed(self) -> list[Delayed]:
        """Return the delayed notifications, the next to return first."""
        now = self._clock()
        with self._lock:
            self._delayed = {name: it for name, it in self._delayed.items() if it.until > now}
            return sorted(self._delayed.values(), key=lambda it: it.until)


def _doing(taken: _Taken) -> str:
    if taken.work is None:
        return taken.does
    waits_for = taken.work.waits_for
    return f"waits: {waits_for}" if waits_for else "being processed"
