"""The daemon as users start it: a process of its own, configured by its environment."""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tools import PROJECT
from tools.processes import Process

_CONSUMING = "consuming "


class Notifier(Process):
    """A running ``python -m cki_notifier``.

    It logs JSON at INFO unless ``environment`` says otherwise. With ``waits`` False, `start` does
    not wait until it consumes.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str], *, waits: bool = True) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._consumes = 0
        super().__init__(
            "cki-notifier",
            [sys.executable, "-m", "cki_notifier"],
            log=folder / "notifier.log",
            ready=lambda: not waits or self._count() > self._consumes,
            environment=complete(environment),
            folder=folder,
        )

    def start(self) -> None:
        """Start it; return when it consumes."""
        self._consumes = self._count()
        super().start()

    def lines(self) -> list[dict[str, Any]]:
        """Return its log lines in JSON, without other output and half lines."""
        whole = self.text().rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines() if line.startswith('{"time":')]

    def settled(self) -> list[dict[str, Any]]:
        """Return its lines about settled notifications, which have a ``duration``."""
        return [line for line in self.lines() if "duration" in line]

    def text(self) -> str:
        """Return all it printed."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def _count(self) -> int:
        return self.text().count(_CONSUMING)


def complete(environment: Mapping[str, str]) -> dict[str, str]:
    """Return a whole environment for the command, with only PATH from this process."""
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(PROJECT),
        "PYTHONUNBUFFERED": "1",
        "CKI_LOGGING_LEVEL": "INFO",
        "CKI_LOGGING_FORMAT": "json",
        **environment,
    }
