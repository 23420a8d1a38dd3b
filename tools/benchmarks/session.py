"""Run cases with programs in turn, show the progress, and collect the rows."""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress

from tools.benchmarks.cases import Values
from tools.benchmarks.figures import Row, Setup, told
from tools.benchmarks.programs import Program
from tools.benchmarks.trial import Rig, Trial, TrialError


@dataclass(frozen=True, slots=True)
class Case:
    """A task for a program.

    Attributes:
        label: its name in tables.
        setup: of the run.
        messages: the approximate number of messages.
        measure: runs and measures it.
        has_big: whether it needs big documents.
    """

    label: str
    setup: Setup
    messages: int
    measure: Callable[[Trial], Values]
    has_big: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """Cases whose rows make a table.

    Attributes:
        name: one word.
        title: of the table.
        programs: in each turn, each runs each case.
        extra: measures only for this table.
    """

    name: str
    title: str
    cases: Sequence[Case]
    programs: Sequence[Program]
    turns: int = 1
    extra: tuple[str, ...] = ()


def run(rig: Rig, parts: Sequence[Part], console: Console) -> list[Row]:
    """Run all parts; print a line for each run, and progress bars on a terminal."""
    runs = [
        (part, *each)
        for part in parts
        for each in product(part.cases, range(1, part.turns + 1), part.programs)
    ]
    rows = []
    with Progress(
        *Progress.get_default_columns(),
        MofNCompleteColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as progress:
        messages = progress.add_task("messages", total=None)
        for part, case, turn, program in progress.track(runs, description="runs"):
            name = f"{part.name}: {case.label}: {program.name}"
            progress.reset(messages, total=case.messages, description=name)
            values, fault = dict[str, float](), ""
            try:
                with contextlib.ExitStack() as stack:
                    trial = Trial(
                        rig,
                        program,
                        case.setup,
                        stack,
                        progress=lambda written: progress.update(messages, completed=written),
                        has_big=case.has_big,
                    )
                    values = case.measure(trial) | trial.values
                    fault = trial.fault
            except TrialError as error:
                fault = str(error)
            row = Row(
                part=part.name,
                case=case.label,
                program=program.name,
                turn=turn,
                setup=case.setup,
                values=values,
                fault=fault,
            )
            style = "bold red" if row.fault else None
            console.print(told(row), style=style, markup=False, highlight=False, soft_wrap=True)
            rows.append(row)
    return rows
