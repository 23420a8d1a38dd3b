"""The help texts of docs/command-line.md: what each command says of itself."""

import os
import re
from collections.abc import Iterator
from contextlib import redirect_stdout, suppress
from io import StringIO

from cki_notifier.cli import main

#: What argparse looks at: the width of the texts in characters, and that they have no colours.
_TERMINAL = {"COLUMNS": "100", "NO_COLOR": "1"}
#: Commands and actions are indented more than options.
_COMMAND = re.compile(r"^ {4}([a-z][a-z-]*)(?: |$)", re.MULTILINE)


def part() -> str:
    """Return a section for each command."""
    os.environ.update(_TERMINAL)
    return "\n\n".join(
        f"## {' '.join(['cki-notifier', *command])}\n\n```text\n{text.strip()}\n```"
        for command, text in _helps(())
    )


def _helps(command: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield a command's help, and after it those of the commands that it lists."""
    text = _help(command)
    yield command, text
    for name in _COMMAND.findall(text):
        yield from _helps((*command, name))


def _help(command: tuple[str, ...]) -> str:
    """Return a command's help as its users see it."""
    text = StringIO()
    with redirect_stdout(text), suppress(SystemExit):
        main([*command, "--help"])
    return text.getvalue()
