"""The demo as the tutorial has it run, with what its reader types, and what is printed."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.brokers.stage import eventually
from tools import PROJECT

#: Only a failing test takes so long, in seconds.
PATIENCE = 120
#: From here on the demo waits for notifications of one's own.
_UP = "Further decisions of the daemon:"
#: From here on it tells commands, each on a line of its own.
_KEPT = "All of this keeps running until Ctrl-C"
_COMMANDS = 7
_COMMAND = re.compile(r"^    (.+)$", re.MULTILINE)
#: Commands that run until Ctrl-C, and what they have said by then.
_ENDLESS = {"tools.demo.watch": "read from Kafka", "consumer.py": "handled: "}
#: These differ in each run.
_CHANGING = {
    r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}": "UUID",
    r"127\.0\.0\.1:\d+": "ADDRESS",
    r"\b\d+ ms\b": "TIME",
    r"\b\d+(\.\d)? s\b": "TIME",
    r"\b\d\d:\d\d:\d\d\b": "TIME",
}


def alike(text: str) -> str:
    """Return a text without what differs from run to run, line ends among it."""
    for pattern, name in _CHANGING.items():
        text = re.sub(pattern, name, text)
    return " ".join(text.split())


class Demo:
    """A demo that keeps running, as somebody sees it who types what it tells.

    Attributes:
        commands: what it tells to type, each after the first one of all.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._first, *self.commands = _COMMAND.findall(self.text().rpartition(_KEPT)[2])
        (env_file,) = re.findall(r"^\. (\S+)$", self._first)
        assert Path(env_file).stat().st_mode & 0o777 == 0o600  # there may be passwords in it

    def text(self) -> str:
        """Return all that it printed."""
        return self._path.read_text()

    def decided(self) -> str:
        """Return what it printed since it only keeps running."""
        return self.text().partition(_UP)[2]

    def type(self, command: str) -> str:
        """Run a command in a second terminal, until its end or Ctrl-C; return what it printed."""
        return _run(f"{self._first} && {command}")


@contextlib.contextmanager
def kept(folder: Path, *options: str) -> Iterator[Demo]:
    """Run the demo with ``--keep`` until the end of this context, and then press Ctrl-C.

    Args:
        folder: for the demo's own output.
        options: more of the demo's.
    """
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(PROJECT),
        "PYTHONUNBUFFERED": "1",
        "COLUMNS": "80",
    }
    path = folder / "demo.txt"
    with path.open("w") as output:
        demo = subprocess.Popen(
            [sys.executable, "-P", "-m", "tools.demo", "--keep", *options],
            cwd=PROJECT,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        eventually(
            lambda: _UP in path.read_text() or demo.poll() is not None, seconds=PATIENCE, what=_UP
        )
        assert demo.poll() is None, path.read_text()
        yield Demo(path)
        demo.send_signal(signal.SIGINT)
        assert demo.wait(PATIENCE) == 0
    finally:
        demo.kill()
        demo.wait()


def shown(folder: Path) -> str:
    """Run the demo with ``--keep``, then every command that it tells, and return all output.

    Args:
        folder: for the demo's own output.
    """
    with kept(folder) as demo:
        assert len(demo.commands) == _COMMANDS
        told = [demo.type(command) for command in demo.commands]
        (publish,) = (it for it in demo.commands if "publish" in it)
        triage = publish.replace("ready_to_report", "checkout_issueoccurrences_changed")
        for own in (triage, f"{triage} --outcome-changed"):
            demo.type(own)
        eventually(lambda: _decided(demo.decided()), seconds=PATIENCE, what="three decisions")
    return "\n".join([demo.text(), *told])


def _decided(decisions: str) -> bool:
    """Tell whether all published notifications have the outcomes of the tutorial, in any order."""
    return decisions.count("SENT") > 1 and "(outcome-unchanged)" in decisions


def _run(command: str) -> str:
    """Run a command as it is typed, until its end or Ctrl-C; return what it printed."""
    until = next((text for part, text in _ENDLESS.items() if part in command), None)
    with tempfile.TemporaryFile() as output:

        def printed() -> str:
            return os.pread(output.fileno(), 1_000_000, 0).decode()

        running = subprocess.Popen(
            ["/bin/bash", "-c", command],
            cwd=PROJECT,
            env={"PATH": os.defpath, "LANG": "C.UTF-8", "PYTHONUNBUFFERED": "1"},
            stdout=output,
            stderr=subprocess.STDOUT,
            process_group=0,
        )
        try:
            if until:
                eventually(
                    lambda: until in printed() or running.poll() is not None, seconds=PATIENCE
                )
                os.killpg(running.pid, signal.SIGINT)
            assert running.wait(PATIENCE) == 0, printed()
        finally:
            running.kill()
            running.wait()
        return printed()
