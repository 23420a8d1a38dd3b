"""The probes of processes, as a platform sends them, during a fault."""

import contextlib
import itertools
import threading
import time
from collections.abc import Iterator, Sequence

from tests.faults.neighbours.probes import Probes

_PERIOD_SECONDS = 0.25
#: As of `http.HTTPStatus`; 0 stands for no answer.
_OK, _SILENT = 200, 0


class Readiness:
    """Probes processes at ports of 127.0.0.1 repeatedly."""

    def __init__(self, ports: Sequence[int]) -> None:
        #: For each process, pairs of a time in seconds since 1970 and whether it was ready.
        self.seen: list[list[tuple[float, bool]]] = [[] for _ in ports]
        self._ports = ports
        #: Statuses of `/live` that were not 200, without those of dead or frozen processes.
        self.not_alive: list[int] = []

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Probe all processes, in threads, while the context lasts."""
        over = threading.Event()

        def watch(probes: Probes, seen: list[tuple[float, bool]]) -> None:
            while not over.wait(_PERIOD_SECONDS):
                if (live := probes.status("/live")) not in {_OK, _SILENT}:
                    self.not_alive.append(live)
                seen.append((time.time(), probes.status("/ready") == _OK))

        threads = [
            threading.Thread(target=watch, args=(Probes(port), seen), name="readiness")
            for port, seen in zip(self._ports, self.seen, strict=True)
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            over.set()
            for thread in threads:
                thread.join()

    def seconds_without(self, since: float, until: float) -> float:
        """Return the seconds between two times (since 1970) in which no process was ready.

        A result holds until the next one of that process.
        """
        times = sorted({at for seen in self.seen for at, _ in seen if since < at < until})
        edges = [since, *times, until]
        return sum(
            end - start
            for start, end in itertools.pairwise(edges)
            if not any(_last(seen, start) for seen in self.seen)
        )


def _last(seen: Sequence[tuple[float, bool]], at: float) -> bool:
    """Return the last result of a process before a time."""
    return next((ready for time_, ready in reversed(seen) if time_ <= at), False)
