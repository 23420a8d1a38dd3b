"""Texts for standard output, kept until the connection to the broker is closed.

A pager reads only as fast as a person does, and the broker ends who is silent for so long. So the
texts are kept, in memory or, when they are many, in a file that has no name; and they are printed
in any order, as who came last may be the first.
"""

import io
import os
import sys
import tempfile
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from cki_notifier.telemetry.streams import silence

#: More than this is kept in a file, in bytes.
_IN_MEMORY = 16_000_000
#: Where a text is, and how long it is.
Piece = tuple[int, int]


class Output:
    """Texts to be printed.

    Attributes:
        width: the terminal's, in characters; 0 where standard output is none.
    """

    def __init__(self) -> None:
        self.width = _width()
        self._kept = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115  # by __exit__

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Forget the texts."""
        self._kept.close()

    def add(self, *lines: str) -> Piece:
        """Keep lines; return what to print them by."""
        start = self._kept.seek(0, io.SEEK_END)
        for line in lines:
            self._kept.write(f"{line}\n".encode(errors="backslashreplace"))
        return start, self._kept.tell() - start

    def print(self, pieces: Iterable[Piece] | None = None, *, between: str = "") -> None:
        """Print what was kept; a reader who has seen enough may hang up.

        Args:
            pieces: in their order; None for all there is, as it was added.
            between: is printed between two of them.

        Raises:
            OSError: standard output can't hold them.
        """
        if pieces is None:
            pieces = [(0, self._kept.tell())]
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")
        try:
            for number, (start, length) in enumerate(pieces):
                self._kept.seek(start)
                text = self._kept.read(length).decode()
                sys.stdout.write(between + text if number else text)
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
