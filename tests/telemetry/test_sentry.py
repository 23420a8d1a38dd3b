"""Events in Sentry: one for an outage, one with a bug's traceback, and no secrets."""

import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sentry_sdk.utils import BadDsn, Dsn

from cki_notifier import __version__
from cki_notifier.configuration import checks
from cki_notifier.configuration.settings import secrets_of
from tests.factories.environment import SECRETS, full_environment, only_fault, read
from tools import PROJECT
from tools.stand_ins import Hang, Sentry, Status

#: The time that only a failing test takes, in seconds.
PATIENCE = 60.0
#: The start of every program.
BEGIN = """
import logging, os, sys, threading, time
from cki_notifier.telemetry import log
from cki_notifier.configuration.settings import read_config
from cki_notifier.telemetry.sentry import report_errors

config = read_config()
log.set_up("WARNING", "text")
report_errors(config, config.sentry_dsn)
logger = logging.getLogger("cki_notifier.daemon")
"""
Program = subprocess.CompletedProcess[str]
Run = Callable[..., Program]
Event = dict[str, Any]


@pytest.fixture(name="sentry")
def _sentry() -> Iterator[Sentry]:
    """Return a Sentry that is up."""
    service = Sentry()
    service.up()
    yield service
    service.stop()


@pytest.fixture(name="run")
def _run(sentry: Sentry) -> Run:
    """Return what runs a program that reports to Sentry, to its end."""

    def run(program: str, **changes: str) -> Program:
        environ = full_environment(SENTRY_DSN=sentry.dsn, RABBITMQ_PASSWORD="hush-rabbit")
        return subprocess.run(
            [sys.executable, "-c", BEGIN + textwrap.dedent(program)],
            cwd=PROJECT,
            env=environ | changes,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    return run


def message_of(event: Event) -> str:
    """Return the template of an event's message."""
    message: str = event["logentry"]["message"]
    return message


def test_an_outage_of_a_thousand_errors_is_one_event(sentry: Sentry, run: Run) -> None:
    """With any arguments; another kind of error is another event."""
    ended = run("""
        for number in range(1000):
            logger.error("%s: to be %s: %s", f"redhat:{number}", "dead-lettered", "gone")
        logger.error("datawarehouse: %s; check the token", "GET / answered 401")
        logging.shutdown()
    """)
    assert ended.returncode == 0, ended.stderr
    first, second = sentry.events()
    assert message_of(first) == "%s: to be %s: %s"
    assert first["logentry"]["params"] == ["redhat:0", "dead-lettered", "gone"]
    assert message_of(second) == "datawarehouse: %s; check the token"
    assert (first["level"], first["logger"]) == ("error", "cki_notifier.daemon")
    assert len(ended.stderr.splitlines()) == 1001, "the log has all of them"


def test_an_event_says_which_release_and_where(sentry: Sentry, run: Run) -> None:
    """It says nothing of the machine's user, its arguments or its libraries."""
    run('logger.error("gone"); logging.shutdown()')
    (event,) = sentry.events()
    assert (event["release"], event["environment"]) == (__version__, "production")
    assert not {"user", "request", "modules"} & event.keys()
    assert not event["breadcrumbs"]["values"]
    assert set(event["extra"]) == {"held_back"}


def test_a_bug_arrives_with_its_traceback_and_without_its_variables(
    sentry: Sentry, run: Run
) -> None:
    """Functions, files and lines are there; bodies and secrets, which were near, are not."""
    ended = run("""
        def inner(token, body):
            raise LookupError("nobody expected this of " + token.reveal())

        def handle(body):
            password = config.rabbitmq.password.reveal()
            settings = {name: str(value) for name, value in os.environ.items()}
            inner(config.datawarehouse.token, body)

        try:
            handle(b'{"id": "the-body-of-the-notification"}')
        except LookupError:
            logger.exception("%s: a bug", "redhat:1")
        logging.shutdown()
    """)
    assert ended.returncode == 0, ended.stderr
    (event,) = sentry.events()
    (exception,) = event["exception"]["values"]
    assert (exception["type"], exception["value"]) == (
        "LookupError",
        "nobody expected this of ***",
    )
    frames = exception["stacktrace"]["frames"]
    assert [frame["function"] for frame in frames] == ["<module>", "handle", "inner"]
    assert not [frame for frame in frames if "vars" in frame]
    (envelope,) = sentry.envelopes()
    assert "the-body-of-the-notification" not in envelope
    secrets = {*SECRETS.values(), "hush-rabbit"} - {SECRETS["SENTRY_DSN"]}
    assert not [secret for secret in secrets if secret in envelope]


def test_a_secret_in_an_error_is_taken_out(sentry: Sentry, run: Run) -> None:
    """In a message, its arguments or a field."""
    run("""
        for secret in (config.jira.token, *config.gitlab_tokens.values(), config.rabbitmq.password):
            text = secret.reveal()
            logger.error(f"at {text}: %s", {text: [text]}, extra={"reason": f"with {text}"})
        logger.error("%s", config.sentry_dsn.reveal())
        logging.shutdown()
    """)
    assert len(sentry.events()) == 4
    text = "".join(sentry.envelopes())
    for name in ("JIRA_TOKEN_AUTH", "COM_GITLAB_TOKEN"):
        assert SECRETS[name] not in text
    assert "hush-rabbit" not in text
    assert sentry.dsn not in text
    assert "at ***: %s" in text


def test_two_bugs_in_one_place_are_two_events(sentry: Sentry, run: Run) -> None:
    """The message is the same, but what was raised, or where, is not."""
    run("""
        def first(): raise LookupError("1")
        def second(): raise LookupError("1")
        def third(): raise ValueError("1")
        for _ in range(100):
            for function in (first, second, third):
                try:
                    function()
                except Exception:
                    logger.exception("%s: a bug", "redhat:1")
        logging.shutdown()
    """)
    functions = [
        event["exception"]["values"][0]["stacktrace"]["frames"][-1]["function"]
        for event in sentry.events()
    ]
    assert sorted(functions) == ["first", "second", "third"]


def test_what_nobody_caught_is_reported_once(sentry: Sentry, run: Run) -> None:
    """The failure of a thread and of the process is reported once each."""
    ended = run("""
        def fail(): raise LookupError("in a thread")
        for _ in range(20):
            thread = threading.Thread(target=fail)
            thread.start()
            thread.join()
        raise RuntimeError("in the end")
    """)
    assert ended.returncode == 1
    exceptions = [event["exception"]["values"][0] for event in sentry.events()]
    assert [it["type"] for it in exceptions] == ["LookupError", "RuntimeError"]
    assert [it["mechanism"]["type"] for it in exceptions] == ["threading", "excepthook"]
    assert "Sentry" not in ended.stderr


def test_the_end_of_a_vital_thread_is_reported_before_the_process_ends(
    sentry: Sentry, run: Run
) -> None:
    """The process does not wait for the interpreter's end, but for the event."""
    ended = run("""
        from cki_notifier.workers.threads import start_vital
        def fail(): raise LookupError("nobody expected this")
        start_vital("consumer", fail)
        time.sleep(60)
    """)
    assert ended.returncode == 70
    (event,) = sentry.events()
    assert event["level"] in {"critical", "fatal"}
    assert event["exception"]["values"][0]["type"] == "LookupError"


def test_only_our_errors_are_reported(sentry: Sentry, run: Run) -> None:
    """Neither warnings nor what libraries complain about."""
    run("""
        logger.warning("not so bad")
        for name in ("pika.adapters", "jira", "librdkafka", "urllib3", "root"):
            logging.getLogger(name).critical("chatter")
        logging.shutdown()
    """)
    assert sentry.events() == []


@pytest.mark.parametrize("state", ["down", "hanging", "refusing"])
def test_a_sentry_that_is_away_costs_nothing(sentry: Sentry, run: Run, state: str) -> None:
    """No thread waits to report, and the process's end waits for two seconds at most."""
    if state == "down":
        sentry.down()
    sentry.answer("", Hang(PATIENCE) if state == "hanging" else Status(429))
    began = time.monotonic()
    ended = run("""
        began = time.monotonic()
        for number in range(200):
            logger.error(f"error {number} of %s", "redhat:1")
        logged = time.monotonic()
        logging.shutdown()
        print(logged - began, time.monotonic() - logged)
    """)
    assert ended.returncode == 0, ended.stderr
    logging_took, end_took = map(float, ended.stdout.split())
    assert logging_took < PATIENCE / 4
    assert end_took < PATIENCE / 4
    assert time.monotonic() - began < PATIENCE / 2


def test_without_a_dsn_the_library_is_not_even_imported() -> None:
    """Without Sentry, it costs nothing."""
    program = "import sys; import cki_notifier.cli; print('sentry_sdk' in sys.modules)"
    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert ended.stdout == "False\n"


GOOD = [
    "https://key@sentry.example/42",
    "http://key@127.0.0.1:9000/1",
    "https://key:secret@sentry.example:8443/with/path/7",
]
BAD = [
    "hush",
    "https://sentry.example/42",
    "https://key@sentry.example",
    "https://key@sentry.example/project",
    "https://key@sentry.example/",
    "ftp://key@sentry.example/42",
    "https://key@/42",
    "https://key@sentry.example:hush/42",
    "https://key@[sentry/42",
]


@pytest.mark.parametrize("dsn", GOOD)
def test_a_dsn_is_one_for_us_when_it_is_one_for_sentry(dsn: str) -> None:
    """The library accepts each DSN that we accept."""
    checks.sentry_dsn(dsn)
    assert Dsn(dsn).project_id


@pytest.mark.parametrize("dsn", BAD)
def test_a_bad_dsn_is_a_fault_of_the_configuration(dsn: str) -> None:
    """The process reports it at its start without showing it. The library rejects it too."""
    name, text = only_fault(full_environment(SENTRY_DSN=dsn))
    assert name == "SENTRY_DSN"
    assert text == "is not a Sentry DSN like https://KEY@sentry.example.com/42"
    with pytest.raises((BadDsn, ValueError)):
        Dsn(dsn)


def test_all_secrets_of_a_configuration_are_known() -> None:
    """The list of secrets is complete."""
    config = read(full_environment())
    known = {secret.reveal() for secret in secrets_of(config)}
    assert config.jira is not None
    assert config.jira.basic is not None
    assert known == {*SECRETS.values(), config.jira.basic.reveal()}
