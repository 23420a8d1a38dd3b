"""Read the unit of systemd and its environment."""

import shlex
import subprocess
from pathlib import Path
from typing import Final

from tools import PROJECT

UNIT: Final = PROJECT / "deploy" / "systemd" / "cki-notifier.service"
ENVIRONMENT: Final = PROJECT / "deploy" / "systemd" / "cki-notifier.env"
PAGE: Final = PROJECT / "docs" / "systemd.md"


def settings(unit: Path = UNIT) -> dict[str, list[str]]:
    """Return the values of each setting of a unit, in order."""
    found: dict[str, list[str]] = {}
    for line in unit.read_text().splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


def setting(name: str, unit: Path = UNIT) -> str:
    """Return the value of a setting that occurs once."""
    (value,) = settings(unit)[name]
    return value


def analyze(
    folder: Path, *arguments: str, text: str | None = None, unit: Path = UNIT
) -> tuple[int, str]:
    """Run systemd-analyze on a unit with an existing command, and return its exit code and output.

    Args:
        folder: the folder for a copy.
        arguments: the arguments of systemd-analyze.
        text: another text of the unit.
        unit: the unit's file.
    """
    text = text or unit.read_text()
    for command in settings(unit).get("ExecStart", []):
        text = text.replace(f"ExecStart={command}", "ExecStart=/bin/true")
    file = folder / unit.name
    file.write_text(text)
    done = subprocess.run(
        ["systemd-analyze", *arguments, file],  # noqa: S607  # wherever it is installed
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stdout


def environment(file: Path = ENVIRONMENT) -> dict[str, str]:
    """Return the variables of an example, without quotes."""
    lines = file.read_text().splitlines()
    words = [shlex.split(line) for line in lines if line and not line.startswith("#")]
    assert all(len(word) == 1 for word in words)
    return dict(word.split("=", 1) for (word,) in words)
