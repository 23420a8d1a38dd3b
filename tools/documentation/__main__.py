"""Writes what of the documentation is made from the code; ``python -m tools.documentation``.

::

    python -m tools.documentation          writes it
    python -m tools.documentation --check  names what is not up to date; exit code 1 for any
"""

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from tools import PROJECT
from tools.documentation import (
    asyncapi,
    command_line,
    configuration,
    contract,
    house,
    metrics,
    reasons,
    way,
)
from tools.documentation.markdown import put

#: Files that are made as a whole.
WHOLE: Mapping[str, Callable[[], str]] = {
    "docs/asyncapi.yaml": asyncapi.page,
    "docs/contract.md": contract.page,
    "docs/house.svg": house.svg,
    "docs/how-it-works.svg": way.svg,
}
#: Pages in which a part is made, between marks.
PARTS: Mapping[str, Callable[[], str]] = {
    "docs/command-line.md": command_line.part,
    "docs/configuration.md": configuration.part,
    "docs/how-it-works.md": house.part,
    "docs/metrics.md": metrics.part,
    "docs/reasons.md": reasons.part,
}


def made(project: Path) -> dict[Path, str]:
    """Return every file with what has to be in it.

    Args:
        project: the folder whose pages give the text around what is made.
    """
    whole = {project / name: make() for name, make in WHOLE.items()}
    pages = {project / name: make() for name, make in PARTS.items()}
    return whole | {path: put(path.read_text(), part) for path, part in pages.items()}


def main() -> int:
    """Write or check; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.documentation",
        description="Writes what of the documentation is made from the code.",
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; name what is not up to date"
    )
    parser.add_argument("--project", type=Path, default=PROJECT, help="the folder to work on")
    parsed = parser.parse_args()
    stale = [
        (path, text)
        for path, text in made(parsed.project).items()
        if not path.exists() or path.read_text() != text
    ]
    for path, text in stale:
        name = path.relative_to(parsed.project)
        if parsed.check:
            print(
                f"{name} is not what the code says: run python -m tools.documentation",
                file=sys.stderr,
            )
        else:
            path.write_text(text)
            print(f"wrote {name}")
    return 1 if stale and parsed.check else 0


if __name__ == "__main__":
    sys.exit(main())
