"""One deadline for everything that is done for a notification."""

import threading
import time

from cki_notifier.notification.errors import Interrupted


class Deadline:
    """A moment until which one notification's work has to be over.

    Args:
        seconds: how long from now.
        stopping: when set, nobody begins to wait any more, and who waits is woken.
    """

    def __init__(self, seconds: float, stopping: threading.Event | None = None) -> None:
        self._end = time.monotonic() + seconds
        self._stopping = stopping or threading.Event()

    def remaining(self) -> float:
        """Return the seconds left, 0 when there are none."""
        return max(0.0, self._end - time.monotonic())

    def pause(self, seconds: float) -> bool:
        """Wait before trying again; return False at once when that would take too long.

        Raises:
            Interrupted: the process is stopping.
        """
        if seconds >= self.remaining():
            return False
        if self._stopping.wait(seconds):
            raise Interrupted("stopping, so nothing is tried again")
        return True
