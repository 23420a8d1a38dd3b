"""Lines for standard output, kept until the connection to the broker is closed.

A pager reads only as fast as a person does, and the broker ends who is silent for so long. So the
lines are kept, in memory or, when they are many, in a file that has no name.
"""

import io
import os
import shutil
import sys
import tempfile
from types import TracebackType
from typing import Self

from cki_notifier.telemetry.streams import silence

#: More than this is kept in a file, in characters.
_IN_MEMORY = 16_000_000
_COPIED = 65_536


class Output:
    """Lines to be printed.

    Attributes:
        width: the terminal's, in characters; 0 where standard output is none.
    """

    def __init__(self) -> None:
        self.width = _width()
        self._kept = tempfile.SpooledTemporaryFile(  # noqa: SIM115  # closed by __exit__
            _IN_MEMORY, "w+", encoding="utf-8", errors="backslashreplace"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Forget the lines."""
        self._kept.close()

    def add(self, line: str) -> None:
        """Keep a line."""
        self._kept.write(f"{line}\n")

    def print(self) -> None:
        """Print the lines; a reader who has seen enough may hang up.

        Raises:
            OSError: standard output can't hold them.
        """
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")
        self._kept.seek(0)
        try:
            shutil.copyfileobj(self._kept, sys.stdout, _COPIED)
            sys.stdout.flush()
        except OSError as error:
            silence(sys.stdout)
            if not isinstance(error, BrokenPipeError):
                raise


def _width() -> int:
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns
    except OSError:  # it is no terminal
        return 0
