"""Commands whose standard output or error is full, closed, broken, or can't hold a character."""

import json
import subprocess
import sys

import pytest

from tests.brokers.stage import Stage
from tests.factories.alone import PATIENCE, environment
from tools import PROJECT
from tools.stand_ins import Services, documents

#: The checkout has letters that ASCII and Latin-1 don't know, one of them beyond 16 bits.
ID = "redhat:é检出😀"
DRY = ("--checkout-id", ID, "--dry-run")
Result = subprocess.CompletedProcess[str]


def run(script: str, *arguments: str, environ: dict[str, str] | None = None) -> Result:
    """Run the command by a script of the shell's."""
    command = [sys.executable, "-m", "cki_notifier", *arguments]
    return subprocess.run(
        ["/bin/bash", "-c", script, "bash", *command],
        cwd=PROJECT,
        env=environment() if environ is None else environ,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=PATIENCE,
    )


@pytest.fixture(name="environ")
def _environ(services: Services) -> dict[str, str]:
    """Return the environment of a dry run, with a checkout in DataWarehouse."""
    checkout = documents.checkout(ID)
    services.warehouse.add(documents.everything(checkout, [documents.build(checkout)]))
    warehouse = services.warehouse
    return environment(DATAWAREHOUSE_URL=warehouse.url, DATAWAREHOUSE_TOKEN=warehouse.token)


@pytest.mark.parametrize(
    "changes",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "ascii:strict"},
        {"PYTHONIOENCODING": "latin-1"},
        {"LC_ALL": "C"},
        {"LC_ALL": "C.UTF-8"},
    ],
    ids=str,
)
@pytest.mark.parametrize("form", [(), ("--json",)])
def test_a_message_is_whole_in_any_encoding(
    environ: dict[str, str], changes: dict[str, str], form: tuple[str, ...]
) -> None:
    """Characters outside the encoding are escaped as in JSON."""
    encoding = changes.get("PYTHONIOENCODING", "")
    ended = subprocess.run(
        [sys.executable, "-m", "cki_notifier", *DRY, *form],
        cwd=PROJECT,
        env=environ | changes,
        capture_output=True,
        check=False,
        timeout=PATIENCE,
    )
    assert ended.returncode == 0, ended.stderr
    shown = json.loads(ended.stdout.decode("latin-1" if encoding == "latin-1" else "utf-8"))
    assert shown["checkout_id"] == ID
    assert b"Traceback" not in ended.stderr
    assert b"would be sent" in ended.stderr


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_a_dry_run_that_can_not_be_shown_fails(
    environ: dict[str, str], form: tuple[str, ...]
) -> None:
    """The command does nothing then, and prints the reason."""
    ended = run('"$@" >/dev/full', *DRY, *form, environ=environ)
    assert ended.returncode == 1
    assert "can't print to standard output: [Errno 28]" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "Exception" not in ended.stderr


@pytest.mark.parametrize(
    "script", ['"$@" | true; exit ${PIPESTATUS[0]}', '"$@" >&-', '"$@" 2>/dev/full', '"$@" 2>&-']
)
def test_who_does_not_look_changes_no_exit_code(environ: dict[str, str], script: str) -> None:
    """A reader may have seen enough, and the words on standard error are no result."""
    ended = run(script, *DRY, environ=environ)
    assert ended.returncode == 0
    assert "Traceback" not in ended.stderr
    assert "Exception" not in ended.stderr


@pytest.mark.parametrize("arguments", [("schema",), ("doctor", "--timeout", "1")])
def test_what_is_only_printed_fails_where_it_can_not_be(arguments: tuple[str, ...]) -> None:
    """And the reason is told, once."""
    ended = run('"$@" >/dev/full', *arguments)
    assert ended.returncode == 1
    assert ended.stderr.count("can't print") == 1
    assert "Exception" not in ended.stderr


@pytest.mark.parametrize("arguments", [("schema",), ("--help",), ("--version",)])
def test_a_pager_that_is_left_is_no_failure(arguments: tuple[str, ...]) -> None:
    """The command ends as if all was read."""
    ended = run('"$@" | true; exit ${PIPESTATUS[0]}', *arguments)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_message_that_is_sent_is_sent_though_it_can_not_be_shown(stage: Stage) -> None:
    """The exit code tells whether it was sent, so that nobody sends it twice."""
    checkout = documents.checkout(ID)
    stage.services.warehouse.add(documents.everything(checkout, [documents.build(checkout)]))
    ended = run(
        '"$@" >/dev/full',
        *("--status", "unknown", "--checkout-id", ID),
        environ=environment(**stage.environment),
    )
    assert ended.returncode == 0
    assert "can't print" in ended.stderr
    assert [record.key for record in stage.records(1)] == [ID]
