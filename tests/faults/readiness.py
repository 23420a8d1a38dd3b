"""What processes say of themselves to a platform's probes while something breaks."""

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
    """Asks processes at ports of 127.0.0.1 again and again."""

    def __init__(self, ports: Sequence[int]) -> None:
        #: For each process when it was asked, in seconds since 1970, and whether it was ready.
        self.seen: list[list[tuple[float, bool]]] = [[] for _ in ports]
        self._ports = ports
        #: Answers to `/live` that were not 200; a process that is dead or frozen gives none.
        self.not_alive: list[int] = []

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Ask all of them, in threads, while the context lasts."""
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
        """Return for how many seconds between two times (since 1970) no process was ready.

        What a process said holds until it was asked again.
        """
        times = sorted({at for seen in self.seen for at, _ in seen if since < at < until})
        edges = [since, *times, until]
        return sum(
            end - start
            for start, end in itertools.pairwise(edges)
            if not any(_last(seen, start) for seen in self.seen)
        )


def _last(seen: Sequence[tuple[float, bool]], at: float) -> bool:
    """Return whether a process was ready when it was asked last."""
    return next((ready for time_, ready in reversed(seen) if time_ <= at), False)
