"""The command line, run as a process: usage, faults of the configuration, exit codes."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # it has no stubs

from cki_notifier import __version__
from cki_notifier.message.contract import schema
from tests.factories.environment import SECRETS, environment, full_environment
from tools import PROJECT

STATUS, ID = ("--status", "ready_to_report"), ("--checkout-id", "redhat:1")
#: Only a failing test takes so long, in seconds.
PATIENCE = 60
WRONG, FINE = 2, 0

Result = subprocess.CompletedProcess[str]


def run(*arguments: str | bytes, environ: dict[str, str] | None = None) -> Result:
    """Run the command in an environment that is otherwise empty."""
    return subprocess.run(
        [sys.executable, "-m", "cki_notifier", *arguments],
        cwd=PROJECT,
        env=environ or {},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def faults_of(result: Result) -> list[str]:
    """Return the variables that a run with a faulty configuration names, in alphabetical order."""
    assert (result.returncode, result.stdout) == (WRONG, "")
    first, *faults = result.stderr.splitlines()
    assert first == "cki-notifier: the configuration has faults:"
    return sorted(fault.partition(":")[0].strip() for fault in faults)


@pytest.fixture(name="services")
def _services() -> Iterator[dict[str, socket.socket]]:
    """Return listening sockets in the place of the services, none of which expects anybody."""
    with ExitStack() as stack:
        listening = {}
        for name in ("datawarehouse", "jira", "rabbitmq", "kafka"):
            listening[name] = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            listening[name].setblocking(False)  # noqa: FBT003  # the library's own
        yield listening


def addresses(services: dict[str, socket.socket]) -> dict[str, str | None]:
    """Return the variables that lead to the services."""
    port = {name: service.getsockname()[1] for name, service in services.items()}
    return {
        "DATAWAREHOUSE_URL": f"http://127.0.0.1:{port['datawarehouse']}",
        "JIRA_SERVER": f"http://127.0.0.1:{port['jira']}",
        "RABBITMQ_HOST": "127.0.0.1",
        "RABBITMQ_PORT": str(port["rabbitmq"]),
        "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{port['kafka']}",
    }


def assert_nobody_came(services: dict[str, socket.socket]) -> None:
    """Check that none of the sockets was connected to."""
    for service in services.values():
        with pytest.raises(BlockingIOError):
            service.accept()


def assert_no_secret(result: Result) -> None:
    """Check that a run showed no secret."""
    assert not [name for name, secret in SECRETS.items() if secret in result.stderr + result.stdout]


def test_version() -> None:
    """The version is told without any configuration."""
    result = run("--version")
    assert (result.returncode, result.stdout) == (FINE, f"cki-notifier {__version__}\n")
    assert result.stderr == ""


def test_help_tells_all_options_and_exit_codes() -> None:
    """The help names what can be given, the four statuses and what the exit codes mean."""
    result = run("--help")
    assert result.returncode == FINE
    for word in (
        *("--status", "--checkout-id", "--dry-run", "--json", "--version", "schema", "doctor"),
        *("build_setups_finished", "ready_to_report", "unknown"),
        *("checkout_issueoccurrences_changed", "0 sent", "1 failed", "2 wrong", "3 a rule"),
    ):
        assert word in " ".join(result.stdout.split())


def test_schema_prints_the_messages_json_schema() -> None:
    """Consumers get a schema they can use, and nothing else."""
    result = run("schema")
    assert (result.returncode, result.stderr) == (FINE, "")
    printed = json.loads(result.stdout)
    assert printed == schema()
    Draft202012Validator.check_schema(printed)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (STATUS, "--status and --checkout-id go together"),
        (ID, "--status and --checkout-id go together"),
        ((*STATUS, "--dry-run"), "--status and --checkout-id go together"),
        (("--status", "new", *ID), "invalid choice: 'new'"),
        (("--status", "", *ID), "invalid choice: ''"),
        ((*STATUS, "--checkout-id", ""), "--checkout-id is empty"),
        ((*STATUS, "--checkout-id", b"redhat:\xff"), "--checkout-id is not UTF-8"),
        ((*STATUS, "--checkout-id"), "expected one argument"),
        (("--dry-run",), "--dry-run needs --checkout-id"),
        (("--dry-run", "--json"), "--dry-run needs --checkout-id"),
        (("--json",), "--json needs --dry-run"),
        ((*STATUS, *ID, "--json"), "--json needs --dry-run"),
        (("--json", "dead-letters", "list"), "--json needs --dry-run"),
        ((*STATUS, *ID, "schema"), "schema takes no --status"),
        ((*ID, "--dry-run", "schema"), "schema takes no --status and no --checkout-id"),
        (("--dry-run", "schema"), "--dry-run needs --checkout-id"),
        (("schema", "--dry-run"), "unrecognized arguments: --dry-run"),
        (("daemon",), "invalid choice: 'daemon'"),
        (("--loud",), "unrecognized arguments: --loud"),
    ],
)
def test_wrong_usage(arguments: tuple[str | bytes, ...], text: str) -> None:
    """Wrong usage leads to an explanation, and the command does nothing."""
    result = run(*arguments, environ=full_environment())
    assert (result.returncode, result.stdout) == (WRONG, "")
    assert text in result.stderr
    assert "usage: cki-notifier" in result.stderr
    assert_no_secret(result)


def test_all_faults_are_listed_before_anything_is_connected(
    services: dict[str, socket.socket],
) -> None:
    """One run tells all that is to be mended, and leaves the services alone."""
    wrong: dict[str, str | None] = {
        "DATAWAREHOUSE_TOKEN": None,
        "GITLAB_TOKENS": "no JSON",
        "KAFKA_TOPIC": "no topic",
        "KAFKA_SASL_MECHANISM": "none",
        "CKI_LOGGING_LEVEL": "LOUD",
        "CKI_NOTIFIER_IN_FLIGHT": "0",
    }
    result = run(environ=full_environment(**(addresses(services) | wrong)))
    assert faults_of(result) == sorted(wrong)
    assert_nobody_came(services)
    assert_no_secret(result)


@pytest.mark.parametrize(
    ("arguments", "where", "missing"),
    [
        ((), None, "DATAWAREHOUSE_TOKEN DATAWAREHOUSE_URL RABBITMQ_HOST"),
        (
            (),
            "production",
            "DATAWAREHOUSE_TOKEN DATAWAREHOUSE_URL KAFKA_BOOTSTRAP_SERVERS RABBITMQ_HOST",
        ),
        ((*STATUS, *ID), None, "DATAWAREHOUSE_TOKEN DATAWAREHOUSE_URL"),
        (
            (*STATUS, *ID),
            "staging",
            "DATAWAREHOUSE_TOKEN DATAWAREHOUSE_URL KAFKA_BOOTSTRAP_SERVERS",
        ),
        ((*STATUS, *ID, "--dry-run"), "production", "DATAWAREHOUSE_TOKEN DATAWAREHOUSE_URL"),
        ((*ID, "--dry-run", "--json"), "production", "DATAWAREHOUSE_TOKEN DATAWAREHOUSE_URL"),
    ],
)
def test_what_is_required_depends_on_the_run(
    arguments: tuple[str, ...], where: str | None, missing: str
) -> None:
    """The daemon needs RabbitMQ, sending needs Kafka, and every command needs DataWarehouse."""
    environ = {"CKI_DEPLOYMENT_ENVIRONMENT": where} if where else {}
    assert faults_of(run(*arguments, environ=environ)) == missing.split()


@pytest.mark.parametrize("content", ["no.such.setting=1\n", "acks=0\n", None])
def test_a_wrong_kafka_properties_file_is_named(tmp_path: Path, content: str | None) -> None:
    """The report of any fault in the file names its variable."""
    path = tmp_path / "client.properties"
    if content is not None:
        path.write_text(f"sasl.password=hush\n{content}")
    result = run(environ=environment(KAFKA_CONFIG_FILE=os.fspath(path)))
    assert faults_of(result) == ["KAFKA_CONFIG_FILE"]
    assert "hush" not in result.stderr


def test_a_metrics_port_that_is_taken_is_a_fault_of_the_configuration(
    services: dict[str, socket.socket],
) -> None:
    """Binding the port finds it, before any connection; the report is like the others."""
    taken = str(services["jira"].getsockname()[1])
    changes = {"CKI_METRICS_ENABLED": "true", "CKI_METRICS_PORT": taken}
    result = run(environ=environment(**(addresses(services) | changes)))
    assert faults_of(result) == ["CKI_METRICS_PORT"]
    assert_nobody_came(services)
