"""The documentation's pictures (SVG): rows of boxes with words in them.

One picture does for light and dark pages: every text is in a box with a color of its own.
"""

from collections.abc import Iterator, Sequence
from itertools import accumulate
from textwrap import wrap
from typing import Final, NamedTuple
from xml.sax.saxutils import escape

#: All sizes are in the picture's own units.
WIDTH: Final = 900
MARGIN: Final = 10
_LINE_HEIGHT: Final = 15
_UNITS_A_LETTER: Final = 7
_LINE_COLOUR: Final = "#808890"


class Box(NamedTuple):
    """A box with a text in its middle, perhaps below a heading."""

    left: int
    width: int
    fill: str
    text: str
    heading: str = ""

    @property
    def middle(self) -> int:
        """Its middle, from left to right."""
        return self.left + self.width // 2

    def lines(self) -> list[str]:
        """Return what is in it, as wide as it is."""
        letters = (self.width - 16) // _UNITS_A_LETTER
        text = wrap(self.text, letters, break_on_hyphens=False)
        return [self.heading, *text] if self.heading else text

    def svg(self, top: int, height: int) -> Iterator[str]:
        """Yield its elements."""
        size = f'width="{self.width}" height="{height}" rx="6"'
        yield f'<rect x="{self.left}" y="{top}" {size} fill="{self.fill}"/>'
        lines = self.lines()
        first = top + height // 2 + 5 - (len(lines) - 1) * _LINE_HEIGHT // 2
        for number, line in enumerate(lines):
            place = f'x="{self.middle}" y="{first + number * _LINE_HEIGHT}"'
            weight = ' font-weight="bold"' if self.heading and not number else ""
            yield f'<text {place} text-anchor="middle"{weight}>{escape(line)}</text>'


def picture(title: str, rows: Sequence[Sequence[Box]], gap: int, steps: int = 0) -> str:
    """Return a whole picture.

    Args:
        title: for those who can't see it.
        rows: from the top down.
        gap: between two rows.
        steps: the number of rows that are steps. An arrow leads from the first box of a step to
            that of the next one, and a line joins the boxes of each.
    """
    heights = [max(len(box.lines()) for box in row) * _LINE_HEIGHT + 14 for row in rows]
    *tops, end = accumulate((height + gap for height in heights), initial=MARGIN)
    lines, boxes = [], []
    for number, (row, top, height) in enumerate(zip(rows, tops, heights, strict=True), 1):
        if number <= steps:
            middles = [box.middle for box in row]
            lines.append(_line(f"M{min(middles)} {top + height // 2} H{max(middles)}"))
        if number < steps:
            x, tip = row[0].middle, tops[number]
            lines.append(_line(f"M{x} {top + height} V{tip - 6}"))
            lines.append(f'<path d="M{x - 5} {tip - 8} h10 l-5 8 z" fill="{_LINE_COLOUR}"/>')
        boxes += [element for box in row for element in box.svg(top, height)]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {end}" role="img" '
        'font-family="system-ui, sans-serif" font-size="13" fill="#fff">'
    )
    return "\n".join([head, f"<title>{escape(title)}</title>", *lines, *boxes, "</svg>", ""])


def _line(path: str) -> str:
    return f'<path d="{path}" stroke="{_LINE_COLOUR}" stroke-width="1.5"/>'
