"""Checks side by side under one deadline: none hangs, and what was found is not lost."""

import threading
import time
from collections.abc import Iterator

import pytest

from cki_notifier.doctor.check import Check, Finding, NoAnswer, State, examine, ok, warning
from cki_notifier.workers.deadline import Deadline

#: A deadline that only a failing test reaches, in seconds.
PATIENCE = 60.0


def found(name: str) -> Check:
    """Return a check that finds one thing at once."""
    return Check(name, lambda _: [ok(name, "fine")])


def test_findings_come_in_the_order_of_the_checks() -> None:
    """However long each takes, and however many findings it has."""
    second_is_done = threading.Event()

    def slow(_deadline: Deadline) -> Iterator[Finding]:
        second_is_done.wait(PATIENCE)
        yield ok("slow", "one")
        yield warning("slow", "two", "look")

    def quick(_deadline: Deadline) -> Iterator[Finding]:
        second_is_done.set()
        yield ok("quick", "one")

    findings = examine([Check("slow", slow), Check("quick", quick)], PATIENCE)
    assert [(it.name, it.text) for it in findings] == [
        ("slow", "one"),
        ("slow", "two"),
        ("quick", "one"),
    ]


def test_a_check_that_hangs_has_failed_and_keeps_what_it_found() -> None:
    """The others are not kept waiting, and the report says who hangs, and for how long."""
    over = threading.Event()

    def hangs(_deadline: Deadline) -> Iterator[Finding]:
        yield ok("first", "fine")
        over.wait(PATIENCE)
        yield ok("second", "fine")

    started = time.monotonic()
    findings = examine([Check("hangs", hangs), found("other")], 0.2)
    over.set()
    assert time.monotonic() - started < PATIENCE / 2
    assert [(it.name, it.state) for it in findings] == [
        ("first", State.OK),
        ("hangs", State.FAILED),
        ("other", State.OK),
    ]
    assert findings[1].text == "no answer within 0.2 s"


def test_a_check_that_minds_the_deadline_says_so_itself() -> None:
    """It gets a little longer than the deadline it is given."""

    def minds(deadline: Deadline) -> Iterator[Finding]:
        time.sleep(deadline.remaining())
        yield warning("minds", "it took too long", "wait")

    findings = examine([Check("minds", minds)], 0.2, grace_seconds=PATIENCE)
    assert [it.text for it in findings] == ["it took too long"]


def test_a_bug_of_a_check_costs_its_own_row_alone(caplog: pytest.LogCaptureFixture) -> None:
    """Its earlier findings count, the other checks go on, and the log has the traceback."""

    def breaks(_deadline: Deadline) -> Iterator[Finding]:
        yield ok("first", "fine")
        raise LookupError("nobody expected this")

    findings = examine([Check("breaks", breaks), found("other")], PATIENCE)
    assert [(it.name, it.state) for it in findings] == [
        ("first", State.OK),
        ("breaks", State.FAILED),
        ("other", State.OK),
    ]
    assert "bug" in findings[1].text
    assert "nobody expected this" in caplog.text


def test_a_check_ends_where_nobody_answers() -> None:
    """The row has the check's name; what it found before counts."""

    def ends(_deadline: Deadline) -> Iterator[Finding]:
        yield ok("first", "fine")
        raise NoAnswer("it can't be reached", "look", State.WARNING)

    findings = examine([Check("ends", ends), found("other")], PATIENCE)
    assert findings[1] == warning("ends", "it can't be reached", "look")
    assert [it.name for it in findings] == ["first", "ends", "other"]
