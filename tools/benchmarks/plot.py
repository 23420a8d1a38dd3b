"""A plot of the throughput, the same bytes for the same rows."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from tools.benchmarks.figures import Row, summary

_SIZE_INCHES = (8, 4.5)


def draw(rows: Sequence[Row], path: Path) -> None:
    """Draw the throughput over what is in flight into an SVG file.

    Args:
        rows: of the matrix; a curve for each latency and number of processes.
        path: of the file.
    """
    curves = _curves(rows)
    with mpl.rc_context({"svg.hashsalt": "cki-notifier", "svg.fonttype": "none"}):
        figure = Figure(figsize=_SIZE_INCHES, layout="constrained")
        axes = figure.subplots()
        for label, points in curves.items():
            axes.plot(*zip(*points, strict=True), marker="o", label=label)
        numbers = sorted({x for points in curves.values() for x, _ in points})
        axes.set_xscale("log", base=2)
        axes.set_xticks(numbers, [f"{number:g}" for number in numbers])
        axes.set_xlabel("notifications in flight, for each process")
        axes.set_ylabel("notifications a second")
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
        axes.legend()
        figure.savefig(path, format="svg", metadata={"Date": None})


def _curves(rows: Sequence[Row]) -> dict[str, list[tuple[float, float]]]:
    parameters = {(row.case, row.program): row.parameters for row in rows}
    curves: dict[str, list[tuple[float, float]]] = {}
    for line in summary(rows, None):
        known = parameters[line.case, line.program]
        if "throughput" in line.figures:
            point = (known["in_flight"], line.figures["throughput"].median)
            curves.setdefault(_label(known), []).append(point)
    return curves


def _label(known: Mapping[str, float]) -> str:
    processes = f"{known['processes']} processes" if known["processes"] > 1 else "one process"
    return f"{known['latency_ms']:g} ms, {processes}"
