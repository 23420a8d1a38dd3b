"""Every command with every kind of standard stream: the exit code is right, nothing is a bug's."""

import subprocess
import sys
from collections.abc import Iterator
from typing import NamedTuple

import msgspec
import pytest

from tests.factories.alone import PATIENCE, environment
from tests.factories.redirected import Case, Ended
from tools import PROJECT
from tools.stand_ins import Services, documents

#: Neither checkout's name is ASCII; the second has no builds, so a rule ignores it.
READY, EARLY = "redhat:é检出😀", "redhat:ü"


class Command(NamedTuple):
    """A command, and its exit codes.

    Attributes:
        arguments: without the program's name.
        code: where standard output takes what is printed.
        unshown: where it does not.
        is_faulty: whether the configuration is.
    """

    arguments: tuple[str, ...]
    code: int
    unshown: int
    is_faulty: bool = False


BY_HAND, DRY = ("--status", "unknown", "--checkout-id"), ("--dry-run", "--checkout-id")
COMMANDS = (
    Command(("schema",), 0, 1),
    Command(("--help",), 0, 1),
    Command(("--version",), 0, 1),
    Command(("doctor", "--help"), 0, 1),
    Command(("--loudé",), 2, 2),
    Command((*BY_HAND, READY), 0, 1),
    Command((*BY_HAND, EARLY), 3, 3),
    Command((*BY_HAND, "nobody's😀"), 1, 1),
    Command((*DRY, READY), 0, 1),
    Command((*DRY, READY, "--json"), 0, 1),
    Command((*DRY, EARLY, "--json"), 3, 1),
    Command(("doctor", "--timeout", "0.1"), 1, 1),
    Command(("dead-letters", "list"), 1, 1),
    Command(("dead-letters", "discard", "x"), 2, 2),
    Command((), 2, 2, is_faulty=True),
    Command((*DRY, READY), 2, 2, is_faulty=True),
    Command(("doctor", "--timeout", "0.1", "--json"), 2, 2, is_faulty=True),
    Command(("dead-letters", "list"), 2, 2, is_faulty=True),
)
#: The redirections, and whether printing fails with them.
REDIRECTIONS: tuple[tuple[dict[str, str], bool], ...] = (
    ({"1": "full"}, True),
    ({"1": "read-only"}, True),
    ({"1": "closed"}, False),
    ({"1": "unread"}, False),
    ({"2": "full"}, False),
    ({"2": "read-only"}, False),
    ({"2": "closed"}, False),
    ({"2": "unread"}, False),
    ({"1": "full", "2": "full"}, True),
    ({"1": "unread", "2": "unread"}, False),
    ({"0": "closed"}, False),
    ({"0": "closed", "1": "closed", "2": "closed"}, False),
)
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.fixture(name="environ", scope="module")
def _environ() -> Iterator[dict[str, str]]:
    """Return an environment with two checkouts in DataWarehouse and nothing else."""
    with Services() as services:
        warehouse = services.warehouse
        for name, builds in ((READY, 1), (EARLY, 0)):
            checkout = documents.checkout(name)
            warehouse.add(documents.everything(checkout, [documents.build(checkout)] * builds))
        yield environment(DATAWAREHOUSE_URL=warehouse.url, DATAWAREHOUSE_TOKEN=warehouse.token)


@pytest.fixture(name="ends", scope="module")
def _ends(environ: dict[str, str]) -> list[list[Ended]]:
    """Run all commands with all redirections; return what became of each, by redirection."""
    faulty = environ | {"RABBITMQ_PORT": "é"}
    cases = [
        Case(command.arguments, redirections, faulty if command.is_faulty else environ)
        for redirections, _ in REDIRECTIONS
        for command in COMMANDS
    ]
    done = subprocess.run(
        [sys.executable, "-m", "tests.factories.redirected"],
        cwd=PROJECT,
        env=environ,
        input=msgspec.json.encode(cases),
        stdout=subprocess.PIPE,
        check=True,
        timeout=len(cases) * PATIENCE,
    )
    ends = iter(msgspec.json.decode(done.stdout, type=list[Ended]))
    return [[next(ends) for _ in COMMANDS] for _ in REDIRECTIONS]


@pytest.mark.parametrize("number", range(len(REDIRECTIONS)), ids=lambda it: str(REDIRECTIONS[it]))
def test_exit_codes_are_right_whatever_the_streams_are(
    ends: list[list[Ended]], number: int
) -> None:
    """A command that only prints fails if it can't; other commands do not care."""
    redirections, is_full = REDIRECTIONS[number]
    for command, ended in zip(COMMANDS, ends[number], strict=True):
        assert ended.code == (command.unshown if is_full else command.code), (command, ended)
        assert "Traceback" not in ended.errors, (command, ended)
        assert "Exception ignored" not in ended.errors, (command, ended)
        if is_full and command.code != command.unshown and "2" not in redirections:
            assert ended.errors.count("can't print") == 1, (command, ended)


@pytest.mark.parametrize("arguments", [(*BY_HAND, READY), (*DRY, READY, "--json"), ()])
def test_arguments_and_variables_are_utf_8_in_any_locale(
    environ: dict[str, str], arguments: tuple[str, ...]
) -> None:
    """And what is printed is what ASCII can hold."""
    ended = subprocess.run(
        [sys.executable, "-m", "cki_notifier", *arguments],
        cwd=PROJECT,
        env=environ | ASCII | ({} if arguments else {"RABBITMQ_PORT": "é"}),
        capture_output=True,
        check=False,
        timeout=PATIENCE,
    )
    assert ended.returncode == (0 if arguments else 2), ended
    assert (ended.stdout + ended.stderr).isascii()
    assert rb"redhat:\u00e9" in ended.stdout or rb"'\xe9' is not a number" in ended.stderr
