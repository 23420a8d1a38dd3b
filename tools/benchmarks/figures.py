"""From raw rows to the figures of a table: percentiles, medians, ratios."""

import statistics
from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from itertools import groupby
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What was measured of one program in one run.

    Attributes:
        part: which part of the benchmark, as ``backlog``.
        case: what was asked of the program, as ``64 in flight, 50 ms``.
        program: its name.
        turn: counted from 1.
        values: by the name of the measure; see ``MEASURES``.
        parameters: of the case, for a plot.
        verdict: what is not as it should be.
        is_good: whether everything is.
    """

    part: str
    case: str
    program: str
    turn: int
    values: Mapping[str, float]
    parameters: Mapping[str, float] = field(default_factory=dict)
    verdict: str = ""
    is_good: bool = True


@dataclass(frozen=True, slots=True)
class Measure:
    """How a measure is shown: its heading, how its figures are written, and where."""

    heading: str
    form: str
    has_ratio: bool = False
    is_in_tables: bool = True


#: The measures that are shown, in their order.
MEASURES: Final[Mapping[str, Measure]] = MappingProxyType(
    {
        "throughput": Measure("notifications/s", "{:.0f}", has_ratio=True),
        "p50_ms": Measure("added p50, ms", "{:.1f}", has_ratio=True),
        "p99_ms": Measure("added p99, ms", "{:.1f}", has_ratio=True),
        "cpu_ms": Measure("CPU each, ms", "{:.2f}", has_ratio=True),
        "peak_mib": Measure("peak RSS, MiB", "{:.0f}", has_ratio=True),
        "largest_mib": Measure("of one at most", "{:.0f}", is_in_tables=False),
        "evenness": Measure("least share to most", "{:.2f}", is_in_tables=False),
        "big_seconds": Measure("big ones done after, s", "{:.1f}"),
        "idle_percent": Measure("idle CPU, % of a core", "{:.2f}"),
        "start_seconds": Measure("start to first message, s", "{:.2f}", is_in_tables=False),
        "requests_a_second": Measure("requests/s", "{:.0f}"),
        "request_us": Measure("CPU each, µs", "{:.0f}"),
        "mean_ms": Measure("answer mean, ms", "{:.2f}"),
        "longest_ms": Measure("answer p99, ms", "{:.2f}"),
        "warehouse": Measure("stand-in's CPU", "{:.0%}"),
        "rabbitmq": Measure("RabbitMQ's", "{:.0%}", is_in_tables=False),
        "kafka": Measure("Kafka's", "{:.0%}", is_in_tables=False),
        "requests": Measure("requests each", "{:.2f}", is_in_tables=False),
        "lost": Measure("lost", "{:.0f}", is_in_tables=False),
        "repeated": Measure("repeated", "{:.0f}", is_in_tables=False),
        "fixed_seconds": Measure("without KEDA, s", "{:.0f}"),
        "keda_seconds": Measure("with KEDA, s", "{:.0f}"),
        "most_replicas": Measure("replicas at most", "{:.0f}"),
        "grown_seconds": Measure("all consume after, s", "{:.0f}"),
        "shrunk_seconds": Measure("gone again after, s", "{:.0f}"),
    }
)


@dataclass(frozen=True, slots=True)
class Figure:
    """A measure over all turns."""

    median: float
    lowest: float
    highest: float


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a table: a program in a case.

    Attributes:
        figures: by the name of the measure.
        ratios: to the program compared with, turn by turn, and of these the median; empty for the
            line of that program, and without one.
    """

    case: str
    program: str
    figures: Mapping[str, Figure]
    ratios: Mapping[str, float]


def percentile(values: Iterable[float], share: float) -> float:
    """Return the smallest value that at least this share of all are not above (nearest rank).

    Raises:
        ValueError: there are no values, or the share is not above 0 and at most 1.
    """
    ordered = sorted(values)
    if not ordered or not 0 < share <= 1:
        raise ValueError(f"no percentile of {len(ordered)} values at {share}")
    # Whole numbers: 0.99 * 100 is a little more than 99.
    rank = -(-len(ordered) * round(share * 10_000) // 10_000)
    return ordered[rank - 1]


def summary(rows: Sequence[Row], reference: str | None, extra: Collection[str] = ()) -> list[Line]:
    """Return a line for each case and program, in the order in which they first come.

    Args:
        rows: of one part.
        reference: the program that ratios are to; None for no ratios.
        extra: measures that are in these lines, and not in every table's.
    """
    shown = {name for name, measure in MEASURES.items() if measure.is_in_tables or name in extra}
    places: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        places.setdefault((row.case, row.program), []).append(row)
    lines = []
    for (case, program), found in places.items():
        others = places.get((case, reference or ""), [])
        is_reference = program == reference
        lines.append(
            Line(
                case=case,
                program=program,
                figures=_figures(found, shown),
                ratios={} if is_reference else _ratios(found, others),
            )
        )
    return sorted(lines, key=lambda it: _first(rows, it.case))


def _first(rows: Sequence[Row], case: str) -> int:
    return next(index for index, row in enumerate(rows) if row.case == case)


def _figures(rows: Sequence[Row], names: AbstractSet[str]) -> dict[str, Figure]:
    """Return the figures of all rows that have values: a run that failed has none."""
    measured = [row for row in rows if row.values]
    figures = {}
    for name in names & measured[0].values.keys() if measured else ():
        values = [row.values[name] for row in measured]
        figures[name] = Figure(statistics.median(values), min(values), max(values))
    return figures


def _ratios(rows: Sequence[Row], others: Sequence[Row]) -> dict[str, float]:
    """Compare each row with the other program's of the same turn: they ran next to each other."""
    by_turn = {other.turn: other for other in others if other.values}
    pairs = [(row, by_turn[row.turn]) for row in rows if row.values and row.turn in by_turn]
    return {
        name: statistics.median(row.values[name] / other.values[name] for row, other in pairs)
        for name in (pairs[0][0].values if pairs else ())
        if all(other.values.get(name) for _, other in pairs)
    }


def by_part(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Return the rows of each part, in the order of the parts' first rows."""
    ordered = {row.part: None for row in rows}
    ranked = sorted(rows, key=lambda it: list(ordered).index(it.part))
    return {part: list(found) for part, found in groupby(ranked, key=lambda it: it.part)}
