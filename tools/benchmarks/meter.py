"""What processes cost: CPU time and memory, as Linux counts them."""

import bisect
import contextlib
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import psutil

_SAMPLE_SECONDS: Final = 0.05


def processes_in(folder: Path) -> list[int]:
    """Return the ids of what a `tools.processes.Process` runs in a folder, without its keeper.

    The keeper is our child and works in the folder; all below it is the program.
    """
    for keeper in psutil.Process().children():
        with contextlib.suppress(psutil.Error):
            if Path(keeper.cwd()) == folder:
                return [each.pid for each in keeper.children(recursive=True)]
    return []


def cpu_seconds(pid: int) -> float:
    """Return the CPU time, user and system, that a process took since it began; 0 when it's gone.

    In nanoseconds, where `/proc/<pid>/stat` counts hundredths of a second. Source:
    clock_getcpuclockid(3), whose clock of another process is made of its id.
    """
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        return 0.0


def peak_mib(pid: int) -> float:
    """Return the most memory a process ever held (its resident set), in MiB; 0 when it's gone.

    Source: proc(5), `VmHWM` in `/proc/<pid>/status`, which a process that has ended lacks.
    """
    try:
        peak = Path(f"/proc/{pid}/status").read_text().partition("VmHWM:")[2].split()
    except OSError:
        return 0.0
    return int(peak[0]) / 1024 if peak else 0.0


class Meter:
    """Notes again and again how much CPU time groups of processes have taken so far.

    Args:
        groups: the ids of the processes, by the name of the group; more may be added.
    """

    def __init__(self, groups: Mapping[str, list[int]]) -> None:
        self.groups = groups
        #: When, in seconds since 1970, and the CPU seconds of each group until then.
        self._samples: list[tuple[float, dict[str, float]]] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="meter", daemon=True)
        self._sample()
        self._thread.start()

    def stop(self) -> None:
        """Note the last values and end."""
        self._stopping.set()
        self._thread.join()
        self._sample()

    def cpu_between(self, group: str, start: float, end: float) -> float:
        """Return the CPU seconds of a group between two moments, in seconds since 1970."""
        return self._cpu_at(group, end) - self._cpu_at(group, start)

    def _cpu_at(self, group: str, moment: float) -> float:
        """Return a value between those of the two samples around a moment."""
        place = bisect.bisect(self._samples, moment, key=lambda it: it[0])
        if place in {0, len(self._samples)}:
            return self._samples[min(place, len(self._samples) - 1)][1][group]
        (since, before), (until, after) = self._samples[place - 1 : place + 1]
        share = (moment - since) / (until - since)
        return before[group] + share * (after[group] - before[group])

    def _run(self) -> None:
        while not self._stopping.wait(_SAMPLE_SECONDS):
            self._sample()

    def _sample(self) -> None:
        cpu = {name: sum(map(cpu_seconds, pids)) for name, pids in self.groups.items()}
        self._samples.append((time.time(), cpu))
