"""The program that controls the demo's processes, with a process that only sleeps."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.brokers.stage import eventually
from tools import PROJECT
from tools.demo.control import SOCKET, Control, Member
from tools.processes import Process


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    """A process that sleeps, and has written its id."""
    pid = tmp_path / "pid"
    command = ["sh", "-c", 'echo $$ >"$0" && exec sleep 60', str(pid)]
    with Process("sleep", command, log=tmp_path / "log", ready=pid.exists) as running:
        yield running


@pytest.fixture
def path(tmp_path: Path, process: Process) -> Iterator[Path]:
    """A control of that process, which it calls kafka-1."""
    with Control(
        tmp_path / "control", {"kafka-1": Member(process, "there")}, lambda _: None
    ).serving():
        yield tmp_path / "control"


def test_what_was_killed_by_hand_is_down_and_can_be_started_again(
    path: Path, tmp_path: Path
) -> None:
    """A user can kill a process by hand, and start it with the program."""
    assert _control(path, "status") == (0, "kafka-1     up                   there\n")
    os.kill(int((tmp_path / "pid").read_text()), 9)
    eventually(lambda: _control(path, "status") == (0, "kafka-1     down                 there\n"))
    assert _control(path, "start", "kafka-1") == (0, "kafka-1     up                   there\n")
    code, told = _control(path, "start", "kafka-1")
    assert (code, told) == (1, "sleep runs already\n")


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (
            ["kill", "kafka-1", "kafka-7"],
            1,
            "No process is named kafka-7. The names are kafka-1.\n",
        ),
        (["ctl", "kafka-1", "status"], 1, "kafka-1 is not a RabbitMQ node.\n"),
        (["kill"], 2, "kill needs a name, which status shows\n"),
        (["burn", "kafka-1"], 2, "invalid choice: 'burn'"),
    ],
)
def test_what_cannot_be_done_is_told_and_nothing_is_done(
    path: Path, process: Process, words: list[str], code: int, told: str
) -> None:
    """One unknown name of several is enough."""
    ended, text = _control(path, *words)
    assert (ended, told in text) == (code, True), text
    assert process.running


def test_without_a_demo_it_says_so(tmp_path: Path) -> None:
    """After the end of the demo, and in a terminal without its environment."""
    code, told = _control(tmp_path / "control", "status")
    assert (
        code,
        told.startswith("The demo is not running: start scripts/demo --cluster --keep.\n"),
    ) == (1, True)
    code, told = _control(None, "status")
    assert (code, "run the command first that the demo prints" in told) == (2, True)


def _control(path: Path | None, *words: str) -> tuple[int, str]:
    """Run the program; return its exit code and what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "tools.demo.control", *words],
        cwd=PROJECT,
        env={"PATH": os.defpath} | ({SOCKET: str(path)} if path else {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout
