"""A progress bar and a line for each run, while it all goes on."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tools.benchmarks.figures import Row
from tools.benchmarks.programs import Program
from tools.benchmarks.report import told
from tools.benchmarks.session import Case, Part


class Screen:
    """Watches a session of so many runs; without a terminal only the lines are printed."""

    def __init__(self, console: Console, runs: int) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._runs = self._progress.add_task("runs", total=runs)
        self._messages = self._progress.add_task("messages", total=None)
        self._console = console

    def __enter__(self) -> Self:
        """Show the bars."""
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take the bars away."""
        self._progress.stop()

    def begun(self, part: Part, case: Case, program: Program) -> None:
        """Name the run."""
        text = f"{part.name}: {case.label}: {program.name}"
        self._progress.reset(self._messages, total=case.messages, description=text)

    def written(self, messages: int) -> None:
        """Move the run's bar."""
        self._progress.update(self._messages, completed=messages)

    def measured(self, row: Row) -> None:
        """Print the run's line."""
        self._progress.advance(self._runs)
        style = None if row.is_good else "bold red"
        self._console.print(told(row), style=style, markup=False, highlight=False, soft_wrap=True)
