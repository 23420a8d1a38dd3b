"""The daemon without a broker, which keeps reconnecting and logs that."""

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tools import PROJECT
from tools.notifier import complete
from tools.processes import free_port

#: The timeout of a failing test, in seconds.
PATIENCE = 30.0
_PIPE_BYTES = 4096
_HEEDING_SIGNALS = ("/usr/bin/env", "--default-signal=HUP,INT,TERM")

Process = subprocess.Popen[bytes]


def environment(**changes: str) -> dict[str, str]:
    """Return the environment of a daemon that logs everything, with changes."""
    return complete(
        {
            "DATAWAREHOUSE_URL": "http://127.0.0.1:1",
            "DATAWAREHOUSE_TOKEN": "hush",
            "RABBITMQ_HOST": "127.0.0.1",
            "RABBITMQ_PORT": str(free_port()),
            "CKI_LOGGING_LEVEL": "DEBUG",
            "CKI_LOGGING_FORMAT": "text",
            **changes,
        }
    )


@contextmanager
def started(
    *arguments: str, script: str = 'exec "$@"', environ: dict[str, str] | None = None, **more: Any
) -> Iterator[Process]:
    """Start the command by a shell script, for redirections, and kill it at the end.

    At its start it ignores no signals, unlike tests that run in the background.
    """
    command = [sys.executable, "-m", "cki_notifier", *arguments]
    process = subprocess.Popen(
        [*_HEEDING_SIGNALS, "/bin/sh", "-c", script, "sh", *command],
        cwd=PROJECT,
        env=environment() if environ is None else environ,
        **more,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@contextmanager
def unread_pipe() -> Iterator[int]:
    """Return the writing end of a full pipe without a reader."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    os.set_blocking(writing, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writing, b"x" * _PIPE_BYTES)
    os.set_blocking(writing, True)
    try:
        yield writing
    finally:
        os.close(reading)
        os.close(writing)


def until(look: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < end, "it does not come"
        time.sleep(0.02)


def is_up(process: Process) -> bool:
    """Tell whether the workers' threads and the connecting one exist."""
    with suppress(FileNotFoundError):
        return len(list(Path(f"/proc/{process.pid}/task").iterdir())) > 32
    return False


def cpu_seconds(process: Process) -> float:
    """Return the CPU time of a process so far."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
