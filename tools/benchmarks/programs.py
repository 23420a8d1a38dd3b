"""The programs to measure. The daemon's variables configure each."""

import argparse
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_BENTHOS: Final = Path(__file__).resolve().parent / "benthos.yaml"


@dataclass(frozen=True, slots=True)
class Program:
    """A program to measure.

    Attributes:
        name: in the tables.
        command: the command line.
        environment: more variables, besides the daemon's.
        has_metrics: whether it has the daemon's metrics.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    has_metrics: bool = True


NOTIFIER: Final = Program("cki-notifier", (sys.executable, "-m", "cki_notifier"))


def other(name: str) -> Program:
    """Return another copy of this project, by its folder, or Benthos, by its file's name.

    Raises:
        argparse.ArgumentTypeError: it is neither.
    """
    folder = Path(name).resolve()
    if (folder / "cki_notifier" / "__main__.py").exists():
        environment = {"PYTHONPATH": str(folder)}
        return Program(f"cki-notifier in {folder.name}", NOTIFIER.command, environment)
    binary = shutil.which(name)
    if binary is None:
        told = f"{name} is neither a copy of this project nor a program (Benthos)"
        raise argparse.ArgumentTypeError(told)
    command = (str(Path(binary).resolve()), "-c", str(_BENTHOS))
    return Program("Benthos", command, has_metrics=False)
