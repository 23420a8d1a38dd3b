"""Turn raw rows into tables: medians with ranges, and ratios."""

import statistics
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """The setup of a run: of the program and its surroundings.

    Attributes:
        in_flight: notifications handled at once by each process.
        latency: of DataWarehouse and GitLab, in seconds.
        processes: replicas on one queue.
        merge_requests: whether checkouts have merge requests, which cost a second read.
        returned: percentage of notifications that come as from a retry queue, so that the daemon
            looks them up in the topic.
    """

    in_flight: int = 64
    latency: float = 0.05
    processes: int = 1
    merge_requests: bool = False
    returned: int = 0

    @property
    def label(self) -> str:
        """Its name in tables."""
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
        """The least time that a notification waits for services, which it reads in sequence."""
        return self.latency * (2 if self.merge_requests else 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The results of one program in one run.

    Attributes:
        part: of the benchmark, for example ``backlog``.
        case: for example ``64 in flight, 50 ms``.
        program: its name.
        turn: counted from 1.
        setup: of the case, for a plot.
        values: by the name of the measure, see ``MEASURES``; empty for a run that failed.
        fault: the failure, or empty.
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
    """How to show a measure: heading, format, and place."""

    heading: str
    form: str
    has_ratio: bool = False
    is_in_tables: bool = True


#: All shown measures, in order.
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
    """Return a run's values and its fault in a line."""
    values = ", ".join(
        f"{measure.heading} {measure.form.format(row.values[name])}"
        for name, measure in MEASURES.items()
        if name in row.values
    )
    fault = f" FAILED: {row.fault}" if row.fault else ""
    return f"{row.part}: {row.case}: {row.program}: {values}{fault}"


def grouped(rows: Iterable[Row]) -> dict[tuple[str, str], list[Row]]:
    """Return the runs of each case and program, in order of first appearance."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.case, row.program), []).append(row)
    return groups


def values_of(rows: Iterable[Row], name: str) -> list[float]:
    """Return the values of a measure, without runs that failed."""
    return [row.values[name] for row in rows if name in row.values]


def table(
    rows: Sequence[Row], reference: str | None = None, extra: Collection[str] = ()
) -> list[list[str]]:
    """Return a table's texts: headings, then a line for each case and program, and for its ratios.

    Figures are medians over the turns, with their range. A ratio compares a run with the
    reference's run of the same turn; the table has the median of these ratios.

    Args:
        rows: of one part.
        reference: the program for ratios, or None.
        extra: measures only for this table.
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
    """Return the median ratio; empty if one lacks the measure or the other's is 0."""
    by_turn = {other.turn: other.values.get(name) for other in others}
    ratios = [
        row.values[name] / other
        for row in rows
        if name in row.values and (other := by_turn.get(row.turn))
    ]
    return f"{statistics.median(ratios):.2f}" if ratios and MEASURES[name].has_ratio else ""
