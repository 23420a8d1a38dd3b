"""Logging: a line for each record, ours at the configured level, others from ERROR on."""

import json
import logging
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cki_notifier.configuration.secret import Secret
from cki_notifier.notification.models import Position
from cki_notifier.notification.parse import Identity
from cki_notifier.telemetry import log
from cki_notifier.telemetry.outcomes import Result

OURS = "cki_notifier.daemon"
THIRD_PARTIES = ["urllib3", "jira", "pika.adapters"]
#: Characters that end a line for some reader, move a terminal's cursor, change the direction of a
#: text, or are invisible.
SEPARATORS = ["\n", "\r", "\r\n", "\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"]
CONTROLS = ["\t", "\0", "\b", "\x1b[2J", "\x7f", "\x9b2J", "\u202e", "\u2066", "\u200b", "\ufeff"]
FORGED = "2026-11-20T10:15:00.000 ERROR   cki_notifier.daemon: forged"


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """Give logging back as it was."""
    loggers = [logging.getLogger(name) for name in (None, log.ROOT, "pika")]
    levels, handlers = [logger.level for logger in loggers], loggers[0].handlers[:]
    yield
    loggers[0].handlers[:] = handlers
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


def logged(capsys: pytest.CaptureFixture[str], text: str, *values: Any, **more: Any) -> list[str]:
    """Log an error and return the lines that came out."""
    logging.getLogger(OURS).error(text, *values, **more)
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err.splitlines()


def fail(text: str) -> None:
    """Raise what a bug would raise."""
    raise RuntimeError(text)


