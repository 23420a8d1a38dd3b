"""Standard output and error that never block or end the process.

A stream may have a slow reader or none, be closed or full, or lack a character in its encoding. In
the daemon, a thread writes to each stream. Lines without room are dropped and counted.
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

#: The most lines and bytes that wait for a stream's reader.
_MOST_LINES, _MOST_BYTES = 2_000, 4 * 1024 * 1024
#: The bytes written at once. Single lines would be too slow on a busy machine.
_BATCH_BYTES = 64 * 1024
#: The pause before retrying a non-blocking descriptor, and after a lack of memory, in seconds.
_AGAIN_SECONDS = 0.05

_backlogs: list["Backlog"] = []


class Backlog(io.FileIO):
    """A stream that takes lines without blocking; its thread writes them to a descriptor.

    Args:
        descriptor: to write to; it stays open.
        name: of the stream, for the log.
    """

    def __init__(self, descriptor: int, name: str) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self._descriptor = descriptor
        self._name = name
        self._changed = threading.Condition()  # its lock is reentrant
        self._waiting: deque[bytes] = deque()
        self._size = 0  # of the waiting lines, in bytes
        self._is_writing = False
        self._is_full = False  # until the backlog is empty, so that there is one gap
        self._dropped = 0  # lines not reported yet
        self._is_torn = False  # whether only a part of the last line was written
        threading.Thread(target=self._work, name=name, daemon=True).start()

    def write(self, data: "ReadableBuffer", /) -> int:
        """Take a line, or drop it when too many wait; never block."""
        line = bytes(data)
        if not line:
            return 0
        with self._changed:
            if self._waiting:  # an empty backlog takes a line of any length
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
        """Wait up to this many seconds until all is written; tell whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: not (self._waiting or self._is_writing), seconds)

    def _work(self) -> None:
        while True:
            try:
                self._write_next()
            except (MemoryError, RuntimeError):  # memory may be free later
                time.sleep(_AGAIN_SECONDS)

    def _write_next(self) -> None:
        """Wait for lines and write them; log the number of dropped lines when there is room."""
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
            logger.warning("%s was full or had no reader: %d lines dropped", self._name, untold)

    def _write(self, lines: Sequence[bytes]) -> int:
        """Write lines for as long as it takes; return how many the descriptor did not take."""
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
    """Open the standard streams that the process was started without.

    The next file or connection would otherwise get a missing stream's number, and its output.
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
        sys.stdout.reconfigure(errors="backslashreplace")  # as standard error does by default


def unblock() -> None:
    """Make standard output and error non-blocking for all threads from now on.

    Further calls do nothing. The process's end waits a while for the remaining lines.
    """
    if _backlogs:
        return
    output = errors = Backlog(sys.stderr.fileno(), "standard error")  # one for both keeps the order
    if not os.path.sameopenfile(sys.stdout.fileno(), sys.stderr.fileno()):
        output = Backlog(sys.stdout.fileno(), "standard output")
    _backlogs.extend({output, errors})
    sys.stdout, sys.stderr = _over(output, sys.stdout), _over(errors, sys.stderr)
    atexit.register(drain, LINES_SECONDS)


def _over(backlog: Backlog, stream: TextIO) -> TextIO:
    """Return a text stream over a backlog."""
    encoding, errors = stream.encoding, "backslashreplace"
    return io.TextIOWrapper(backlog, encoding, errors, write_through=True)


def drain(seconds: float) -> None:
    """Wait up to this many seconds in total until all lines are written."""
    end = time.monotonic() + seconds
    for backlog in _backlogs:
        backlog.drain(max(0.0, end - time.monotonic()))


def write(stream: IO[AnyStr], text: AnyStr) -> OSError | None:
    """Write and flush; on an error return it, and discard all further output.

    The interpreter would otherwise write again at its end, and fail.
    """
    try:
        stream.write(text)
        stream.flush()
    except OSError as error:
        silence(stream)
        return error
    return None


def silence(stream: IO[Any]) -> None:
    """Discard all further output of a stream."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
