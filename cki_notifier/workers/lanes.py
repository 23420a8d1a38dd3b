"""Worker threads that keep the order within a lane and run lanes in parallel.

The notifications of one checkout share a lane, so they run one after the other, in the order of the
queue. A job that waits frees its worker for another job, so any number may wait.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue

from msgspec import Struct

from cki_notifier.workers.threads import start_vital

logger = logging.getLogger(__name__)

Run = Callable[[], None]


class _Job(Struct, frozen=True):
    lane: str
    run: Run
    size: int


class Lanes:
    """Runs jobs; none of them may raise.

    Args:
        workers: how many jobs run at once, without those that wait.
        most_behind: how many jobs may wait behind the first one of their lane.
        most_bytes: the limit for the sizes of all jobs; a larger job may run alone.
    """

    def __init__(self, workers: int, most_behind: int, most_bytes: int) -> None:
        self._workers = workers
        self._most_behind = most_behind
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._free = workers
        #: The jobs behind the first one of each lane, which is ready or has begun.
        self._behind: dict[str, deque[_Job]] = {}
        self._ready: deque[_Job] = deque()
        self._coming_back: deque[threading.Event] = deque()
        self._handed_out: SimpleQueue[_Job] = SimpleQueue()
        self._threads = 0
        self._bytes = 0
        self._stopping = False
        for _ in range(workers):
            self._start_thread()

    def submit(self, lane: str, run: Run, size: int = 0) -> str:
        """Run a job after all earlier ones of its lane; never waits.

        Args:
            lane: its name.
            run: the job.
            size: the bytes that the job keeps in memory.

        Returns:
            The reason of a refusal, ``""`` for none.
        """
        job = _Job(lane, run, size)
        with self._lock:
            if self._bytes and self._bytes + size > self._most_bytes:
                return f"notifications of {self._bytes} bytes are in progress already"
            behind = self._behind.get(lane)
            if behind is not None and len(behind) >= self._most_behind:
                return f"{len(behind)} notifications of its checkout wait already"
            self._bytes += size
            if behind is None:
                self._behind[lane] = deque()
                self._ready.append(job)
            else:
                behind.append(job)
            self._hand_out()
            return ""

    def leave(self) -> None:
        """Free the worker of the calling job, which is going to wait."""
        with self._lock:
            self._free += 1
            self._hand_out()

    def come_back(self) -> None:
        """Return when there is a worker for the calling job."""
        with self._lock:
            if self._free > 0 or self._stopping:
                self._free -= 1
                return
            has_worker = threading.Event()
            self._coming_back.append(has_worker)
        has_worker.wait()

    def stop(self) -> None:
        """Begin no further job; drop those that have not begun."""
        with self._lock:
            self._stopping = True
            while self._coming_back:
                self._free -= 1
                self._coming_back.popleft().set()

    @property
    def running(self) -> int:
        """How many jobs run, without those that wait."""
        with self._lock:
            return self._workers - self._free

    @property
    def idle(self) -> bool:
        """Whether no job is between its begin and its end."""
        with self._lock:
            return not self._begun()

    @property
    def left(self) -> int:
        """How many accepted jobs are not done."""
        with self._lock:
            return len(self._behind) + sum(map(len, self._behind.values()))

    def _begun(self) -> int:
        """Return how many jobs have begun and not ended: each lane's first one, unless ready."""
        return len(self._behind) - len(self._ready)

    def _hand_out(self) -> None:
        """Give free workers to jobs that come back, then to new jobs."""
        while self._free > 0 and not self._stopping:
            if self._coming_back:
                self._coming_back.popleft().set()
            elif self._ready and (self._threads > self._begun() or self._start_thread()):
                self._handed_out.put(self._ready.popleft())
            else:
                return
            self._free -= 1

    def _start_thread(self) -> bool:
        """Start a thread; tell whether that worked."""
        try:
            start_vital(f"worker {self._threads}", self._work)
        except RuntimeError as error:
            if not self._threads:
                raise
            logger.warning("%s; a notification waits for another one to end", error)
            return False
        self._threads += 1
        return True

    def _work(self) -> None:
        while True:
            self._do(self._handed_out.get())  # in a frame that keeps no job while it waits

    def _do(self, job: _Job) -> None:
        """Run a job, then make the next one of its lane ready, or close the lane."""
        job.run()
        with self._lock:
            self._free += 1
            self._bytes -= job.size
            if self._behind[job.lane]:
                self._ready.append(self._behind[job.lane].popleft())
            else:
                del self._behind[job.lane]
            self._hand_out()
