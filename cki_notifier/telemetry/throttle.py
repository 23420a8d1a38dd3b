"""Limits how often repeated events are reported."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable


class Throttle:
    """Lets each kind of event through once in a while. Any thread may use it.

    Args:
        seconds: the pause of a kind after it passed.
        most: the most kinds remembered; the oldest is forgotten.
        clock: returns the seconds.
    """

    def __init__(
        self, seconds: float, most: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._seconds = seconds
        self._most = most
        self._clock = clock
        self._lock = threading.Lock()
        #: The time each kind last passed, and the number held back since.
        self._kinds: OrderedDict[Hashable, tuple[float, int]] = OrderedDict()

    def let_through(self, kind: Hashable) -> int | None:
        """Return the number held back since the last time, or None to hold this one back."""
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
