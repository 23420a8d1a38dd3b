"""Standard output and error, written so that nobody is held up or ended by whoever reads them.

A stream may be read slowly or not at all, be closed, full, or unable to hold a character. In the
daemon a thread of its own writes to each, and what finds no room is dropped and counted.
"""

import atexit
import io
import logging
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from itertools import accumulate
from typing import IO, TYPE_CHECKING, Any, AnyStr, TextIO

from cki_notifier.configuration.shutdown import LINES_SECONDS
from cki_notifier.telemetry import metrics

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

logger = logging.getLogger(__name__)

#: What waits for the reader of a stream: so many lines at most, and so many bytes.
_MOST_LINES, _MOST_BYTES = 2_000, 4 * 1024 * 1024
#: So much is written at once, in bytes: who writes line by line falls behind where all are busy.
_BATCH_BYTES = 64 * 1024
#: A descriptor that does not wait itself is tried again so often, and a writer that has no memory
#: goes on after so long, in seconds.
_AGAIN_SECONDS = 0.05

_backlogs: list["Backlog"] = []


class Backlog(io.FileIO):
    """A stream that takes whatever is written at once; its thread hands it to a descriptor.

    Args:
        descriptor: where it all goes; it stays open.
        name: the stream's, for people.
    """

    def __init__(self, descriptor: int, name: str) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self._descriptor = descriptor
        self._name = name
        self._changed = threading.Condition()  # its lock may be taken again by the same thread
        self._waiting: deque[bytes] = deque()
        self._size = 0  # of what waits, in bytes
        self._is_writing = False
        self._is_full = False  # until all that waits is written, so that there is one gap
        self._dropped = 0  # and not told of
        self._is_torn = False  # whether the last line is there in part
        threading.Thread(target=self._work, name=name, daemon=True).start()

    def write(self, data: "ReadableBuffer", /) -> int:
        """Take a line, or drop it when too much waits; never wait for anybody."""
        line = bytes(data)
        if not line:
            return 0
        with self._changed:
            if self._waiting:  # else a line has room, however long it is
                too_large = self._size + len(line) > _MOST_BYTES
                self._is_full |= too_large or len(self._waiting) >= _MOST_LINES
            if self._is_full:
                self._dropped += 1
                metrics.log_lines_dropped.inc()
            else:
                self._waiting.append(line)
                self._size += len(line)
                self._changed.notify_all()
        return len(line)

    def drain(self, seconds: float) -> bool:
        """Wait so long at most until all is written; tell whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: not (self._waiting or self._is_writing), seconds)

    def _work(self) -> None:
        while True:
            try:
                self._write_next()
            except (MemoryError, RuntimeError):  # there may be some in a while
                time.sleep(_AGAIN_SECONDS)

    def _write_next(self) -> None:
        """Wait for lines and write them; tell of what was dropped when there is room."""
        lines: list[bytes] = []
        size = 0
        with self._changed:
            self._changed.wait_for(lambda: self._waiting)
            while self._waiting and size < _BATCH_BYTES:
                lines.append(self._waiting.popleft())
                size += len(lines[-1])
            self._size -= size
            self._is_writing = True
        lost = self._write(lines)
        untold = 0
        with self._changed:
            self._is_writing = False
            self._dropped += lost
            if not self._waiting:
                self._is_full = False
                if not lost:
                    untold, self._dropped = self._dropped, 0
                self._changed.notify_all()
        metrics.log_lines_dropped.inc(lost)
        if untold:
            logger.warning("%s: %d lines were dropped, as it took no more", self._name, untold)

    def _write(self, lines: Sequence[bytes]) -> int:
        """Write lines, however long that takes; return how many the descriptor did not take."""
        data = (b"\n" if self._is_torn else b"") + b"".join(lines)
        done = 0
        while done < len(data):
            try:
                done += os.write(self._descriptor, memoryview(data)[done:])
            except BlockingIOError:
                time.sleep(_AGAIN_SECONDS)
            except OSError:
                break
        if done:
            self._is_torn = done < len(data) and data[done - 1 : done] != b"\n"
        left = min(len(data) - done, sum(map(len, lines)))
        return sum(below < left for below in accumulate(map(len, reversed(lines)), initial=0))


def open_missing() -> None:
    """Give the process the standard streams it was started without.

    Else the next thing that is opened, a connection perhaps, would get the number of the missing
    one, and whatever is written to that.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w"))  # noqa: SIM115, PTH123  # for good
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as standard error is anyway


def unblock() -> None:
    """From now on no thread waits for who reads standard output or error, whatever writes there.

    Once is enough. At the end of the process it is waited for what is left, for a while.
    """
    if _backlogs:
        return
    output = errors = Backlog(sys.stderr.fileno(), "standard error")  # which keeps the order
    if not os.path.sameopenfile(sys.stdout.fileno(), sys.stderr.fileno()):
        output = Backlog(sys.stdout.fileno(), "standard output")
    _backlogs.extend({output, errors})
    sys.stdout, sys.stderr = _over(output, sys.stdout), _over(errors, sys.stderr)
    atexit.register(drain, LINES_SECONDS)


def _over(backlog: Backlog, stream: TextIO) -> TextIO:
    """Return a stream of text that goes there line by line."""
    encoding, errors = stream.encoding, "backslashreplace"
    return io.TextIOWrapper(backlog, encoding, errors, write_through=True)


def drain(seconds: float) -> None:
    """Wait so long at most, all in all, until what was written is out."""
    end = time.monotonic() + seconds
    for backlog in _backlogs:
        backlog.drain(max(0.0, end - time.monotonic()))


def write(stream: IO[AnyStr], text: AnyStr) -> OSError | None:
    """Write and flush; return what went wrong, after which all else goes nowhere.

    Else the interpreter would try again at the end of the process, and fail.
    """
    try:
        stream.write(text)
        stream.flush()
    except OSError as error:
        silence(stream)
        return error
    return None


def silence(stream: IO[Any]) -> None:
    """Let a stream lead nowhere from now on."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
