"""Shows messages, tables and progress to a person, and asks questions."""

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
    """Print a message, indented, in one piece; tell whether it could be printed."""
    return show_json(msgspec.json.format(value, indent=2).decode())


def show_json(text: str) -> bool:
    """Print lines of JSON; tell whether they could be."""
    return show_text("\n".join(map(_escaped, text.split("\n"))) + "\n")


def show_text(text: str) -> bool:
    """Print to standard output; tell whether that worked. A reader may hang up who has seen enough.

    Args:
        text: as it is to be printed, with its line ends.
    """
    return _is_printed(streams.write(sys.stdout, text))


def show_bytes(data: bytes) -> bool:
    """Print bytes to standard output as they are; tell as :func:`show_text` does."""
    return _is_printed(streams.write(sys.stdout.buffer, data))


def _is_printed(error: OSError | None) -> bool:
    if error is None or isinstance(error, BrokenPipeError):
        return True
    show(f"cki-notifier: this can't be printed: {error}")
    return False


def show(text: str) -> None:
    """Print a line about what happens to standard error; what that can't take is lost."""
    streams.write(sys.stderr, printable(text) + "\n")


def _escaped(line: str) -> str:
    """Escape in a line of JSON what standard output can't hold.

    And what would move a terminal's cursor or turn its text around.
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
    """Say what was decided and why."""
    if isinstance(outcome, Ignored):
        return f"ignored ({outcome.reason}): {outcome.reason.sentence}"
    return (
        f"sent: a {outcome.stage} message" if sends else f"would be sent: a {outcome.stage} message"
    )


def agreed(question: str) -> bool:
    """Ask a person a question; tell whether the answer is yes."""
    if streams.write(sys.stderr, f"{question} [y/N] "):
        return False  # nobody was asked
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def columns(
    rows: Iterable[Sequence[str]],
    stream: TextIO,
    *,
    widths: Sequence[int] = (),
    styles: Mapping[str, str] | None = None,
) -> Iterator[str]:
    """Yield the lines of a table: one for each row, or as many as a terminal's width asks for.

    On a terminal the last cells are broken between words. Where that leaves too little room for
    them, they stand below the others. Nothing in a cell reaches the terminal raw.

    Args:
        rows: cells, as many in each.
        stream: where the lines will be printed.
        widths: of all columns but the last, in characters; as wide as they have to be without them.
        styles: rich's style of a row's other cells, by the text of its first.
    """
    table: Iterable[Sequence[str]] = ([*map(printable, row)] for row in rows)
    if not widths:
        table = list(table)
        widths = [max(map(len, column)) for column in list(zip(*table, strict=True))[:-1]]
    if stream.isatty():
        from cki_notifier.telemetry import layout  # noqa: PLC0415  # only who has a terminal

        yield from layout.lines(table, stream, widths, styles or {})
    else:
        for *cells, text in table:
            yield (columns_before(cells, widths) + text).rstrip()


def columns_before(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Return the part of a line that stands before its last column."""
    pairs = zip(cells, widths, strict=True)
    return "".join(f"{cell:<{width}}{GAP}" for cell, width in pairs)


@contextmanager
def progress(deed: str) -> Iterator[Callable[[int, int, int], None]]:
    """Show on a terminal how far a long run is; at the end nothing of it is left.

    Args:
        deed: what is done to some of the steps, in the past tense.

    Yields:
        What is told of it: of how many steps, how many are over, and how many had it done to them.
    """
    if sys.stderr.isatty():
        from cki_notifier.telemetry import layout  # noqa: PLC0415  # only who has a terminal

        with layout.progress(deed) as tell:
            yield tell
    else:
        yield lambda _total, _seen, _done: None
