"""The processes of the daemon that share a queue, one or several, seen as one."""

from collections.abc import Sequence
from typing import Any

from tools.notifier import Notifier


class Daemons:
    """What they all logged, and whether they all run."""

    def __init__(self, processes: Sequence[Notifier]) -> None:
        self.processes = processes
        self._read = [0] * len(processes)
        self._settled: list[dict[str, Any]] = []

    @property
    def running(self) -> bool:
        """Whether none of them has ended."""
        return all(process.running for process in self.processes)

    def settled(self) -> list[dict[str, Any]]:
        """Return the lines about settled notifications; what is new is always at the end."""
        for number, process in enumerate(self.processes):
            new = process.settled()[self._read[number] :]
            self._read[number] += len(new)
            self._settled += new
        return self._settled

    def warnings(self) -> list[str]:
        """Return the messages of all warnings in the order of time."""
        lines = [line for process in self.processes for line in process.lines()]
        warnings = [line for line in lines if line["level"] == "WARNING"]
        return [line["message"] for line in sorted(warnings, key=lambda line: str(line["time"]))]

    def tail(self) -> str:
        """Return the last lines of each log."""
        return "\n".join(process.tail() for process in self.processes)

    def stop(self, *, seconds: float) -> list[int | None]:
        """Ask each to end within `seconds`, and return the exit codes."""
        return [process.stop(seconds=seconds) for process in self.processes]
