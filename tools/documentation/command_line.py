"""The help texts of docs/command-line.md, by command."""

import os
import re
from collections.abc import Iterator
from contextlib import redirect_stdout, suppress
from io import StringIO

from cki_notifier.cli import main

#: Commands and actions are indented more than options.
_COMMAND = re.compile(r"^ {4}([a-z][a-z-]*)(?: |$)", re.MULTILINE)


def part() -> str:
    """Return a section for each command."""
    return "\n\n".join(
        f"## {' '.join(['cki-notifier', *command])}\n\n```text\n{text.strip()}\n```"
        for command, text in helps(100)
    )


def helps(width: int, *command: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield a command with its help text, ``width`` characters wide, then those of its commands."""
    os.environ.update({"COLUMNS": str(width), "NO_COLOR": "1"})  # argparse reads them
    text = StringIO()
    with redirect_stdout(text), suppress(SystemExit):
        main([*command, "--help"])
    yield command, text.getvalue()
    for name in _COMMAND.findall(text.getvalue()):
        yield from helps(width, *command, name)
