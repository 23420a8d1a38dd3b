"""The report: tables for the terminal and the documentation, and a plot."""

import os
import platform
import shlex
import statistics
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Final

import matplotlib as mpl
from matplotlib.figure import Figure
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from tools.benchmarks.figures import Row, grouped, values_of

_END: Final = "<!-- end -->"
#: The number of text columns. Figures follow, aligned to the right.
_TEXTS: Final = 2
_LIBRARIES: Final = ("pika", "confluent-kafka", "msgspec", "pycurl")
_SIZE_INCHES: Final = (8, 4.5)


def show(console: Console, title: str, lines: Sequence[Sequence[str]]) -> None:
    """Print a table; the first line has the headings."""
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for index, heading in enumerate(lines[0]):
        is_text = index < _TEXTS
        table.add_column(heading, justify="left" if is_text else "right", no_wrap=is_text)
    for texts in lines[1:]:
        table.add_row(*texts)
    console.print(table)


def markdown(lines: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    alignment = ["---"] * _TEXTS + ["---:"] * (len(lines[0]) - _TEXTS)
    return "\n".join(f"| {' | '.join(texts)} |" for texts in (lines[0], alignment, *lines[1:]))


def write(path: Path, sections: dict[str, str]) -> None:
    """Replace the sections of a Markdown file between the marks of their names.

    Creates a missing file, and appends missing marks.
    """
    text = path.read_text() if path.exists() else ""
    for name, section in sections.items():
        begin = f"<!-- made by scripts/bench --write: {name} -->"
        if begin not in text:
            text = f"{text.rstrip()}\n\n{begin}\n{_END}\n".lstrip()
        head, _, rest = text.partition(begin)
        _, _, tail = rest.partition(_END)
        text = f"{head}{begin}\n\n{section}\n\n{_END}{tail}"
    path.write_text(text)


def circumstances(arguments: Iterable[str]) -> str:
    """Return a paragraph with the command, the machine and the versions."""
    libraries = ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
    return (
        f"`{shlex.join(['scripts/bench', *arguments])}` on {os.cpu_count()} cores "
        f"({_processor()}), Python {platform.python_version()}, {libraries}."
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def draw(rows: Sequence[Row], path: Path) -> None:
    """Draw the throughput by notifications in flight as SVG. Same rows give the same file.

    Args:
        rows: of the matrix; a curve for each latency and number of processes.
        path: of the file.
    """
    curves: dict[str, dict[int, float]] = {}
    for found in grouped(rows).values():
        setup, values = found[0].setup, values_of(found, "throughput")
        if values:
            processes = f"{setup.processes} processes" if setup.processes > 1 else "one process"
            curve = curves.setdefault(f"{setup.latency * 1000:g} ms, {processes}", {})
            curve[setup.in_flight] = statistics.median(values)
    with mpl.rc_context({"svg.hashsalt": "cki-notifier", "svg.fonttype": "none"}):
        figure = Figure(figsize=_SIZE_INCHES, layout="constrained")
        axes = figure.subplots()
        for label, points in curves.items():
            axes.plot(list(points), list(points.values()), marker="o", label=label)
        numbers = sorted({number for points in curves.values() for number in points})
        axes.set_xscale("log", base=2)
        axes.set_xticks(numbers, [str(number) for number in numbers])
        axes.set_xlabel("notifications in flight, for each process")
        axes.set_ylabel("notifications a second")
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
        axes.legend()
        figure.savefig(path, format="svg", metadata={"Date": None})
