"""Texts for standard output, kept until the connection to the broker is closed.

A pager reads only as fast as a person does, and the broker ends who is silent for so long. So the
texts are kept, in memory or, when they are many, in a file that has no name; and they are printed
in any order, as who came last may be the first.
"""

import io
import sys
import tempfile
from collections.abc import Iterable, Iterator

from cki_notifier.telemetry.streams import silence

#: More than this is kept in a file, in bytes.
_IN_MEMORY = 16_000_000
#: Where a text is, and how long it is.
Piece = tuple[int, int]


class Output(tempfile.SpooledTemporaryFile[bytes]):
    """Texts to be printed; closing it forgets them."""

    def __init__(self) -> None:
        super().__init__(_IN_MEMORY)

    def add(self, text: str) -> Piece:
        """Keep a text; return what to get it back by."""
        start = self.seek(0, io.SEEK_END)
        return start, self.write(text.encode(errors="backslashreplace"))

    def texts(self, pieces: Iterable[Piece]) -> Iterator[str]:
        """Yield texts in the order of their pieces."""
        for start, length in pieces:
            self.seek(start)
            yield self.read(length).decode()


def separated(texts: Iterable[str], separator: str) -> Iterator[str]:
    """Yield texts, all but the first with a separator before it."""
    for number, text in enumerate(texts):
        yield separator + text if number else text


def print_lines(lines: Iterable[str], end: str = "\n") -> None:
    """Print lines to standard output; a reader who has seen enough may hang up.

    Raises:
        OSError: standard output can't hold them.
    """
    try:
        sys.stdout.writelines(line + end for line in lines)
        sys.stdout.flush()
    except OSError as error:
        silence(sys.stdout)
        if not isinstance(error, BrokenPipeError):
            raise
