"""Prints messages, tables and progress, and asks questions."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TextIO

import msgspec

from cki_notifier.notification.models import Ignored, Outcome
from cki_notifier.telemetry import streams
from cki_notifier.telemetry.printable import printable

#: Between two columns.
GAP = "  "


def show_message(value: bytes) -> bool:
    """Print a message, indented, in one piece; tell whether that worked."""
    return show_json(msgspec.json.format(value, indent=2).decode())


def show_json(text: str) -> bool:
    """Print lines of JSON; tell whether that worked."""
    return show_text("\n".join(map(_escaped, text.split("\n"))) + "\n")


def show_text(text: str) -> bool:
    """Print to standard output; tell whether that worked. A reader that closes it is no error.

    Args:
        text: with its line ends.
    """
    return _is_printed(streams.write(sys.stdout, text))


def show_bytes(data: bytes) -> bool:
    """Print bytes to standard output unchanged; return as :func:`show_text` does."""
    return _is_printed(streams.write(sys.stdout.buffer, data))


def _is_printed(error: OSError | None) -> bool:
    if error is None or isinstance(error, BrokenPipeError):
        return True
    show_unprintable(error)
    return False


def show_unprintable(error: OSError) -> None:
    """Report that standard output takes no text."""
    show(f"cki-notifier: can't print to standard output: {error}")


def show(text: str) -> None:
    """Print a line to standard error; ignore errors."""
    streams.write(sys.stderr, printable(text) + "\n")


def _escaped(line: str) -> str:
    """Escape characters of a line of JSON that are unsafe to print.

    These are missing in standard output's encoding, or move the cursor or change the direction.
    """
    if _is_fit(line):
        return line
    return "".join(it if _is_fit(it) else json.dumps(it)[1:-1] for it in line)


def _is_fit(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return text.isprintable()


def decision(outcome: Outcome, *, sends: bool) -> str:
    """Return the decision and its reason in words."""
    if isinstance(outcome, Ignored):
        return f"ignored ({outcome.reason}): {outcome.reason.sentence}"
    return (
        f"sent: a {outcome.stage} message" if sends else f"would be sent: a {outcome.stage} message"
    )


def agreed(question: str) -> bool:
    """Ask a question; tell whether the answer is yes."""
    if streams.write(sys.stderr, f"{question} [y/N] "):
        return False  # the question was not printed
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def columns(
    rows: Iterable[Sequence[str]],
    stream: TextIO,
    *,
    widths: Sequence[int] = (),
    styles: Mapping[str, str] | None = None,
) -> Iterator[str]:
    """Yield the lines of a table: one for each row, or as many as a terminal's width needs.

    On a terminal, the last cell wraps between words, or goes below the others if it has too little
    room. Control characters are escaped.

    Args:
        rows: cells, the same number in each.
        stream: where the lines will be printed.
        widths: of all columns but the last, in characters; by default the widest cell's.
        styles: rich's style of a row's cells but the last, by the text of the first.
    """
    table: Iterable[Sequence[str]] = ([*map(printable, row)] for row in rows)
    if not widths:
        table = list(table)
        widths = [max(map(len, column)) for column in list(zip(*table, strict=True))[:-1]]
    if stream.isatty():
        from cki_notifier.telemetry import layout  # noqa: PLC0415  # only for a terminal

        yield from layout.lines(table, stream, widths, styles or {})
    else:
        for *cells, text in table:
            yield (columns_before(cells, widths) + text).rstrip()


def columns_before(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Return the part of a line before its last column."""
    pairs = zip(cells, widths, strict=True)
    return "".join(f"{cell:<{width}}{GAP}" for cell, width in pairs)


@contextmanager
def progress(deed: str) -> Iterator[Callable[[int, int, int], None]]:
    """Show the progress of a long run on a terminal, and remove it at the end.

    Args:
        deed: the action on some of the steps, in the past tense.

    Yields:
        A function of three numbers: all steps, steps done, and steps with the action.
    """
    if sys.stderr.isatty():
        from cki_notifier.telemetry import layout  # noqa: PLC0415  # only for a terminal

        with layout.progress(deed) as tell:
            yield tell
    else:
        yield lambda _total, _seen, _done: None
