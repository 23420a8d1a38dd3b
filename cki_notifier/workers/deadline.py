"""One deadline for all that is done for a notification, and the one way to wait meanwhile."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TypeVar

from cki_notifier.notification.errors import Interrupted, Unavailable
from cki_notifier.workers.lanes import Lanes

T = TypeVar("T")

#: Who waits for no longer than this keeps its worker, in seconds.
SHORT_SECONDS = 0.25
#: Who waits for what can't be told looks so often, in seconds.
_LOOK_SECONDS = 0.2


class Deadline:
    """A moment until which one notification's work has to be over.

    Args:
        seconds: how long from now.
        stopping: when set, nobody begins to wait any more, and who waits is woken.
        workers: get the caller's worker for as long as the caller only waits.
        is_ours: tells whether the notification is still ours to handle, None when that can't be
            told now.

    Attributes:
        is_strict: whether even what is known only later is given up then.
        waits_for: what the work waits for now, for whoever looks on; ``""`` while it goes on.
    """

    def __init__(
        self,
        seconds: float,
        stopping: threading.Event | None = None,
        workers: Lanes | None = None,
        is_ours: Callable[[], bool | None] | None = None,
    ) -> None:
        self._end = time.monotonic() + seconds
        self._stopping = stopping or threading.Event()
        self._workers = workers
        self._is_ours = is_ours or (lambda: True)
        self.is_strict = is_ours is None
        self.waits_for = ""

    def remaining(self) -> float:
        """Return the seconds left, 0 when there are none."""
        return max(0.0, self._end - time.monotonic())

    def check(self, late: Unavailable | None = None) -> None:
        """Return while there is time.

        Args:
            late: is raised when there is none, instead of an error that says only that.

        Raises:
            Interrupted: the process is stopping.
            Unavailable: the deadline is reached.
        """
        if self._stopping.is_set():
            raise Interrupted("stopping, so nothing is tried again")
        if not self.remaining():
            raise late or Unavailable("cki-notifier", "its time is over", held=True)

    def ensure_ours(self) -> None:
        """Return when the notification is ours to handle; wait while that can't be told.

        Raises:
            Interrupted: it is not, or the process is stopping.
            Unavailable: it could not be told until the deadline.
        """
        while (is_ours := self._is_ours()) is None:
            if not self.pause(_LOOK_SECONDS):
                raise Unavailable("rabbitmq", "nothing is heard of it", held=True)
        if not is_ours:
            raise Interrupted("RabbitMQ hands it out again")

    def pause(self, seconds: float) -> bool:
        """Wait before trying again; return False at once when that would take too long.

        Raises:
            Interrupted: the process is stopping.
        """
        if seconds >= self.remaining():
            return False
        with self.waiting("a pause before the next try"):
            if self._stopping.wait(seconds):
                raise Interrupted("stopping, so nothing is tried again")
        return True

    @contextmanager
    def noting(self, what: str) -> Iterator[None]:
        """Say what is waited for, for as long as the context lasts."""
        before, self.waits_for = self.waits_for, what
        try:
            yield
        finally:
            self.waits_for = before

    @contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """Leave the worker to somebody else while the caller only waits, and say for what."""
        workers, self._workers = self._workers, None  # inside of this, there is none to leave
        if workers is not None:
            workers.leave()
        try:
            with self.noting(what):
                yield
        finally:
            if workers is not None:
                workers.come_back()
            self._workers = workers

    def wait_for(self, future: Future[T], seconds: float, what: str) -> T:
        """Return what a future holds, and leave the worker when that takes long.

        Args:
            future: is waited for.
            seconds: at most.
            what: it will hold, for whoever looks on.

        Raises:
            TimeoutError: it holds nothing by then.
        """
        short = min(seconds, SHORT_SECONDS)
        try:
            return future.result(short)
        except TimeoutError:
            if future.done():
                raise
        with self.waiting(what):
            return future.result(max(0.0, seconds - short))
