"""The table of what was seen, for the terminal and for the documentation."""

from collections.abc import Iterable
from pathlib import Path

from tests.faults.verdict import Verdict

_HEADINGS = ("fault", "sent", "lost", "duplicates", "dead letters", "seconds to recover", "tries/s")
_BEGIN, _END = "<!-- made by scripts/test-faults --write -->", "<!-- end -->"


def rows(verdicts: Iterable[Verdict]) -> list[list[str]]:
    """Return a row of texts for each fault."""
    return [
        [
            verdict.fault.id,
            str(verdict.sent),
            str(len(verdict.lost)),
            str(verdict.duplicates),
            str(verdict.dead_letters),
            f"{verdict.seconds:.1f}",
            "" if verdict.tries_a_second is None else f"{verdict.tries_a_second:.1f}",
        ]
        for verdict in verdicts
    ]


def plain(verdicts: Iterable[Verdict]) -> list[str]:
    """Return the table's lines for a terminal."""
    lines = [list(_HEADINGS), *rows(verdicts)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEADINGS))]
    return [
        "  ".join(
            text.rjust(width) if column else text.ljust(width)
            for column, (text, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    ]


def write(path: Path, verdicts: Iterable[Verdict], notes: Iterable[str]) -> None:
    """Put the table and the notes between the marks in a file of Markdown."""
    head, _, rest = path.read_text().partition(_BEGIN)
    _, _, tail = rest.partition(_END)
    alignment = ["---", *["---:"] * (len(_HEADINGS) - 1)]
    lines = [f"| {' | '.join(line)} |" for line in (_HEADINGS, alignment, *rows(verdicts))]
    path.write_text("\n".join([head + _BEGIN, "", *lines, "", *notes, _END + tail]))
