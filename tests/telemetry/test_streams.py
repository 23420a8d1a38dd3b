"""Standard output and error: no thread waits for a reader, and no error ends the process."""

import errno
import fcntl
import io
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cki_notifier.telemetry import streams
from cki_notifier.telemetry.metrics import REGISTRY
from cki_notifier.telemetry.streams import Backlog
from tools import PROJECT

#: Only a failing test takes so long, in seconds.
PATIENCE = 30.0
#: Descriptors from here on are not in use.
_HIGH = 800


def moved(descriptor: int) -> int:
    """Move a descriptor to a number that no other file gets after it is closed.

    Any thread of this process that opens a file gets the lowest free number.
    """
    high = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _HIGH)
    os.close(descriptor)
    return high


@pytest.fixture(name="pipe")
def _pipe() -> Iterator[tuple[int, int]]:
    """Return the reading and the writing end of a pipe."""
    reading, writing = os.pipe()
    ends = moved(reading), moved(writing)
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:
            continue


@pytest.fixture(name="told")
def _told(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that collects the reported numbers of dropped lines."""
    told: list[int] = []
    monkeypatch.setattr(streams.logger, "warning", lambda _text, _name, number: told.append(number))
    return told


def dropped() -> float:
    """Return how many lines were dropped, as the metrics say."""
    return REGISTRY.get_sample_value("cki_notifier_log_lines_dropped_total") or 0


def read(descriptor: int, length: int) -> bytes:
    """Read this many bytes."""
    found = b""
    while len(found) < length:
        found += os.read(descriptor, length - len(found))
    return found


def until(look: Callable[[], bool]) -> None:
    """Look until it is so."""
    end = time.monotonic() + PATIENCE
    while not look():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_lines_arrive_in_their_order(pipe: tuple[int, int]) -> None:
    """And when it is drained, all are there."""
    backlog = Backlog(pipe[1], "test")
    lines = [f"line {number}\n".encode() for number in range(500)]
    for line in lines:
        assert backlog.write(line) == len(line)
    assert backlog.drain(PATIENCE)
    assert read(pipe[0], sum(map(len, lines))) == b"".join(lines)


@pytest.mark.parametrize("length", [10, 10_000])
def test_what_finds_no_room_is_dropped_and_told_of(
    pipe: tuple[int, int], told: list[int], length: int
) -> None:
    """Without a reader, no writer waits. Accepted lines stay, and the dropped ones are one gap."""
    before, backlog = dropped(), Backlog(pipe[1], "test")
    filling = b"x" * (1024 * 1024)  # more than a pipe holds
    backlog.write(filling)
    until(lambda: not backlog._waiting)  # noqa: SLF001  # it is being written
    lines = [str(number).encode().ljust(length - 1) + b"\n" for number in range(10_000)]
    for line in lines:
        backlog.write(line)
    assert not backlog.drain(0.01)
    lost = int(dropped() - before)
    kept = len(lines) - lost
    assert 0 < kept <= streams._MOST_LINES  # noqa: SLF001  # what may wait
    assert kept * length <= streams._MOST_BYTES  # noqa: SLF001  # likewise
    assert read(pipe[0], len(filling)) == filling
    assert read(pipe[0], kept * length) == b"".join(lines[:kept])
    until(lambda: bool(told))
    assert told == [lost]
    backlog.write(b"again\n")
    assert read(pipe[0], 6) == b"again\n"
    assert told == [lost]


def test_a_line_longer_than_all_the_room_is_taken(pipe: tuple[int, int]) -> None:
    """A large message is shown where nothing else waits."""
    backlog = Backlog(pipe[1], "test")
    line = b"x" * (streams._MOST_BYTES + 1)  # noqa: SLF001  # just too long
    backlog.write(line)
    assert read(pipe[0], len(line)) == line


@pytest.mark.parametrize("broken", ["no reader", "full", "closed"])
def test_a_stream_that_takes_nothing_is_tried_with_each_line(
    pipe: tuple[int, int], told: list[int], broken: str
) -> None:
    """It drops lines without a busy loop, until the descriptor takes lines again."""
    reading, writing = pipe
    target = fcntl.fcntl(writing, fcntl.F_DUPFD_CLOEXEC, _HIGH)
    before, backlog = dropped(), Backlog(target, "test")
    unread, gone = os.pipe()
    os.close(unread)
    full = os.open("/dev/full", os.O_WRONLY)
    if broken == "closed":
        os.close(target)
    else:
        os.dup2(gone if broken == "no reader" else full, target)
    for _ in range(3):
        backlog.write(b"lost\n")
    assert backlog.drain(PATIENCE)
    time.sleep(0.1)
    assert dropped() - before == 3
    assert not told
    os.dup2(writing, target)
    backlog.write(b"there\n")
    assert read(reading, 6) == b"there\n"
    until(lambda: told == [3])
    for descriptor in (gone, full, target):
        os.close(descriptor)


def test_a_descriptor_that_does_not_wait_is_waited_for(pipe: tuple[int, int]) -> None:
    """Another process may have changed the mode of a terminal or pipe that is shared."""
    os.set_blocking(pipe[1], False)
    before, backlog = dropped(), Backlog(pipe[1], "test")
    lines = b"".join(str(number).encode() + b"\n" for number in range(100_000))
    backlog.write(lines)
    assert read(pipe[0], len(lines)) == lines
    assert dropped() == before


@pytest.mark.parametrize(
    ("cut", "left", "lost"),
    [(3, b"fir\n", 2), (6, b"first\n", 1), (8, b"first\nse\n", 1), (7, b"first\ns\n", 1)],
)
def test_after_a_torn_line_the_next_one_begins_anew(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch, cut: int, left: bytes, lost: int
) -> None:
    """A disk that gets full in the middle of a line makes no line of two halves."""
    write = os.write
    results: list[int | OSError] = [cut, OSError(errno.ENOSPC, "full")]

    def torn(descriptor: int, data: memoryview) -> int:
        if descriptor != pipe[1] or not results:
            return write(descriptor, data)
        result = results.pop(0)
        if isinstance(result, OSError):
            raise result
        return write(descriptor, data[:result])

    monkeypatch.setattr(os, "write", torn)
    before, backlog = dropped(), Backlog(pipe[1], "test")
    with backlog._changed:  # noqa: SLF001  # so that both are written at once
        backlog.write(b"first\n")
        backlog.write(b"second\n")
    assert backlog.drain(PATIENCE)
    backlog.write(b"whole\n")
    assert read(pipe[0], len(left) + 6) == left + b"whole\n"
    assert dropped() - before == lost


def test_its_thread_outlives_a_lack_of_memory(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line is lost, the next one is not."""
    write, lacks = os.write, [True]

    def lacking(descriptor: int, data: memoryview) -> int:
        if descriptor == pipe[1] and lacks:
            lacks.clear()
            raise MemoryError
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", lacking)
    backlog = Backlog(pipe[1], "test")
    backlog.write(b"lost\n")
    until(lambda: not lacks)
    backlog.write(b"there\n")
    assert read(pipe[0], 6) == b"there\n"
    assert backlog.drain(PATIENCE)


def test_a_text_stream_that_fails_is_silent_from_then_on(pipe: tuple[int, int]) -> None:
    """Else the interpreter would fail with it at the end, and change the exit code."""
    os.close(pipe[0])
    stream = io.TextIOWrapper(open(os.dup(pipe[1]), "wb"))  # noqa: SIM115, PTH123  # closed below
    assert isinstance(streams.write(stream, "lost\n"), BrokenPipeError)
    assert streams.write(stream, "nowhere\n") is None
    stream.close()


SHOWS = """
import os, sys
from cki_notifier.telemetry import streams
streams.open_missing()
print([os.readlink(f"/proc/self/fd/{number}") for number in range(3)][int(sys.argv[1])],
      file=open(sys.argv[2], "w"))
print("out")
print("err", file=sys.stderr)
"""


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_a_missing_stream_leads_nowhere(missing: int, tmp_path: Path) -> None:
    """No file opened later gets its number, and output to it does no harm."""
    shown = tmp_path / "shown"
    program = [sys.executable, "-c", SHOWS, str(missing), str(shown)]
    ended = subprocess.run(
        ["/bin/sh", "-c", f'exec "$@" {missing}>&-', "sh", *program],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert (ended.returncode, "Traceback" in ended.stderr) == (0, False)
    assert shown.read_text() == f"{os.devnull}\n"


BOTH = """
import sys
from cki_notifier.telemetry import streams
streams.unblock()
for number in range(100):
    print(number, file=(sys.stdout, sys.stderr)[number % 2])
"""


def test_two_streams_to_the_same_place_keep_their_order() -> None:
    """The order of a message and the line about it is visible."""
    ended = subprocess.run(
        [sys.executable, "-c", BOTH],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    assert ended.stdout.split() == [str(number) for number in range(100)]
