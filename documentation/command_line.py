"""The help texts of docs/command-line.md: what each command says of itself."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

_PROJECT = Path(__file__).resolve().parent.parent
#: The width of the texts, in characters; argparse leaves two of them free.
_COLUMNS = "100"
#: Commands and actions are indented more than options.
_COMMAND = re.compile(r"^ {4}([a-z][a-z-]*)(?: |$)", re.MULTILINE)


def part() -> str:
    """Return a section for each command."""
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
    """Run a command's help as its users do, in a terminal of a fixed width without colours."""
    return subprocess.run(  # noqa: S603  # our own command
        [sys.executable, "-m", "cki_notifier", *command, "--help"],
        cwd=_PROJECT,
        env={"COLUMNS": _COLUMNS, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
