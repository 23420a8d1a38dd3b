"""Boxes, lines and words of the documentation's pictures (SVG).

One picture does for light and dark pages: every text is in a box with a colour of its own.
"""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple
from xml.sax.saxutils import escape

#: How wide a picture is, and how far apart its lines of text are, in the picture's own units.
WIDTH: Final = 900
LINE_HEIGHT: Final = 15
LINE_COLOUR: Final = "#808890"


class Box(NamedTuple):
    """A box with lines of text in its middle; the first of them may be a heading."""

    x: int
    y: int
    width: int
    height: int
    fill: str
    lines: list[str]
    has_heading: bool = False

    def svg(self) -> Iterator[str]:
        """Yield its elements."""
        size = f'width="{self.width}" height="{self.height}" rx="6"'
        yield f'<rect x="{self.x}" y="{self.y}" {size} fill="{self.fill}"/>'
        first = self.y + self.height // 2 + 5 - (len(self.lines) - 1) * LINE_HEIGHT // 2
        for number, line in enumerate(self.lines):
            place = f'x="{self.x + self.width // 2}" y="{first + number * LINE_HEIGHT}"'
            weight = ' font-weight="bold"' if self.has_heading and not number else ""
            yield f'<text {place} text-anchor="middle"{weight}>{escape(line)}</text>'


def line(x1: int, y1: int, x2: int, y2: int) -> str:
    """Return a line from one point to another."""
    return f'<path d="M{x1} {y1} L{x2} {y2}" stroke="{LINE_COLOUR}" stroke-width="1.5"/>'


def arrow_down(x: int, y: int, end: int) -> str:
    """Return an arrow from one height to a lower one."""
    return (
        f'{line(x, y, x, end - 6)}<path d="M{x - 5} {end - 8} h10 l-5 8 z" fill="{LINE_COLOUR}"/>'
    )


def picture(title: str, height: int, elements: Iterable[str]) -> str:
    """Return a whole picture, whose title is for those who can't see it."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        'font-family="system-ui, sans-serif" font-size="13" fill="#fff">'
    )
    return "\n".join([head, f"<title>{escape(title)}</title>", *elements, "</svg>", ""])
