"""Signals: whenever they come, the daemon ends in order, and a manual run at once."""

import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.factories.alone import PATIENCE, Process, environment, is_up, started, until
from tools import PROJECT

SIGNALS = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]
#: Stands before a module of the library and holds its import up, so that a signal comes in between.
SLOW = """
import sys, time
from pathlib import Path
here = Path(__file__).parent
(here / "importing").touch()
while not (here / "go").exists():
    time.sleep(0.01)
sys.path.remove(str(here))
del sys.modules["argparse"]
import argparse
"""


def interrupted(folder: Path, number: signal.Signals, *arguments: str) -> Process:
    """Run the command, send it a signal while it imports, and return it when it has ended."""
    (folder / "argparse.py").write_text(SLOW)
    environ = environment(PYTHONPATH=f"{folder}:{PROJECT}")
    with started(
        *arguments, environ=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        until((folder / "importing").exists)
        process.send_signal(number)
        if not arguments:
            time.sleep(0.2)
            (folder / "go").touch()
        output, errors = process.communicate(timeout=PATIENCE)
        assert (output, b"Traceback" in errors) == (b"", False)
    return process


@pytest.mark.parametrize("number", SIGNALS)
def test_one_that_comes_while_the_daemon_starts_is_not_lost(
    tmp_path: Path, number: signal.Signals
) -> None:
    """Not even where the process has the id 1, and it begins nothing: it ends with 0."""
    assert interrupted(tmp_path, number).returncode == 0


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, -signal.SIGTERM), (signal.SIGINT, 128 + signal.SIGINT)]
)
def test_one_that_comes_while_a_manual_run_starts_ends_it_at_once(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    """Without a traceback."""
    assert interrupted(tmp_path, number, "--version").returncode == code


@pytest.mark.parametrize("number", SIGNALS)
def test_each_ends_the_daemon_in_order(number: signal.Signals) -> None:
    """SIGHUP too, though it comes twice when a terminal goes away."""
    with started(stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        assert any(b"can't connect" in line for line in process.stderr)
        process.send_signal(number)
        if number == signal.SIGHUP:
            process.send_signal(number)
        _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert b"stopping: taking no new work" in errors


def test_nohup_keeps_sighup_out() -> None:
    """Under nohup the daemon ignores SIGHUP."""
    with started(script='trap "" HUP; exec "$@"', stderr=subprocess.PIPE) as process:
        until(lambda: is_up(process))
        process.send_signal(signal.SIGHUP)
        time.sleep(0.5)
        assert process.poll() is None
        process.terminate()
        assert process.wait(PATIENCE) == 0
