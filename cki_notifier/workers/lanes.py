"""Worker threads that keep the order within a lane and let lanes pass each other.

The notifications of one checkout share a lane, so they are handled one after the other, in the
order of the queue; those of different checkouts are handled at once.
"""

import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue

from cki_notifier.workers.threads import start_vital

Job = Callable[[], None]


class Lanes:
    """Runs jobs; none of them may raise.

    Args:
        workers: how many jobs run at once.
    """

    def __init__(self, workers: int) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, deque[Job]] = {}
        self._ready: SimpleQueue[tuple[str | None, Job]] = SimpleQueue()
        self._running = 0
        self._left = 0
        self._stopping = False
        for number in range(workers):
            start_vital(f"worker {number}", self._work)

    def submit(self, lane: str | None, job: Job) -> None:
        """Have a job run after all earlier ones of its lane; None is a lane of its own."""
        with self._lock:
            self._left += 1
            if lane is not None and lane in self._waiting:
                self._waiting[lane].append(job)
                return
            if lane is not None:
                self._waiting[lane] = deque()
        self._ready.put((lane, job))

    def stop(self) -> None:
        """Begin no further job; those that wait are dropped."""
        with self._lock:
            self._stopping = True

    @property
    def running(self) -> int:
        """How many jobs run."""
        with self._lock:
            return self._running

    @property
    def idle(self) -> bool:
        """Whether no job runs."""
        with self._lock:
            return not self._running

    @property
    def empty(self) -> bool:
        """Whether all jobs that were submitted are done."""
        with self._lock:
            return not self._left

    def _work(self) -> None:
        while True:
            lane, job = self._ready.get()
            if self._begin():
                job()
                self._end(lane)

    def _begin(self) -> bool:
        with self._lock:
            if self._stopping:
                return False
            self._running += 1
            return True

    def _end(self, lane: str | None) -> None:
        """Make the lane's next job ready, or close the lane."""
        with self._lock:
            self._running -= 1
            self._left -= 1
            if lane is None:
                return
            if self._waiting[lane]:
                self._ready.put((lane, self._waiting[lane].popleft()))
            else:
                del self._waiting[lane]
