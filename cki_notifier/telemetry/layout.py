"""Lays out tables and progress for a terminal, in its width and colors.

Only this module imports rich, which takes a tenth of the start-up time, and only a terminal needs
it.
"""

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text

from cki_notifier.telemetry.terminal import GAP, columns_before

#: The narrowest last column, in characters. Below that, its text goes under the other columns.
_NARROWEST = 24
#: The delay before progress appears, in seconds.
_QUIET_SECONDS = 0.5
_PROGRESS = "{task.percentage:3.0f} % of {task.total:,}, {task.fields[done]:,} {task.description}"


def lines(
    table: Iterable[Sequence[str]],
    stream: TextIO,
    widths: Sequence[int],
    styles: Mapping[str, str],
) -> Iterator[str]:
    """Yield the lines of a table; see :func:`cki_notifier.telemetry.terminal.columns`."""
    console = _console(stream)
    indent = sum(widths) + len(GAP) * len(widths)
    for *cells, text in table:
        head = Text().append(columns_before(cells, widths), styles.get(cells[0], ""))
        for line in _row(head, text, indent, console):
            with console.capture() as shown:
                console.print(line, end="")
            yield shown.get()


def _row(head: Text, text: str, indent: int, console: Console) -> Iterator[Text]:
    """Yield a row's lines, each within the terminal's width."""
    needed = max([_NARROWEST, *map(cell_len, text.split())])
    if head.cell_len > indent or console.width - indent < needed:
        head.rstrip()
        if head:
            yield from _wrapped(head, console, console.width)
        if not text:
            return
        head, indent = Text(GAP), len(GAP)
    room = max(console.width - indent, 1)
    for line in _wrapped(Text(text), console, room):
        yield head + line
        head = Text(" " * indent)


def _wrapped(text: Text, console: Console, width: int) -> Iterator[Text]:
    for line in text.wrap(console, width, overflow="fold"):
        line.rstrip()
        yield line


@contextmanager
def progress(deed: str) -> Iterator[Callable[[int, int, int], None]]:
    """Show progress; see :func:`cki_notifier.telemetry.terminal.progress`."""
    console, loud = _console(sys.stderr), time.monotonic() + _QUIET_SECONDS
    bar = BarColumn(), TextColumn(_PROGRESS, markup=False)
    shown = Progress(*bar, console=console, transient=True, disable=console.is_dumb_terminal)
    task = shown.add_task(deed, total=0, done=0)

    def tell(total: int, seen: int, done: int) -> None:
        shown.update(task, total=total, completed=seen, done=done)
        if not shown.live.is_started and time.monotonic() > loud:
            shown.start()
            console.show_cursor()  # a second signal, which kills us at once, would leave it hidden

    try:
        yield tell
    finally:
        if shown.live.is_started:
            shown.stop()


def _console(stream: TextIO) -> Console:
    size = os.get_terminal_size(stream.fileno())
    return Console(
        file=stream,
        width=size.columns or None,
        height=size.lines or None,  # else rich assumes 80 columns for a dumb terminal
        soft_wrap=True,
        highlight=False,
        markup=False,
        emoji=False,
    )
