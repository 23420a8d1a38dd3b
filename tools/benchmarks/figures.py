"""From raw rows to tables: medians with their ranges, and ratios."""

import statistics
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final


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
        return ", ".join(parts)

    @property
    def services_seconds(self) -> float:
        """How long a notification waits for services at least: reads one after the other."""
        return self.latency * (2 if self.merge_requests else 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What was measured of one program in one run.

    Attributes:
        part: which part of the benchmark, as ``backlog``.
        case: what was asked of the program, as ``64 in flight, 50 ms``.
        program: its name.
        turn: counted from 1.
        setup: of the case, for a plot.
        values: by the name of the measure, see ``MEASURES``; none of a run that failed.
        fault: what is not as it should be; empty when everything is.
    """

    part: str
    case: str
    program: str
    turn: int = 1
    setup: Setup = field(default_factory=Setup)
    values: Mapping[str, float]
    fault: str = ""


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


def told(row: Row) -> str:
    """Return a run's values in a line, and what was wrong."""
    values = ", ".join(
        f"{measure.heading} {measure.form.format(row.values[name])}"
        for name, measure in MEASURES.items()
        if name in row.values
    )
    fault = f" FAILED: {row.fault}" if row.fault else ""
    return f"{row.part}: {row.case}: {row.program}: {values}{fault}"


def grouped(rows: Iterable[Row]) -> dict[tuple[str, str], list[Row]]:
    """Return the runs of each case and program, in the order in which these first come."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.case, row.program), []).append(row)
    return groups


def values_of(rows: Iterable[Row], name: str) -> list[float]:
    """Return the values of a measure; a run that failed has none."""
    return [row.values[name] for row in rows if name in row.values]


def table(
    rows: Sequence[Row], reference: str | None = None, extra: Collection[str] = ()
) -> list[list[str]]:
    """Return the texts of a table: headings, a line for each case and program, one for its ratios.

    Figures are medians over the turns, with the range when there is one. Ratios compare each run
    with the reference's of the same turn, which ran next to it, and are the median of these.

    Args:
        rows: of one part.
        reference: the program that ratios are to; None for no ratios.
        extra: measures that are in this table, and not in every one.
    """
    names = [
        name
        for name, measure in MEASURES.items()
        if (measure.is_in_tables or name in extra) and values_of(rows, name)
    ]
    lines = [["case", "program", *(MEASURES[name].heading for name in names)]]
    groups = grouped(rows)
    for (case, program), found in groups.items():
        lines.append([case, program, *(_figure(found, name) for name in names)])
        if program != reference and (others := groups.get((case, reference or ""))):
            lines.append(["", "ratio", *(_ratio(found, others, name) for name in names)])
    return lines


def _figure(rows: Sequence[Row], name: str) -> str:
    values = values_of(rows, name)
    if not values:
        return ""
    middle, least, most = (
        MEASURES[name].form.format(value)
        for value in (statistics.median(values), min(values), max(values))
    )
    return middle if least == most else f"{middle} [{least} to {most}]"


def _ratio(rows: Sequence[Row], others: Sequence[Row], name: str) -> str:
    """Return nothing for a measure that one of them lacks, or that is 0 for the other."""
    by_turn = {other.turn: other.values.get(name) for other in others}
    ratios = [
        row.values[name] / other
        for row in rows
        if name in row.values and (other := by_turn.get(row.turn))
    ]
    return f"{statistics.median(ratios):.2f}" if ratios and MEASURES[name].has_ratio else ""
