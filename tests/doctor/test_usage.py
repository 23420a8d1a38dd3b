"""The command line of ``doctor``, and what it says of the configuration."""

import json
import subprocess
import sys
from typing import Any

import pytest

from cki_notifier.configuration.settings import read_with_faults
from cki_notifier.doctor.check import State
from cki_notifier.doctor.configuration import findings, is_faulty
from tests.factories.environment import SECRETS, environment, full_environment
from tools import PROJECT

PATIENCE = 60
FAILED, WRONG = 1, 2
#: Nobody listens there.
NOWHERE = {
    "DATAWAREHOUSE_URL": "http://127.0.0.1:1",
    "RABBITMQ_HOST": "127.0.0.1",
    "RABBITMQ_PORT": "1",
    "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
    "JIRA_SERVER": "http://127.0.0.1:1",
    "GITLAB_TOKENS": '{"127.0.0.1:1": "COM_GITLAB_TOKEN"}',
}


def run(*arguments: str, environ: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command in an environment that is otherwise empty."""
    return subprocess.run(
        [sys.executable, "-m", "cki_notifier", "doctor", *arguments],
        cwd=PROJECT,
        env=environ or {},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def states(result: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """Return the state of each row of a run with ``--json``."""
    checks: list[dict[str, Any]] = json.loads(result.stdout)["checks"]
    return {check["name"]: check["state"] for check in checks}


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("now",), "unrecognized arguments: now"),
        (("--timeout", "soon"), "'soon' is not a number"),
        (("--timeout", "0"), "'0' is not between 0 and 3600"),
        (("--timeout", "nan"), "'nan' is not between 0 and 3600"),
        (("--timeout", "1e9"), "'1e9' is not between 0 and 3600"),
    ],
)
def test_wrong_usage(arguments: tuple[str, ...], text: str) -> None:
    """The command explains the mistake, and checks nothing."""
    result = run(*arguments)
    assert (result.returncode, result.stdout) == (WRONG, "")
    assert text in result.stderr


def test_the_help_tells_what_is_checked_and_the_exit_codes() -> None:
    """It says that nothing is changed."""
    result = run("--help")
    words = " ".join(result.stdout.split())
    assert result.returncode == 0
    for text in (
        "without changing anything",
        "--json",
        "--timeout",
        "0 no check failed",
    ):
        assert text in words


def test_each_fault_of_the_configuration_is_a_row_and_the_rest_is_checked() -> None:
    """The exit code says that the configuration is wrong; what it concerns is skipped."""
    wrong = {"RABBITMQ_PORT": "x", "KAFKA_TOPIC": "no topic", "CKI_LOGGING_LEVEL": "LOUD"}
    result = run("--json", environ=environment(**(NOWHERE | wrong), **SECRETS))
    assert result.returncode == WRONG
    assert states(result) == {
        "configuration CKI_LOGGING_LEVEL": "failed",
        "configuration KAFKA_TOPIC": "failed",
        "configuration RABBITMQ_PORT": "failed",
        "environment": "ok",
        "rabbitmq": "skipped",
        "kafka": "skipped",
        "datawarehouse": "failed",
        "gitlab 127.0.0.1:1": "failed",
        "jira": "failed",
    }


def test_an_empty_environment_tells_what_is_missing() -> None:
    """The doctor can check nothing, and names each required variable."""
    result = run("--json")
    assert result.returncode == WRONG
    assert states(result) == {
        "configuration DATAWAREHOUSE_TOKEN": "failed",
        "configuration DATAWAREHOUSE_URL": "failed",
        "configuration RABBITMQ_HOST": "failed",
        "environment": "warning",
        "rabbitmq": "skipped",
        "kafka": "skipped",
        "datawarehouse": "skipped",
        "gitlab": "skipped",
        "jira": "skipped",
    }


def test_nothing_there_is_seen_within_the_time() -> None:
    """Every dependency that nobody listens at is a row that says so, and no secret is shown."""
    result = run(environ=environment(**NOWHERE, **SECRETS))
    assert result.returncode == FAILED
    rows = [line.split("  ")[0] for line in result.stdout.splitlines() if line[0] != " "]
    assert rows.count("failed") == 5  # RabbitMQ, Kafka and three services
    assert result.stderr == "5 failed, 2 ok, 2 skipped\n"
    assert not [name for name, secret in SECRETS.items() if secret in result.stdout]


def test_an_environment_that_does_not_send_is_a_warning() -> None:
    """An operator who forgot ``production`` learns why the daemon publishes nothing."""
    for name, state in (
        (None, State.WARNING),
        ("development", State.WARNING),
        ("staging", State.OK),
    ):
        config, faults = read_with_faults(environment(CKI_DEPLOYMENT_ENVIRONMENT=name))
        last = list(findings(config, faults))[-1]
        assert (last.name, last.state) == ("environment", state)
        assert "CKI_DEPLOYMENT_ENVIRONMENT" in last.text


@pytest.mark.parametrize(
    ("variable", "dependency"),
    [
        ("RABBITMQ_PORT", "rabbitmq"),
        ("WEBHOOK_RECEIVER_EXCHANGE", "rabbitmq"),
        ("KAFKA_CONFIG_FILE", "kafka"),
        ("DATAWAREHOUSE_TOKEN_FILE", "datawarehouse"),
        ("GITLAB_TOKENS", "gitlab"),
        ("JIRA_TOKEN_AUTH", "jira"),
        ("CKI_LOGGING_LEVEL", ""),
    ],
)
def test_a_fault_concerns_one_dependency(variable: str, dependency: str) -> None:
    """The others are looked at."""
    everything = ("rabbitmq", "kafka", "datawarehouse", "gitlab", "jira")
    concerned = [it for it in everything if is_faulty(it, [f"{variable}: is wrong"])]
    assert concerned == ([dependency] if dependency else [])


def test_a_configuration_without_faults_is_read_as_the_daemon_does() -> None:
    """The values are the same, secrets included."""
    config, faults = read_with_faults(full_environment())
    assert faults == []
    assert config.datawarehouse.token.reveal() == SECRETS["DATAWAREHOUSE_TOKEN"]
