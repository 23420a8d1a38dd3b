"""A program at work: started, watched, stopped, and judged by what it left behind."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tools.benchmarks.meter import Meter, peak_mib, processes_in
from tools.benchmarks.programs import Program
from tools.benchmarks.rig import Scene
from tools.benchmarks.verdict import Verdict, judge
from tools.benchmarks.workload import Kind, Notification
from tools.brokers.kafka import Record

#: A program that writes nothing for so long does not come back, in seconds.
STALLED_SECONDS: Final = 30.0
#: What is not yet acknowledged when the last message is there is so after that, in seconds.
_SETTLE_SECONDS: Final = 0.3
_STOP_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.05
_TAIL_CHARACTERS: Final = 2000

#: Told how many messages are in the topic.
Progress = Callable[[int], None]


class TrialError(Exception):
    """A program did not do its work; the text holds the end of its log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """How a program is run, and among what.

    Attributes:
        in_flight: notifications handled at once by each process.
        latency: the warehouse's and GitLab's, in seconds.
        processes: replicas on the one queue.
        merge_requests: whether the checkouts have merge requests, which are read after them.
        returned: so many percent of the notifications come as from a delay queue, so that they are
            looked up in the topic before they are sent.
    """

    in_flight: int = 64
    latency: float = 0.05
    processes: int = 1
    merge_requests: bool = False
    returned: int = 0
    logging_level: str = "WARN"

    @property
    def label(self) -> str:
        """What it is called in tables."""
        parts = [f"{self.in_flight} in flight", f"{self.latency * 1000:g} ms"]
        if self.merge_requests:
            parts.append("merge requests")
        if self.returned:
            parts.append(f"{self.returned} % returned")
        if self.processes > 1:
            parts.append(f"{self.processes} processes")
        if self.logging_level != "WARN":
            parts.append(self.logging_level)
        return ", ".join(parts)

    @property
    def services_seconds(self) -> float:
        """How long a notification waits for services at least: reads one after the other."""
        return self.latency * (2 if self.merge_requests else 1)

    @property
    def parameters(self) -> dict[str, float]:
        """The same as numbers."""
        return {
            "in_flight": self.in_flight,
            "latency_ms": self.latency * 1000,
            "processes": self.processes,
            "merge_requests": self.merge_requests,
        }


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was measured in a trial, by the name of the measure."""

    values: dict[str, float]
    verdict: Verdict


class Trial:
    """All processes of a program, running in a scene."""

    def __init__(self, scene: Scene, program: Program, setup: Setup) -> None:
        self.scene = scene
        self._program = program
        self._tasks = [
            scene.task(
                in_flight=setup.in_flight,
                logging_level=setup.logging_level,
                merge_requests=setup.merge_requests,
            )
            for _ in range(setup.processes)
        ]
        self._folders = [scene.folder / f"program-{each}" for each in range(setup.processes)]
        self._processes = list(map(program.process, self._tasks, self._folders))
        #: What can be told of the single processes, once they have finished: ``largest_mib``, the
        #: largest memory peak, and where they can be asked, ``evenness``, the fewest notifications
        #: that one settled as a share of the most.
        self.each: dict[str, float] = {}
        #: When the first one was started, in seconds since 1970.
        self.started = time.time()
        for process in self._processes:
            scene.run(process)
        self.meter = Meter({"program": self._pids(), **scene.services()})

    def wait(self, count: int, progress: Progress) -> None:
        """Return when so many records are in the topic.

        Raises:
            TrialError: no more come.
        """
        seen, since = 0, time.monotonic()
        while seen < count:
            time.sleep(_POLL_SECONDS)
            now = self.scene.written()
            if now and not seen:
                self.meter.watch("program", self._pids())
            if now != seen:
                seen, since = now, time.monotonic()
                progress(seen)
            elif time.monotonic() - since > STALLED_SECONDS:
                raise TrialError(f"{self._program.name} wrote {seen} of {count}:\n{self._logs()}")
            elif not all(process.running for process in self._processes):
                raise TrialError(f"{self._program.name} ended by itself:\n{self._logs()}")

    def finish(self, published: Sequence[Notification]) -> tuple[list[Record], float, Verdict]:
        """Stop the program; return all records, its memory peak in MiB, and the verdict."""
        time.sleep(_SETTLE_SECONDS)
        self.meter.stop()
        peak = self.meter.peak_mib("program")
        self.each["largest_mib"] = max(map(peak_mib, self._pids()), default=0.0)
        if self._program.settled:
            settled = [self._program.settled(task) for task in self._tasks]
            self.each["evenness"] = min(settled) / max(settled)
        for process in self._processes:
            process.stop(seconds=_STOP_SECONDS)
        records = self.scene.records()
        return records, peak, judge(published, records, self.scene.left_in_queue())

    def cpu_ms(self, start: float, end: float, handled: float) -> float:
        """Return the program's CPU milliseconds for each of so many notifications."""
        return 1000 * self.meter.cpu_between("program", start, end) / handled

    def shares(self, start: float, end: float) -> dict[str, float]:
        """Return what part of a core everything around the program took, by its name."""
        return {
            name: self.meter.cpu_between(name, start, end) / (end - start)
            for name in ("warehouse", "rabbitmq", "kafka")
        }

    def _pids(self) -> list[int]:
        return [pid for folder in self._folders for pid in processes_in(folder)]

    def _logs(self) -> str:
        return "\n".join(_tail(folder / "log") for folder in self._folders)


def expected_of(notifications: Sequence[Notification]) -> int:
    """Return how many messages have to come of notifications."""
    return sum(it.kind is not Kind.NOISE for it in notifications)


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-_TAIL_CHARACTERS:]
