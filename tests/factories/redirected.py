"""A program that runs commands with redirected streams, each in a fork of its own.

An interpreter's start takes far longer than most commands, so it starts once. Each fork gets the
streams of a new interpreter. The program reads a list of ``Case`` as JSON, and writes one of
``Ended``.
"""

import gc
import io
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import IO

import msgspec

from cki_notifier import cli as cli  # noqa: PLC0414  # the command's main function imports it
from cki_notifier.__main__ import main
from cki_notifier.doctor import command as command  # noqa: PLC0414  # as above

#: The file descriptor of standard error.
_ERRORS = 2


class Case(msgspec.Struct, frozen=True):
    """A command to run.

    Attributes:
        arguments: without the program's name.
        redirections: by file descriptor: ``full``, ``read-only``, ``closed``, or ``unread`` (a pipe
            without a reader).
        environ: its variables.
    """

    arguments: tuple[str, ...]
    redirections: Mapping[str, str]
    environ: Mapping[str, str]


class Ended(msgspec.Struct, frozen=True):
    """The result of a command: its exit code and its output."""

    code: int
    output: str
    errors: str


def _run(case: Case) -> Ended:
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        if (child := os.fork()) == 0:
            _begin(case, output, errors)
            sys.exit(main())
        _, status = os.waitpid(child, 0)
        return Ended(os.waitstatus_to_exitcode(status), _text(output), _text(errors))


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


def _begin(case: Case, output: IO[bytes], errors: IO[bytes]) -> None:
    """Reset this process to the state of a new one."""
    os.dup2(output.fileno(), 1)
    os.dup2(errors.fileno(), 2)
    for number, target in case.redirections.items():
        if target == "closed":
            os.close(int(number))
        else:
            os.dup2(_opened(target), int(number))
    os.environ.clear()
    os.environ.update(case.environ)
    sys.argv[1:] = case.arguments
    sys.stdin, sys.stdout, sys.stderr = _streams()


def _opened(target: str) -> int:
    if target == "unread":
        reading, writing = os.pipe()
        os.close(reading)
        return writing
    if target == "full":
        return os.open("/dev/full", os.O_WRONLY)
    return os.open(os.devnull, os.O_RDONLY)


def _streams() -> Iterator[io.TextIOWrapper]:
    """Open the standard streams like the interpreter: None for a closed one."""
    for number, mode in enumerate("rww"):
        try:
            file = io.FileIO(number, mode, closefd=False)
        except OSError:
            yield None  # type: ignore[misc]  # as in sys, against its types
            continue
        buffer = io.BufferedReader(file) if mode == "r" else io.BufferedWriter(file)
        errors = "backslashreplace" if number == _ERRORS else "strict"
        yield io.TextIOWrapper(buffer, "utf-8", errors, line_buffering=number == _ERRORS)


def _run_all(cases: Sequence[Case]) -> list[Ended]:
    gc.freeze()  # otherwise each fork would scan, and so copy, all objects
    return [_run(case) for case in cases]


if __name__ == "__main__":
    answers = _run_all(msgspec.json.decode(sys.stdin.buffer.read(), type=list[Case]))
    sys.stdout.buffer.write(msgspec.json.encode(answers))
