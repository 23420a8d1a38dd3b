"""The deadline of a notification, and the one way to wait until then."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TypeVar

from cki_notifier.notification.errors import Interrupted, Unavailable
from cki_notifier.workers.lanes import Lanes

T = TypeVar("T")

#: A caller keeps its worker during a wait up to this long, in seconds.
SHORT_SECONDS = 0.25
#: The interval of checks whether a notification is still ours, in seconds.
_LOOK_SECONDS = 0.2


class Deadline:
    """The end of the time for one notification.

    Args:
        seconds: from now.
        stopping: when set, all waits end, and no new one begins.
        workers: get the caller's worker while the caller waits.
        is_ours: tells whether the notification is still ours to handle, None if that is unknown.

    Attributes:
        is_strict: whether the caller gives up at the deadline even without a final result.
        waits_for: the reason of the current wait, for the status page; ``""`` without one.
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
        """Return the seconds left, at least 0."""
        return max(0.0, self._end - time.monotonic())

    def check(self, late: Unavailable | None = None) -> None:
        """Raise an error when the time is over.

        Args:
            late: the error for that; a general one by default.

        Raises:
            Interrupted: the process is stopping.
            Unavailable: the deadline is over.
        """
        if self._stopping.is_set():
            raise Interrupted("the process is stopping")
        if not self.remaining():
            text = "the time for this notification is over"
            raise late or Unavailable("cki-notifier", text, held=True)

    def ensure_ours(self) -> None:
        """Return when the notification is ours to handle; wait while that is unknown.

        Raises:
            Interrupted: it is not ours, or the process is stopping.
            Unavailable: it is still unknown at the deadline.
        """
        while (is_ours := self._is_ours()) is None:
            if not self.pause(_LOOK_SECONDS):
                raise Unavailable("rabbitmq", "no data from RabbitMQ", held=True)
        if not is_ours:
            raise Interrupted("RabbitMQ redelivers the notification")

    def pause(self, seconds: float) -> bool:
        """Wait before a retry; return False at once if the deadline is earlier.

        Raises:
            Interrupted: the process is stopping.
        """
        if seconds >= self.remaining():
            return False
        with self.waiting("a pause before the next attempt"):
            if self._stopping.wait(seconds):
                raise Interrupted("the process is stopping")
        return True

    @contextmanager
    def noting(self, what: str) -> Iterator[None]:
        """Note the reason of a wait, for as long as the context lasts."""
        before, self.waits_for = self.waits_for, what
        try:
            yield
        finally:
            self.waits_for = before

    @contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """Free the worker while the caller waits, and note the reason of the wait."""
        workers, self._workers = self._workers, None  # a wait inside this one has none to free
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
        """Return the result of a future, and free the worker during a long wait.

        Args:
            future: any.
            seconds: the longest wait.
            what: the reason of the wait, for the status page.

        Raises:
            TimeoutError: there is no result by then.
        """
        short = min(seconds, SHORT_SECONDS)
        try:
            return future.result(short)
        except TimeoutError:
            if future.done():
                raise
        with self.waiting(what):
            return future.result(max(0.0, seconds - short))
