"""The picture of the package's floors in docs/how-it-works.md, and the table of its edges.

Sources: import-linter's contract in pyproject.toml, and the first line of each room's docstring.
"""

import ast
import tomllib
from collections.abc import Iterator
from typing import Any, Final

from tools import PROJECT
from tools.documentation.drawing import MARGIN, WIDTH, Box, picture
from tools.documentation.markdown import code, table

_PACKAGE: Final = PROJECT / "cki_notifier"
#: Colors by a room on the lowest floor of each group: ways to run, steps, edges. The floors below
#: these have the color of the base.
_COLOURS: Final = {"daemon": "#8a3ffc", "message": "#3f51b5", "rabbitmq": "#00695c"}
_BASE: Final = "#546e7a"
_GAP: Final = 8


def svg() -> str:
    """Return the picture, the top floor first."""
    (contract,) = (it for it in _contracts() if it["type"] == "layers")
    # __main__ only starts the command line.
    floors = [layer.split(" | ") for layer in contract["layers"] if layer != "__main__"]
    colours = dict(_COLOURS)
    rows = []
    for rooms in floors:
        rows.append(list(_boxes(rooms, next(iter(colours.values()), _BASE))))
        colours = {room: colour for room, colour in colours.items() if room not in rooms}
    title = "The floors of the package: a room imports only from the floors below it"
    return picture(title, rows, _GAP)


def part() -> str:
    """Return the table of libraries with exactly one importer."""
    return table(("library", "imported by"), _edges())


def _contracts() -> list[dict[str, Any]]:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    contracts: list[dict[str, Any]] = project["tool"]["importlinter"]["contracts"]
    return contracts


def _edges() -> Iterator[tuple[str, str]]:
    for contract in _contracts():
        if contract["type"] == "protected":
            (importer,) = contract["allowed_importers"]
            module = importer.removeprefix("cki_notifier.").replace(".", "/") + ".py"
            libraries = ", ".join(map(code, contract["protected_modules"]))
            yield libraries, f"[{module}](../cki_notifier/{module})"


def _boxes(rooms: list[str], colour: str) -> Iterator[Box]:
    """Yield a floor's rooms, each with its name and the first line of its docstring."""
    width = (WIDTH - 2 * MARGIN - (len(rooms) - 1) * _GAP) // len(rooms)
    for number, room in enumerate(rooms):
        folder = _PACKAGE / room
        path = folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")
        says = (ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n")[0]
        name = f"{room}/" if folder.is_dir() else path.name
        yield Box(MARGIN + number * (width + _GAP), width, colour, says.replace("``", ""), name)
