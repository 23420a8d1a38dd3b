"""What is shown: a line for each run, and tables for the terminal and for the documentation."""

import os
import platform
import shlex
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from tools.benchmarks.figures import MEASURES, Line, Row

_END = "<!-- end -->"


def told(row: Row) -> str:
    """Return a run's values in a line, and what was wrong."""
    place = f"{row.part}: {row.case}: {row.program}: "
    values = ", ".join(
        f"{measure.heading} {measure.form.format(row.values[name])}"
        for name, measure in MEASURES.items()
        if name in row.values
    )
    return place + (values if row.is_good else f"{values} FAILED: {row.verdict}")


def headings(lines: Sequence[Line]) -> list[str]:
    """Return the headings of a table."""
    return ["case", "program", *(MEASURES[name].heading for name in _shown(lines))]


def cells(lines: Sequence[Line]) -> list[list[str]]:
    """Return a row of texts for each line, with its medians, and one for its ratios if any."""
    names = _shown(lines)
    rows = []
    for line in lines:
        rows.append([line.case, line.program, *(_figure(line, name) for name in names)])
        if line.ratios:
            rows.append(["", "ratio", *(_ratio(line, name) for name in names)])
    return rows


def show(console: Console, title: str, lines: Sequence[Line]) -> None:
    """Print a table."""
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for index, heading in enumerate(headings(lines)):
        is_text = index < _TEXTS
        table.add_column(heading, justify="left" if is_text else "right", no_wrap=is_text)
    for texts in cells(lines):
        table.add_row(*texts)
    console.print(table)


_TEXTS = 2


def markdown(lines: Sequence[Line]) -> str:
    """Return a table in Markdown."""
    names = headings(lines)
    alignment = ["---"] * _TEXTS + ["---:"] * (len(names) - _TEXTS)
    rows = [names, alignment, *cells(lines)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def write(path: Path, sections: dict[str, str]) -> None:
    """Put texts between the marks of their names in a file of Markdown; others stay.

    A file that is missing is made, and marks that are missing go to its end.
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
    """Return the command and what it ran on, as a paragraph."""
    libraries = ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
    return (
        f"`{shlex.join(['scripts/bench', *arguments])}` on {os.cpu_count()} cores "
        f"({_processor()}), Python {platform.python_version()}, {libraries}."
    )


_LIBRARIES = ("pika", "confluent-kafka", "msgspec", "pycurl")


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def _shown(lines: Sequence[Line]) -> list[str]:
    return [name for name in MEASURES if any(name in line.figures for line in lines)]


def _ratio(line: Line, name: str) -> str:
    ratio = line.ratios.get(name)
    return f"{ratio:.2f}" if ratio is not None and MEASURES[name].has_ratio else ""


def _figure(line: Line, name: str) -> str:
    """Return the median, with the range when there is one."""
    figure = line.figures.get(name)
    if figure is None:
        return ""
    median, lowest, highest = (
        MEASURES[name].form.format(value)
        for value in (figure.median, figure.lowest, figure.highest)
    )
    return median if lowest == highest else f"{median} [{lowest} to {highest}]"
