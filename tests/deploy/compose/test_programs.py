"""The programs of `tools/` in compose.yaml report wrong arguments and variables."""

import json
import subprocess
import sys

import pytest

from tests.deploy.compose import project
from tools import PROJECT
from tools.notifier import complete


def run(*words: str, **changes: str | None) -> subprocess.CompletedProcess[str]:
    """Run a module with changed variables of the stand-ins; None removes a variable."""
    variables = project.environment("stand-ins") | changes
    given = {name: value for name, value in variables.items() if value is not None}
    return subprocess.run(
        [sys.executable, "-m", *words],
        env=complete(given),
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("DATAWAREHOUSE_URL", None, "DATAWAREHOUSE_URL: is not set"),
        ("DATAWAREHOUSE_URL", "https://datawarehouse:8001", "https://datawarehouse:8001: "),
        ("GITLAB_TOKENS", None, "GITLAB_TOKENS: "),
        (
            "GITLAB_TOKENS",
            json.dumps({"one": "GITLAB_TOKEN", "two": "GITLAB_TOKEN"}),
            "GITLAB_TOKENS: ",
        ),
        ("JIRA_SERVER", None, "JIRA_SERVER"),
    ],
)
def test_stand_ins_say_where_they_cannot_stand(name: str, value: str | None, said: str) -> None:
    """For variables without an address of a stand-in, the program ends with exit code 2."""
    result = run("tools.stand_ins", **{name: value})
    assert result.returncode == 2
    assert said in result.stderr
    assert "Traceback" not in result.stderr


def test_stand_ins_say_that_an_address_is_not_theirs() -> None:
    """An address that this machine does not have is an error."""
    result = run("tools.stand_ins", "--listen", "192.0.2.1")
    assert result.returncode == 2
    assert "can't be started" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--demo", "--checkout-id", "redhat:1"),
        ("--demo", "file.json"),
        ("file.json", "--outcome-changed"),
        ("--checkout-id", "redhat:1"),
    ],
)
def test_what_is_to_be_published_is_said_once(words: tuple[str, ...]) -> None:
    """`publish` takes the demo, a file, or a checkout with a status, and otherwise fails."""
    result = run("tools.demo.publish", "--amqp", "amqp://192.0.2.1", *words)
    assert result.returncode == 2
    assert "usage: " in result.stderr
