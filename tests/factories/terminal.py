"""Terminals of any width, for output to a person."""

import os
import pty
import subprocess
import termios
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TextIO

_PROMPT = b"[y/N] "


@contextmanager
def terminal(columns: int = 80) -> Iterator[tuple[TextIO, int]]:
    """Open a terminal; yield a stream to write to it, and a descriptor to read its output."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, columns))
    try:
        with open(theirs, "w", encoding="utf-8") as stream:  # noqa: PTH123  # no path
            yield stream, ours
    finally:
        os.close(ours)


def read_all(descriptor: int, answer: str = "") -> str:
    """Return the output until nobody has the terminal open; answer a question."""
    seen = b""
    with suppress(OSError):  # Linux's error when nobody has it open
        while piece := os.read(descriptor, 65_536):
            if _PROMPT in seen + piece and _PROMPT not in seen:
                os.write(descriptor, f"{answer}\n".encode())
            seen += piece
    return seen.decode()


def run_on_terminal(
    command: Sequence[str], environment: Mapping[str, str], *, columns: int = 80, answer: str = ""
) -> tuple[int, str]:
    """Run a command and answer its question; return its exit code and its output."""
    with terminal(columns) as (stream, ours):
        process = subprocess.Popen(
            command, env=environment, stdin=stream, stdout=stream, stderr=stream
        )
        stream.close()
        seen = read_all(ours, answer)
    return process.wait(timeout=60), seen
