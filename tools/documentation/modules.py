"""The list of modules in docs/how-it-works.md, each with the first line it says of itself."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tools import PROJECT

_PACKAGE = PROJECT / "cki_notifier"


def part() -> str:
    """Return a line for each module, and one for each package within."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    for path in sorted([*_PACKAGE.glob("*.py"), *_PACKAGE.glob("*/__init__.py")]):
        is_package = path.parent != _PACKAGE
        place = path.parent if is_package else path
        name = place.relative_to(_PACKAGE).as_posix() + "/" * is_package
        if not name.startswith("__"):
            yield f"- [{name}](../cki_notifier/{name}): {_first_line(path)}"


def _first_line(path: Path) -> str:
    """Return the first line of a module's docstring, in Markdown."""
    docstring = ast.get_docstring(ast.parse(path.read_text())) or ""
    return docstring.partition("\n")[0].replace("``", "`")
