"""Threads the process can't do without, and those that somebody waits for."""

import subprocess
import sys
import threading

import pytest

from cki_notifier.workers.threads import beside, start_vital
from tests.factories.alone import unread_pipe

PROGRAM = """
import logging, time
from cki_notifier.telemetry import log, streams
from cki_notifier.workers.threads import start_vital
streams.unblock()
log.set_up("WARN", "text")
def fail():
    raise LookupError("nobody expected this")
start_vital("consumer", fail)
time.sleep(30)
"""


def test_a_bug_in_one_ends_the_process_with_its_traceback() -> None:
    """Nobody is left with half a daemon: the process ends at once, says why, and is not 0."""
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False, timeout=20
    )
    assert ended.returncode == 70
    assert "a bug in the thread 'consumer' ends the process" in ended.stderr
    assert "LookupError: nobody expected this" in ended.stderr


def test_a_bug_in_one_ends_the_process_though_nobody_reads() -> None:
    """The last words are given some time, and no more."""
    with (
        unread_pipe() as pipe,
        subprocess.Popen([sys.executable, "-c", PROGRAM], stderr=pipe) as process,
    ):
        assert process.wait(20) == 70


def test_one_that_returns_is_just_over() -> None:
    """A thread that comes to its end as planned ends nothing else."""
    done = threading.Event()
    thread = start_vital("short", done.set)
    thread.join(20)
    assert done.is_set()


def test_what_is_done_beside_is_told_to_whoever_waits() -> None:
    """Its result, or what it raised."""

    def fail() -> None:
        raise LookupError("nobody expected this")

    assert beside("name", lambda: threading.current_thread().name).result(20) == "name"
    with pytest.raises(LookupError, match="nobody expected this"):
        beside("name", fail).result(20)


def test_whoever_waits_for_what_is_done_beside_may_give_up() -> None:
    """The thread is left behind, and keeps no process alive."""
    over = threading.Event()
    future = beside("name", over.wait)
    with pytest.raises(TimeoutError):
        future.result(0.01)
    over.set()
    assert future.result(20)
