"""Runs cases with programs in turn, and collects the rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from tools.benchmarks.backlog import Backlog
from tools.benchmarks.figures import Row
from tools.benchmarks.programs import NOTIFIER, Program
from tools.benchmarks.rig import Rig
from tools.benchmarks.trial import Outcome, Progress, Setup, TrialError

#: Notifications that nobody counts.
_WARM_UP: Final = 2000


class Case(Protocol):
    """Something that can be asked of a program."""

    @property
    def label(self) -> str:
        """What it is called in tables."""

    @property
    def messages(self) -> int:
        """How many messages come of it, about."""

    @property
    def parameters(self) -> Mapping[str, float]:
        """What it is about, in numbers."""

    def run(self, rig: Rig, program: Program, progress: Progress) -> Outcome:
        """Ask it of a program; raise a TrialError when nothing can be measured."""


@dataclass(frozen=True, slots=True)
class Part:
    """Cases whose rows make a table.

    Attributes:
        name: of the part, one word.
        title: above the table.
        programs: each runs each case, one after the other, and that again in each turn.
        extra: measures that are in its table, and not in every part's.
    """

    name: str
    title: str
    cases: Sequence[Case]
    programs: Sequence[Program]
    turns: int
    extra: tuple[str, ...] = ()

    @property
    def runs(self) -> int:
        """How many runs it is made of."""
        return len(self.cases) * len(self.programs) * self.turns


class Watcher(Protocol):
    """Is told how it goes on."""

    def begun(self, part: Part, case: Case, program: Program) -> None:
        """A run has begun."""

    def written(self, messages: int) -> None:
        """So many messages of the run are there."""

    def measured(self, row: Row) -> None:
        """A run is over."""


def warm_up(rig: Rig) -> None:
    """Have the brokers work for a while, because the first run is a slow one for anybody."""
    Backlog(Setup(latency=0.0), _WARM_UP).run(rig, NOTIFIER, lambda _: None)


def run(rig: Rig, parts: Sequence[Part], watcher: Watcher) -> list[Row]:
    """Run all parts; a run that failed has a row without values that is not good."""
    rows = []
    for part in parts:
        for case in part.cases:
            for turn in range(1, part.turns + 1):
                for program in part.programs:
                    watcher.begun(part, case, program)
                    row = _row(rig, (part, case, program), turn, watcher.written)
                    watcher.measured(row)
                    rows.append(row)
    return rows


def _row(rig: Rig, what: tuple[Part, Case, Program], turn: int, progress: Progress) -> Row:
    part, case, program = what
    try:
        outcome = case.run(rig, program, progress)
    except TrialError as error:
        values, verdict, is_good = dict[str, float](), str(error), False
    else:
        values, verdict, is_good = outcome.values, str(outcome.verdict), outcome.verdict.is_good
    return Row(
        part=part.name,
        case=case.label,
        program=program.name,
        turn=turn,
        values=values,
        parameters=case.parameters,
        verdict=verdict,
        is_good=is_good,
    )
