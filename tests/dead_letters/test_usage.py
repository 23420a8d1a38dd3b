"""The command line of ``dead-letters``: usage, configuration and summaries."""

import subprocess
import sys

import pytest

from cki_notifier.configuration.settings import read_operator_config
from cki_notifier.dead_letters import report
from cki_notifier.dead_letters.letter import Selection
from cki_notifier.dead_letters.walk import Walk
from cki_notifier.notification.errors import ConfigurationError
from tests.factories.environment import SECRETS, full_environment
from tools import PROJECT

PATIENCE = 60
WRONG = 2
LEAST = {"RABBITMQ_HOST": "rabbitmq.example"}


def run(
    *arguments: str | bytes, environ: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command without a terminal, in an environment that is otherwise empty."""
    return subprocess.run(
        [sys.executable, "-m", "cki_notifier", "dead-letters", *arguments],
        cwd=PROJECT,
        env=environ or {},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("steal",), "invalid choice: 'steal'"),
        (("list", "redhat:1"), "unrecognized arguments: redhat:1"),
        (("list", "--limit", "0"), "'0' is not a whole number above 0"),
        (("list", "--limit", "-1"), "'-1' is not a whole number above 0"),
        (("list", "--limit", "many"), "'many' is not a whole number above 0"),
        (
            ("list", "--reason", ""),
            "argument --reason: '' is not one of the reasons: malformed, ",
        ),
        (("list", "--reason", "bogus"), "malformed, invalid-document, not-found, too-large, "),
        (("list", "--reason", "bogus"), "delivery_limit, expired, maxlen, rejected, unknown.\n"),
        (("list", "--reason", "malformd"), "unknown. Did you mean malformed?"),
        (("show", "--reason", "NOT-FOUND"), "'NOT-FOUND' is not one of the reasons"),
        (("retry", "--reason", "delivery-limit"), "Did you mean delivery_limit?"),
        (("discard", "--reason", "\x1b[2J"), r"'\x1b[2J' is not one of the reasons"),
        (("show", "--all", "--json", "--body"), "not allowed with argument"),
        (("show",), "one of the arguments ID --reason --all is required"),
        (("retry",), "one of the arguments ID --reason --all is required"),
        (("retry", "redhat:1", "--all"), "not allowed with argument"),
        (("retry", "--reason", "malformed", "--all"), "not allowed with argument"),
        (("retry", ""), "argument ID: the id is empty"),
        (("retry", b"redhat:\xff"), "argument ID: the id is not UTF-8"),
        (("discard", "--yes"), "one of the arguments ID --reason --all is required"),
        (
            ("discard", "--all"),
            "discard: standard input is not a terminal, so nobody can confirm: add --yes",
        ),
        (("retry", "--all"), "run show with the same arguments"),
        (("retry", "--all", "--limit", "3"), "retry: standard input is not a terminal"),
    ],
)
def test_wrong_usage(arguments: tuple[str | bytes, ...], text: str) -> None:
    """The error explains it, and no connection is made."""
    result = run(*arguments, environ=LEAST)
    assert (result.returncode, result.stdout) == (WRONG, "")
    assert text in result.stderr


@pytest.mark.parametrize("action", ["list", "show", "retry", "discard"])
def test_the_help_tells_what_can_be_given(action: str) -> None:
    """Each action explains its arguments and the exit codes."""
    result = run(action, "--help")
    assert result.returncode == 0
    words = " ".join(result.stdout.split())
    assert "--limit N" in words
    assert "Exit codes: 0 done, 1 " in words


def test_only_faults_of_what_is_needed_are_faults() -> None:
    """DataWarehouse and Kafka need no configuration. All faults come at once."""
    wrong = {"RABBITMQ_PORT": "x", "CKI_LOGGING_LEVEL": "LOUD", "GITLAB_TOKENS": "no JSON"}
    result = run("list", environ=wrong)
    assert (result.returncode, result.stdout) == (WRONG, "")
    first, *faults = result.stderr.splitlines()
    assert first == "cki-notifier: the configuration has faults:"
    assert sorted(fault.partition(":")[0].strip() for fault in faults) == [
        "CKI_LOGGING_LEVEL",
        "RABBITMQ_HOST",
        "RABBITMQ_PORT",
    ]


def test_the_configuration_is_the_daemons() -> None:
    """Host, queue, secrets and logging are read from the same variables."""
    config = read_operator_config(full_environment())
    assert config.rabbitmq.hosts == ("one.example", "two.example")
    assert config.rabbitmq.queue == "other.queue"
    assert config.rabbitmq.password.reveal() == SECRETS["RABBITMQ_PASSWORD"]
    assert (config.logging_level, config.logging_format) == ("DEBUG", "json")


def test_without_a_host_nothing_can_be_looked_after() -> None:
    """The fault names the variable."""
    with pytest.raises(ConfigurationError, match="RABBITMQ_HOST") as caught:
        read_operator_config({})
    assert len(caught.value.faults) == 1


def walk(deed: str = "put back", names: frozenset[str] = frozenset()) -> Walk:
    """Return a walk through 1,200 letters, of which 30 were selected."""
    walked = Walk(read_operator_config(LEAST).rabbitmq, Selection(names), deed)
    walked.queue, walked.count, walked.done = "q.dead-letter", 1200, 30
    walked.reasons.update({"malformed": 200, "not-found": 1000})
    return walked


def test_an_overview_counts_by_reason() -> None:
    """The most frequent comes first."""
    assert report.overview(walk()) == (
        "1,200 dead letters in q.dead-letter: 1,000 not-found, 200 malformed; 30 put back"
    )


def test_a_reason_in_an_overview_is_harmless() -> None:
    """Anybody may write a header."""
    walked = walk()
    walked.reasons.update({"\x1b[2J": 2000})
    assert r": 2,000 \x1b[2J, 1,000 not-found" in report.overview(walked)


def test_what_is_missing_is_named() -> None:
    """Each name that no letter has."""
    assert list(report.unmatched(walk(names=frozenset({"redhat:1"})), "")) == [
        "no dead letter has the id or checkout id redhat:1"
    ]


def test_a_walk_that_was_broken_off_says_what_it_did() -> None:
    """A walk that only read changed nothing."""
    assert report.broken_off(walk("shown")) == "the queue is unchanged"
    assert report.broken_off(walk()) == "30 dead letters put back, the others stay in the queue"
