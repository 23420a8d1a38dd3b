"""Texts for standard output, kept until the connection to RabbitMQ is closed.

A pager reads at a person's speed, and RabbitMQ closes a connection that is silent for that long.
So the texts stay in memory, or in a nameless file if they are long. They can be printed in any
order.
"""

import io
import sys
import tempfile
from collections.abc import Iterable, Iterator

from cki_notifier.telemetry.streams import silence

#: The most bytes kept in memory; more go to a file.
_IN_MEMORY = 16_000_000
#: The start and length of a text.
Piece = tuple[int, int]


class Output(tempfile.SpooledTemporaryFile[bytes]):
    """Texts to be printed; closing it forgets them."""

    def __init__(self) -> None:
        super().__init__(_IN_MEMORY)

    def add(self, text: str) -> Piece:
        """Keep a text; return its piece."""
        start = self.seek(0, io.SEEK_END)
        return start, self.write(text.encode(errors="backslashreplace"))

    def texts(self, pieces: Iterable[Piece]) -> Iterator[str]:
        """Yield texts in the order of their pieces."""
        for start, length in pieces:
            self.seek(start)
            yield self.read(length).decode()


def separated(texts: Iterable[str], separator: str) -> Iterator[str]:
    """Yield texts, with a separator before each but the first."""
    for number, text in enumerate(texts):
        yield separator + text if number else text


def print_lines(lines: Iterable[str], end: str = "\n") -> None:
    """Print lines to standard output. A reader that closes it is no error.

    Raises:
        OSError: standard output is full or fails.
    """
    try:
        sys.stdout.writelines(line + end for line in lines)
        sys.stdout.flush()
    except OSError as error:
        silence(sys.stdout)
        if not isinstance(error, BrokenPipeError):
            raise
