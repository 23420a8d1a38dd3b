"""The word about dead letters that were taken out: who says it, and what is none."""

import json
from typing import Any

import pytest

from cki_notifier.notification.parse import parse
from cki_notifier.notification.taken import OBJECT_TYPE, taken_by, word_of
from cki_notifier.pipeline import Pipeline

WORD = {"object_type": "cki-notifier", "status": "dead-letters-taken", "id": "x", "count": 3}


@pytest.mark.parametrize("count", [1, 3, 1_000_000])
def test_a_word_is_understood(count: int) -> None:
    """What the command says is what the daemon hears."""
    assert taken_by(word_of(count)) == count


def test_no_word_says_more_than_a_million() -> None:
    """No queue of ours is that long."""
    assert taken_by(word_of(2_000_000)) == 1_000_000


def test_a_word_is_ignored_as_a_notification() -> None:
    """By the first rule, which every release has."""
    assert parse(word_of(3)).object_type == OBJECT_TYPE
    _, ignored = Pipeline.begin(word_of(3))
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


@pytest.mark.parametrize("body", [b"", b"{", b"3", b"\xff", b"[" * 100_000])
def test_what_is_no_word_counts_nothing(body: bytes) -> None:
    """Nothing is raised."""
    assert taken_by(body) == 0
