"""Threads that answer requests: all are there from the start, so that none is missing later."""

import time
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Thread

from cki_notifier.web.answer import Answer

#: After an answer a thread rests for so many times the processor time it took, so that neither
#: the daemon's work nor a probe waits for many pages: Python runs one thread at a time.
_REST = 3

Job = Callable[[], Answer]


class Desk:
    """Answers so many requests at once; the others wait for their turn.

    Args:
        name: of the threads.
        threads: how many there are.
    """

    def __init__(self, name: str, threads: int) -> None:
        self._jobs: SimpleQueue[tuple[Future[Answer], Job] | None] = SimpleQueue()
        self._threads = [Thread(target=self._work, name=name, daemon=True) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    def submit(self, job: Job) -> "Future[Answer]":
        """Have a request answered; one that is cancelled before its turn is dropped."""
        future: Future[Answer] = Future()
        self._jobs.put((future, job))
        return future

    def close(self, end: float) -> None:
        """End the threads; one that still answers at that time is left to itself.

        Args:
            end: of the waiting, as :func:`time.monotonic` tells it.
        """
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    def _work(self) -> None:
        while (task := self._jobs.get()) is not None:
            future, job = task
            if future.set_running_or_notify_cancel():
                began = time.thread_time()
                try:
                    future.set_result(job())
                except Exception as error:  # noqa: BLE001  # whoever waits for the answer is told
                    future.set_exception(error)
                time.sleep(_REST * (time.thread_time() - began))
