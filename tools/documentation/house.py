"""The picture of the package's floors in docs/how-it-works.md, and the table of its edges.

Both are made from the contract in pyproject.toml that import-linter checks, and from what each room
says of itself.
"""

import ast
import tomllib
from collections.abc import Iterator
from itertools import accumulate
from textwrap import wrap
from typing import Any, Final

from tools import PROJECT
from tools.documentation.drawing import LINE_HEIGHT, WIDTH, Box, picture
from tools.documentation.markdown import code, table

_PACKAGE: Final = PROJECT / "cki_notifier"
#: The ways to run, the steps, the edges, and what all of these rest on.
_RUN, _STEP, _EDGE, _BASE = "#8a3ffc", "#3f51b5", "#00695c", "#546e7a"
_MARGIN, _GAP = 10, 8
#: How many letters fit into so many of the picture's units.
_UNITS_A_LETTER = 7


def svg() -> str:
    """Return the picture, the top floor first."""
    floors = _floors()
    edge = next(number for number, rooms in enumerate(floors) if "rabbitmq" in rooms)
    top = next(number for number, rooms in enumerate(floors) if "daemon" in rooms)
    colours = [
        _RUN if number <= top else _STEP if number < edge else _EDGE if number == edge else _BASE
        for number in range(len(floors))
    ]
    texts = [[_lines(room, len(rooms)) for room in rooms] for rooms in floors]
    heights = [max(map(len, lines)) * LINE_HEIGHT + 14 for lines in texts]
    *tops, end = accumulate((height + _GAP for height in heights), initial=_MARGIN)
    boxes = [
        Box(
            _left(column, len(lines)), y, _width(len(lines)), height, colour, text, has_heading=True
        )
        for lines, y, height, colour in zip(texts, tops, heights, colours, strict=True)
        for column, text in enumerate(lines)
    ]
    title = "The floors of the package: a room imports only from the floors below it"
    return picture(title, end, (element for box in boxes for element in box.svg()))


def part() -> str:
    """Return the table of libraries that one module alone imports."""
    return table(("library", "its one importer"), _edges())


def _contracts() -> list[dict[str, Any]]:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    contracts: list[dict[str, Any]] = project["tool"]["importlinter"]["contracts"]
    return contracts


def _floors() -> list[list[str]]:
    """Return the rooms of each floor, without what only starts the command line."""
    (contract,) = (it for it in _contracts() if it["type"] == "layers")
    layers: list[str] = contract["layers"]
    return [layer.split(" | ") for layer in layers if layer != "__main__"]


def _edges() -> Iterator[tuple[str, str]]:
    for contract in _contracts():
        if contract["type"] == "protected":
            (importer,) = contract["allowed_importers"]
            module = importer.removeprefix("cki_notifier.").replace(".", "/") + ".py"
            libraries = ", ".join(map(code, contract["protected_modules"]))
            yield libraries, f"[{module}](../cki_notifier/{module})"


def _lines(room: str, count: int) -> list[str]:
    """Return a room's name, and the first line that it says of itself."""
    folder = _PACKAGE / room
    path = folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")
    sentence = (ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n")[0]
    letters = int((_width(count) - 16) / _UNITS_A_LETTER)
    return [
        f"{room}/" if folder.is_dir() else path.name,
        *wrap(sentence.replace("``", ""), letters),
    ]


def _width(count: int) -> int:
    """Return how wide each box of a floor with so many is."""
    return (WIDTH - 2 * _MARGIN - (count - 1) * _GAP) // count


def _left(column: int, count: int) -> int:
    return _MARGIN + column * (_width(count) + _GAP)
