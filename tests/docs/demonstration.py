"""The demo as the tutorial has it run, with what its reader types, and what is printed."""

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

from tests.brokers.stage import eventually
from tools import PROJECT

#: Only a failing test takes so long, in seconds.
PATIENCE = 120
#: From here on the demo waits for notifications of one's own.
_UP = "What the daemon decides from now on:"
#: What is another one each time.
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


def shown(folder: Path) -> str:
    """Run the demo with ``--keep``, then the commands that it tells, and return all output.

    Args:
        folder: for the demo's own output.
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
            [sys.executable, "-P", "-m", "tools.demo", "--keep"],
            cwd=PROJECT,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        eventually(
            lambda: _UP in path.read_text() or demo.poll() is not None, seconds=PATIENCE, what=_UP
        )
        publish, dry_run = (_command(path.read_text(), name) for name in ("publish", "dry-run"))
        triage = [*publish[:-1], "checkout_issueoccurrences_changed"]
        told = [_run(publish, environment), _run(dry_run, environment)]
        for own in (triage, [*triage, "--outcome-changed"]):
            _run(own, environment)
        eventually(lambda: _decided(path.read_text()), seconds=PATIENCE, what="three decisions")
        demo.send_signal(signal.SIGINT)
        assert demo.wait(PATIENCE) == 0
    finally:
        demo.kill()
        demo.wait()
    return "\n".join([path.read_text(), *told])


def _decided(text: str) -> bool:
    """Tell whether all that was published is decided: as the tutorial says, in any order."""
    decisions = text.partition(_UP)[2]
    return decisions.count("SENT") > 1 and "(outcome-unchanged)" in decisions


def _command(text: str, name: str) -> list[str]:
    """Return a command that the demo tells, a line with this word in it."""
    line = next(line for line in text.splitlines() if name in line and " -m " in line)
    return shlex.split(line)


def _run(command: list[str], environment: dict[str, str]) -> str:
    """Run a command to its end; return what it printed."""
    done = subprocess.run(
        command,
        cwd=PROJECT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout
