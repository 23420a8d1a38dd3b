"""How far a long run is: one line on standard error, drawn anew; only on a terminal."""

import sys
import time

from cki_notifier.telemetry import streams

#: What is over sooner than this shows nothing, in seconds.
_QUIET_SECONDS = 0.5
#: The line is drawn no more often than this, in seconds.
_PAUSE_SECONDS = 0.1
_WIDTH = 30


class Progress:
    """A bar for a number of steps that is known; at the end nothing of it is left.

    Args:
        total: the number of steps.
        deed: what is done to some of them, in the past tense.
    """

    def __init__(self, total: int, deed: str) -> None:
        self._total = total
        self._deed = deed
        self._shows = sys.stderr.isatty()
        self._next = time.monotonic() + _QUIET_SECONDS
        self._drawn = False

    def show(self, seen: int, done: int) -> None:
        """Tell how far it is."""
        if self._shows and time.monotonic() >= self._next:
            self._next = time.monotonic() + _PAUSE_SECONDS
            self._drawn = True
            self._draw(bar(seen, self._total, f"{done:,} {self._deed}"))

    def clear(self) -> None:
        """Take the line away."""
        if self._drawn:
            self._draw("")

    def _draw(self, line: str) -> None:
        streams.write(sys.stderr, f"\r\x1b[K{line}")


def bar(seen: int, total: int, done: str) -> str:
    """Return the line for so many of the steps.

    >>> bar(50, 100, "7 put back")
    '[###############               ]  50 % of 100, 7 put back'
    """
    share = min(seen / total, 1.0) if total else 1.0
    return f"[{'#' * int(share * _WIDTH):<{_WIDTH}}] {int(share * 100):3} % of {total:,}, {done}"