def test_a_text_line_tells_time_level_logger_and_message(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The text form is for a person, its time in UTC with milliseconds."""
    log.set_up("INFO", "text")
    (line,) = logged(capsys, "%s: to be delayed", "redhat:1")
    when = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}"
    assert re.fullmatch(rf"{when} ERROR   cki_notifier\.daemon: redhat:1: to be delayed", line)


def test_a_json_line_is_an_object(capsys: pytest.CaptureFixture[str]) -> None:
    """The JSON form has the same, field by field, and says that its time is UTC."""
    log.set_up("INFO", "json")
    (line,) = logged(capsys, "%s: to be delayed", "redhat:1")
    record = json.loads(line)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", record.pop("time"))
    assert record == {"level": "ERROR", "logger": OURS, "message": "redhat:1: to be delayed"}


def test_a_notifications_fields_are_fields_in_json(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The fields of a notification can be searched without parsing the message."""
    log.set_up("INFO", "json")
    identity = Identity("redhat:1", "ready_to_report", "e-1", 3)
    until = datetime(2026, 11, 20, 3, tzinfo=UTC)
    with log.about(identity):
        log.settled(
            identity, Result(outcome="sent", reason="post-test", position=Position(2, 12)), 0.25
        )
        log.settled(identity, Result(outcome="delayed", reason="unavailable", next_try=until), 0.25)
        log.settled(
            identity, Result(outcome="dead-lettered", reason="malformed", letter="0a1b"), 0.25
        )
        logging.getLogger(OURS).warning("to be delayed", extra={"other": "not ours"})
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    begin = {"checkout": "redhat:1", "status": "ready_to_report", "event": "e-1", "attempt": 3}
    fields = [{name: it for name, it in line.items() if name in log.FIELDS} for line in lines]
    sent = {"outcome": "sent", "reason": "post-test", "duration": 0.25}
    delayed = {"outcome": "delayed", "reason": "unavailable", "duration": 0.25}
    dead = {"outcome": "dead-lettered", "reason": "malformed", "duration": 0.25}
    assert fields == [
        begin | sent | {"partition": 2, "offset": 12},
        begin | delayed | {"next_try": "2026-11-20T03:00:00+00:00"},
        begin | dead | {"letter": "0a1b"},
        begin,
    ]
    assert lines[0]["message"] == (
        "checkout=redhat:1 status=ready_to_report outcome=sent reason=post-test duration=0.250 "
        "event=e-1 attempt=3 partition=2 offset=12"
    )


@pytest.mark.parametrize(
    ("identity", "line"),
    [
        (Identity("redhat:1", "unknown", "e-1"), "redhat:1: to be delayed"),
        (Identity(event_id="e-1"), "a notification without an id: to be delayed"),
    ],
)
def test_a_line_for_a_person_names_the_checkout(
    capsys: pytest.CaptureFixture[str], identity: Identity, line: str
) -> None:
    """A message need not name the checkout; one that does stays unchanged."""
    log.set_up("INFO", "text")
    with log.about(identity):
        logging.getLogger(OURS).warning("to be delayed")
        logging.getLogger(OURS).warning("%s", line)
    logging.getLogger(OURS).warning("to be stopped")
    told = [it.partition(f"{OURS}: ")[2] for it in capsys.readouterr().err.splitlines()]
    assert told == [line, line, "to be stopped"]


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("character", [*SEPARATORS, *CONTROLS])
def test_a_record_is_one_line(
    capsys: pytest.CaptureFixture[str], form: str, character: str
) -> None:
    """A checkout id can't forge a line or command the terminal, but it can still be read."""
    log.set_up("INFO", form)
    (line,) = logged(capsys, "%s: to be delayed", f"redhat:1{character}{FORGED}")
    assert line.isprintable()
    assert FORGED in line
    if form == "json":
        assert json.loads(line)["message"] == f"redhat:1{character}{FORGED}: to be delayed"


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_line_is_no_longer_than_so_much(capsys: pytest.CaptureFixture[str], form: str) -> None:
    """Of an id of a megabyte, the log has the start, the end and the number of characters cut."""
    log.set_up("INFO", form)
    huge = "redhat:1" + "x" * 1_000_000
    (line,) = logged(capsys, "%s: gone", huge, extra={"checkout": huge, "duration": 0.25})
    assert len(line) < 25_000
    assert "redhat:1xxx" in line
    assert "xxx: gone" in line
    assert " 990014 characters " in line.encode("ascii", "ignore").decode()
    assert form == "text" or json.loads(line)["duration"] == 0.25


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_traceback_is_no_longer_than_so_much(
    capsys: pytest.CaptureFixture[str], form: str
) -> None:
    """The end has the exception's own text, and stays."""
    log.set_up("INFO", form)
    try:
        fail("x" * 1_000_000 + "the end")
    except RuntimeError:
        lines = logged(capsys, "redhat:1: a bug", exc_info=True)
    assert sum(map(len, lines)) < 25_000
    assert "the end" in lines[-1]


def test_a_lone_surrogate_can_be_logged(capsys: pytest.CaptureFixture[str]) -> None:
    """A text that UTF-8 can't hold still gives a JSON line."""
    log.set_up("INFO", "json")
    (line,) = logged(capsys, "%s: gone", "redhat:\udcff")
    assert json.loads(line)["message"] == "redhat:\udcff: gone"


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_secret_is_not_logged(capsys: pytest.CaptureFixture[str], form: str) -> None:
    """Neither as an argument nor as a field."""
    log.set_up("INFO", form)
    (line,) = logged(capsys, "token %s", Secret("hush"), extra={"reason": Secret("hush")})
    assert "hush" not in line
    assert "***" in line


@pytest.mark.parametrize("character", [*SEPARATORS, *CONTROLS])
def test_a_traceback_is_below_its_line_and_forges_none(
    capsys: pytest.CaptureFixture[str], character: str
) -> None:
    """In text a bug's traceback is indented, so that nothing in it looks like a record."""
    log.set_up("INFO", "text")
    try:
        fail(f"a bug{character}{FORGED}")
    except RuntimeError:
        first, *below = logged(capsys, "redhat:1: a bug", exc_info=True)
    assert first.endswith(" ERROR   cki_notifier.daemon: redhat:1: a bug")
    assert below[0] == "  Traceback (most recent call last):"
    assert all(line.startswith("  ") and line.isprintable() for line in below)
    assert any("RuntimeError: a bug" in line for line in below)


def test_a_traceback_is_a_field_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    """The JSON form keeps it in the record's own line."""
    log.set_up("INFO", "json")
    try:
        fail("a bug")
    except RuntimeError:
        (line,) = logged(capsys, "redhat:1: a bug", exc_info=True)
    traceback = json.loads(line)["traceback"]
    assert traceback.startswith("Traceback (most recent call last):\n")
    assert traceback.endswith("RuntimeError: a bug\n")


@pytest.mark.parametrize(
    ("level", "heard"),
    [
        ("DEBUG", "DEBUG INFO WARNING ERROR CRITICAL"),
        ("INFO", "INFO WARNING ERROR CRITICAL"),
        ("WARNING", "WARNING ERROR CRITICAL"),
        ("ERROR", "ERROR CRITICAL"),
        ("CRITICAL", "CRITICAL"),
    ],
)
def test_our_loggers_have_the_level_asked_for(
    capsys: pytest.CaptureFixture[str], level: str, heard: str
) -> None:
    """Records below the level are not logged."""
    log.set_up(level, "json")
    for number in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL):
        logging.getLogger(OURS).log(number, "something")
    lines = capsys.readouterr().err.splitlines()
    assert [json.loads(line)["level"] for line in lines] == heard.split()


