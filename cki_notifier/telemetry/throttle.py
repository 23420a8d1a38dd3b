"""What happens again and again: told once in a while, so that an outage is one story."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable


class Throttle:
    """Remembers kinds of things, so that each is let through once in a while; for all threads.

    Args:
        seconds: for how long a kind that was let through is held back.
        most: no more kinds than this are remembered; the one that was let through first goes.
        clock: tells the seconds.
    """

    def __init__(
        self, seconds: float, most: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._seconds = seconds
        self._most = most
        self._clock = clock
        self._lock = threading.Lock()
        #: When each kind was let through, and how often it was held back since.
        self._kinds: OrderedDict[Hashable, tuple[float, int]] = OrderedDict()

    def let_through(self, kind: Hashable) -> int | None:
        """Return how often a kind was held back since the last time, None when it is held back."""
        now = self._clock()
        with self._lock:
            since, held_back = self._kinds.get(kind, (None, 0))
            if since is not None and now - since < self._seconds:
                self._kinds[kind] = since, held_back + 1
                return None
            self._kinds[kind] = now, 0
            self._kinds.move_to_end(kind)
            if len(self._kinds) > self._most:
                self._kinds.popitem(last=False)
            return held_back
