"""The word about a run by hand: who says it, and what is none."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from cki_notifier.notification.by_hand import ManualRun, run_told_by, word_of_run
from cki_notifier.notification.taken import taken_by, word_of
from cki_notifier.pipeline import Pipeline

RUN = ManualRun(
    who="jo@host",
    when=datetime(2026, 11, 20, 10, 15, tzinfo=UTC),
    checkout_id="redhat:1",
    status="unknown",
    outcome="sent",
    reason="post-test",
    event_id="7f0c",
)


def test_a_run_is_understood() -> None:
    """What the command says is what the daemon hears; it is no word about dead letters."""
    assert run_told_by(word_of_run(RUN)) == RUN
    assert taken_by(word_of_run(RUN)) == 0
    assert run_told_by(word_of(3)) is None


def test_a_word_is_ignored_as_a_notification() -> None:
    """By the first rule, which every release has."""
    _, ignored = Pipeline.begin(word_of_run(RUN))
    assert ignored is not None
    assert ignored.reason == "object-type"


@pytest.mark.parametrize(
    "changes",
    [
        {"who": "x" * 501},
        {"who": "jo\x1b[2J"},
        {"who": "jo\u202e"},
        {"who": None},
        {"checkout_id": "redhat:\n1"},
        {"checkout_id": 5},
        {"status": "x\x00"},
        {"outcome": "stolen"},
        {"outcome": "x" * 100_000},
        {"reason": ["x"]},
        {"event_id": "x" * 501},
        {"when": "yesterday"},
        {"when": "2026-11-20T10:15:00"},
        {"when": 10**30},
    ],
)
def test_what_anybody_else_may_say_is_no_run(changes: dict[str, Any]) -> None:
    """Nothing that is too long, can't be shown, or is no outcome."""
    word = json.loads(word_of_run(RUN))
    assert run_told_by(json.dumps(word).encode()) == RUN
    word["run"] |= changes
    assert run_told_by(json.dumps(word).encode()) is None


@pytest.mark.parametrize("body", [b"", b"{", b"3", b"\xff", b"[" * 100_000, b'{"run": {}}'])
def test_what_is_no_word_is_no_run(body: bytes) -> None:
    """Nothing is raised."""
    assert run_told_by(body) is None