@pytest.mark.parametrize("name", THIRD_PARTIES)
def test_third_parties_are_quiet(capsys: pytest.CaptureFixture[str], name: str) -> None:
    """Even while we debug, libraries are heard only when something is really wrong."""
    log.set_up("DEBUG", "text")
    for number in (logging.DEBUG, logging.INFO, logging.WARNING):
        logging.getLogger(name).log(number, "chatter")
    assert capsys.readouterr().err == ""
    logging.getLogger(name).critical("broken")
    assert "broken" in capsys.readouterr().err


def test_pikas_errors_are_left_to_us(capsys: pytest.CaptureFixture[str]) -> None:
    """It reports each lost connection as an error, with a traceback; we say it in a line."""
    log.set_up("DEBUG", "text")
    logging.getLogger("pika.adapters.blocking_connection").error("Connection workflow failed")
    assert capsys.readouterr().err == ""


def test_what_is_fatal_to_librdkafka_is_left_to_us(capsys: pytest.CaptureFixture[str]) -> None:
    """It says so for each producer that is refused, as critical; we make a new one and say it."""
    log.set_up("DEBUG", "text")
    logging.getLogger("librdkafka").critical("FATAL: no rights")
    assert capsys.readouterr().err == ""


class Untellable:
    """An object that can't be converted to text."""

    def __str__(self) -> str:
        """Fail."""
        raise LookupError


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("values", [(Untellable(), 2), (1, "two"), (1,), (1, 2, 3)])
def test_what_can_not_be_told_in_full_is_told_in_part(
    capsys: pytest.CaptureFixture[str], form: str, values: tuple[object, ...]
) -> None:
    """A bug in a log call does not reach the caller, and still gives a line."""
    log.set_up("DEBUG", form)
    (line,) = logged(capsys, "%s is %d", *values, extra={"reason": Untellable()})
    assert "%s is %d" in line
    assert "ERROR" in line


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_standard_error_that_takes_nothing_raises_nothing(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """Neither to who logs, nor as a traceback of the library's."""
    log.set_up("DEBUG", form)
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stderr", full)
        for _ in range(2):
            logging.getLogger(OURS).error("lost")
    logging.getLogger(OURS).error("the stream is closed")
    assert capfd.readouterr() == ("", "")


def test_setting_up_twice_does_not_double_the_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """The last set-up counts."""
    log.set_up("DEBUG", "text")
    log.set_up("ERROR", "json")
    (line,) = logged(capsys, "once")
    assert json.loads(line)["message"] == "once"
