"""Measure CPU time and memory of processes, as Linux counts them."""

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
    """Return the process ids of a `tools.processes.Process` in a folder, without its keeper.

    The keeper is a child of this process and works in the folder. The program is below it.
    """
    for keeper in psutil.Process().children():
        with contextlib.suppress(psutil.Error):
            if Path(keeper.cwd()) == folder:
                return [each.pid for each in keeper.children(recursive=True)]
    return []


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process, user and system, in seconds; 0 when it is gone.

    Has nanoseconds, while `/proc/<pid>/stat` has hundredths of a second. Source:
    clock_getcpuclockid(3), which makes the clock's id from the process id.
    """
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        return 0.0


def peak_mib(pid: int) -> float:
    """Return the peak resident set of a process, in MiB; 0 when it is gone.

    Source: proc(5), `VmHWM` in `/proc/<pid>/status`, which is missing after its end.
    """
    try:
        peak = Path(f"/proc/{pid}/status").read_text().partition("VmHWM:")[2].split()
    except OSError:
        return 0.0
    return int(peak[0]) / 1024 if peak else 0.0


class Meter:
    """Samples the CPU time of groups of processes.

    Args:
        groups: process ids by the name of the group; you may add ids later.
    """

    def __init__(self, groups: Mapping[str, list[int]]) -> None:
        self.groups = groups
        #: The time in seconds since 1970, and the CPU seconds of each group until then.
        self._samples: list[tuple[float, dict[str, float]]] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="meter", daemon=True)
        self._sample()
        self._thread.start()

    def stop(self) -> None:
        """Take the last sample and end."""
        self._stopping.set()
        self._thread.join()
        self._sample()

    def cpu_between(self, group: str, start: float, end: float) -> float:
        """Return the CPU seconds of a group between two moments, in seconds since 1970."""
        return self._cpu_at(group, end) - self._cpu_at(group, start)

    def _cpu_at(self, group: str, moment: float) -> float:
        """Interpolate between the two samples around a moment."""
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
