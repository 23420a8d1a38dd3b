"""Tables of results, for the terminal and for the documentation."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

_END = "<!-- end -->"


@dataclass
class Table:
    """A table; `begin` is the mark before its place in the documentation.

    Below the rows come notes, a line each.
    """

    begin: str
    headings: Sequence[str]
    rows: list[list[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def plain(self) -> list[str]:
        """Return the lines for a terminal."""
        lines = [list(self.headings), *self.rows] if self.rows else []
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return [
            *(
                "  ".join(
                    text.rjust(width) if column else text.ljust(width)
                    for column, (text, width) in enumerate(zip(line, widths, strict=True))
                )
                for line in lines
            ),
            *self.notes,
        ]

    def write(self, path: Path) -> None:
        """Write the table and the notes behind its mark in a Markdown file."""
        head, _, rest = path.read_text().partition(self.begin)
        _, _, tail = rest.partition(_END)
        alignment = ["---", *["---:"] * (len(self.headings) - 1)]
        lines = [f"| {' | '.join(line)} |" for line in (self.headings, alignment, *self.rows)]
        path.write_text("\n".join([head + self.begin, "", *lines, "", *self.notes, _END + tail]))
