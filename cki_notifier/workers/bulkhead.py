"""Limits the notifications that use one host, so that a host that hangs can't block the others."""

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf

from cki_notifier.notification.errors import NotifierError, Unavailable
from cki_notifier.workers.deadline import SHORT_SECONDS, Deadline

#: A host that finishes no request for this long is slow, and then stuck, in seconds.
_SLOW_SECONDS, _STUCK_SECONDS = 1.0, 10.0
#: The interval of checks while waiting, in seconds.
_LOOK_SECONDS = 0.2


class Bulkhead:
    """The places at one host, granted in the order of the requests; for all threads.

    Args:
        service: its name in errors.
        host: distinguishes services with the same name.
        places: how many there are.
        most_waiting: how many callers may wait for a place while the host is slow, and while it is
            stuck; otherwise there is no limit.
    """

    def __init__(self, service: str, host: str, places: int, most_waiting: tuple[int, int]) -> None:
        self._service = service
        self._host = host
        self._most_if_slow, self._most_if_stuck = most_waiting
        self._lock = threading.Lock()
        self._free = places
        self._line: deque[threading.Event] = deque()
        self._moved_at = 0.0
        self._left_at = -_STUCK_SECONDS

    @contextmanager
    def place(self, deadline: Deadline) -> Iterator[None]:
        """Hold a place for as long as the context lasts.

        Raises:
            Unavailable: the host is slow and too many callers wait, or the deadline is over.
            Interrupted: the process is stopping.
        """
        turn = threading.Event()
        with self._lock:
            if self._free:
                self._free -= 1
                self._moved_at = time.monotonic()
                turn.set()
            elif len(self._line) >= self._most():
                raise self._refusal()
            else:
                self._line.append(turn)
        if not turn.wait(SHORT_SECONDS):
            with deadline.waiting(f"{self._service} {self._host} is busy"):
                while not turn.wait(_LOOK_SECONDS):
                    self._check(turn, deadline)
        try:
            yield
        finally:
            with self._lock:
                self._moved_at = self._left_at = time.monotonic()
                if self._line:
                    self._line.popleft().set()
                else:
                    self._free += 1

    @property
    def is_full(self) -> bool:
        """Whether the host is slow, and the most callers wait."""
        with self._lock:
            return len(self._line) >= self._most()

    def _check(self, turn: threading.Event, deadline: Deadline) -> None:
        """Leave the line when waiting is useless."""
        with self._lock:
            if turn.is_set():
                return
            try:
                deadline.check()
                if self._line.index(turn) >= self._most():
                    raise self._refusal()
            except NotifierError:
                self._line.remove(turn)
                raise

    def _most(self) -> float:
        """Return how many callers may wait now."""
        now = time.monotonic()
        if self._free or now - self._moved_at < _SLOW_SECONDS:
            return inf
        is_stuck = now - self._left_at > _STUCK_SECONDS
        return self._most_if_stuck if is_stuck else self._most_if_slow

    def _refusal(self) -> Unavailable:
        text = f"{self._host} is too slow, and too many notifications wait for it"
        return Unavailable(self._service, text, held=True, host=self._host)
