"""The words from the commands to the daemons: who says them, and what is none."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from cki_notifier.notification.command_words import (
    OBJECT_TYPE,
    ManualRun,
    run_told_by,
    taken_by,
    word_of,
    word_of_run,
)
from cki_notifier.notification.parse import parse
from cki_notifier.pipeline import Pipeline

WORD = {"object_type": "cki-notifier", "status": "dead-letters-taken", "id": "x", "count": 3}
RUN = ManualRun(
    who="jo@host",
    when=datetime(2026, 11, 20, 10, 15, tzinfo=UTC),
    checkout_id="redhat:1",
    status="unknown",
    outcome="sent",
    reason="post-test",
    event_id="7f0c",
)


@pytest.mark.parametrize("count", [1, 3, 1_000_000])
def test_a_word_is_understood(count: int) -> None:
    """The daemon reads the command's report."""
    assert taken_by(word_of(count)) == count


def test_no_word_says_more_than_a_million() -> None:
    """No queue of ours is that long."""
    assert taken_by(word_of(2_000_000)) == 1_000_000


@pytest.mark.parametrize("word", [word_of(3), word_of_run(RUN)])
def test_a_word_is_ignored_as_a_notification(word: bytes) -> None:
    """By the first rule, which every release has."""
    assert parse(word).object_type == OBJECT_TYPE
    _, ignored = Pipeline.begin(word)
    assert ignored is not None
    assert ignored.reason == "object-type"


@pytest.mark.parametrize(
    "changes",
    [
        {"count": 0},
        {"count": -1},
        {"count": 1_000_001},
        {"count": 10**400},
        {"count": 1.5},
        {"count": "3"},
        {"count": True},
        {"count": None},
        {"object_type": "checkout"},
        {"status": "new"},
    ],
)
def test_what_anybody_else_may_say_counts_nothing(changes: dict[str, Any]) -> None:
    """A count beyond its bounds, or another body."""
    assert taken_by(json.dumps(WORD).encode()) == 3
    assert taken_by(json.dumps(WORD | changes).encode()) == 0


@pytest.mark.parametrize("body", [b"", b"{", b"3", b"\xff", b"[" * 100_000, b'{"run": {}}'])
def test_what_is_no_word_tells_nothing(body: bytes) -> None:
    """Nothing is raised."""
    assert taken_by(body) == 0
    assert run_told_by(body) is None


def test_a_run_is_understood() -> None:
    """The daemon reads the command's report, and not as one about dead letters."""
    assert run_told_by(word_of_run(RUN)) == RUN
    assert taken_by(word_of_run(RUN)) == 0
    assert run_told_by(word_of(3)) is None


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
