"""Commands and variables that a reader copies into a terminal: they exist and work."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from cki_notifier.cli import main
from cki_notifier.configuration.settings import VARIABLES, read_config
from tests.docs.files import DOCS, README, blocks
from tools import PROJECT

#: These end a command in a shell's line.
_END = {"|", "||", "&&", ";", ">", ">>"}
PAGES = [README, *DOCS]


def commands(page: Path) -> list[tuple[str, ...]]:
    """Return the arguments of each ``cki-notifier`` in a page's shell blocks."""
    found = []
    for block in blocks(page, "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            if not line.lstrip().startswith(("cki-notifier", "kubectl ")):
                continue
            words = shlex.split(line, comments=True)
            if "--" in words:
                words = words[words.index("--") + 1 :]
            if words[0] == "cki-notifier":
                end = next((at for at, word in enumerate(words) if word in _END), None)
                found.append(tuple(words[1:end]))
    return found


COMMANDS = sorted({command for page in PAGES for command in commands(page)})
#: It always sets up logging, so it gets a process of its own.
DOCTOR = [command for command in COMMANDS if command[:1] == ("doctor",)]


def test_the_commands_are_found() -> None:
    """Those of all kinds: the daemon, its commands, a manual run."""
    assert {(), ("doctor",), ("dead-letters", "list")} <= set(COMMANDS)
    assert any("--dry-run" in command for command in COMMANDS)


@pytest.mark.parametrize("command", [it for it in COMMANDS if it not in DOCTOR], ids=" ".join)
def test_a_command_is_no_wrong_usage(
    monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    """It is understood; all that is missing without a configuration is the configuration."""
    for variable in VARIABLES:
        monkeypatch.delenv(variable.name, raising=False)
    assert main(command) in {0, 2}  # argparse would raise SystemExit


@pytest.mark.parametrize("command", DOCTOR, ids=" ".join)
def test_the_doctor_is_asked_properly(command: tuple[str, ...]) -> None:
    """It is understood, and tells what is missing without a configuration."""
    done = subprocess.run(
        [sys.executable, "-m", "cki_notifier", *command],
        cwd=PROJECT,
        env={},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "DATAWAREHOUSE_URL" in done.stdout, done.stderr


@pytest.mark.parametrize("page", [README, PROJECT / "docs" / "deploy.md"], ids=lambda it: it.stem)
def test_the_configuration_can_be_used(tmp_path: Path, page: Path) -> None:
    """The variables that a page exports are all that is needed, once the files are there."""
    secret = tmp_path / "secret"
    secret.write_text("hush")
    environ: dict[str, str] = {}
    for block in blocks(page, "sh"):
        for line in block.splitlines():
            if line.startswith("export "):
                environ |= dict(word.split("=", 1) for word in shlex.split(line)[1:])
    for name in environ:
        if name.endswith("_FILE"):
            environ[name] = str(secret)
    config = read_config(environ)
    assert config.sends
    assert config.kafka is not None
