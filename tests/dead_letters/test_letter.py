"""Dead letters: their ids, their selection and their copies."""

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest
from pika.spec import BasicProperties

from cki_notifier.dead_letters.letter import (
    Letter,
    Selection,
    fresh_properties,
    names_of,
    read_letter,
)
from cki_notifier.dead_letters.walk import Choice
from cki_notifier.rabbitmq.retries import may_be_repeat

BODY = b'{"id": "redhat:1", "status": "unknown", "object_type": "checkout"}'
DIED = datetime(2026, 11, 20, 10, 15, tzinfo=UTC)
OURS: dict[str, Any] = {
    "x-cki-reason": "malformed",
    "x-cki-error": "the body is no notification",
    "x-cki-attempts": 3,
    "x-cki-first-seen": "2026-11-20T10:15:00.123456+00:00",
    "x-cki-exchange": "exchange",
    "x-cki-routing-key": "key",
}


def letter(body: bytes = BODY, /, **headers: Any) -> Letter:
    """Read a letter with the daemon's headers, changed; None takes one out."""
    changed = {name.replace("_", "-"): value for name, value in headers.items()}
    kept = {name: value for name, value in (OURS | changed).items() if value is not None}
    return read_letter(7, BasicProperties(headers=kept), body)


def test_a_letter_tells_what_the_daemon_wrote() -> None:
    """Reason, error, tries, time and origin are in the headers, the checkout in the body."""
    read = letter()
    assert (read.tag, read.body) == (7, BODY)
    assert (read.checkout_id, read.status) == ("redhat:1", "unknown")
    assert (read.reason, read.error) == ("malformed", "the body is no notification")
    assert (read.attempts, read.exchange, read.routing_key) == (3, "exchange", "key")
    assert read.first_seen == datetime(2026, 11, 20, 10, 15, 0, 123456, tzinfo=UTC)


@pytest.mark.parametrize(
    "headers",
    [
        None,
        {},
        dict.fromkeys(OURS),
        dict.fromkeys(OURS, 5.5),
        dict.fromkeys(OURS, b"\xff"),
        {"x-death": []},
        {"x-death": "x"},
        {"x-death": ["x"]},
        {"x-death": [{"reason": 5, "time": "yesterday", "exchange": None}]},
        {"x-delivery-count": "x"},
    ],
)
@pytest.mark.parametrize("body", [b"", b"\xff", b"[]", b"[" * 10_000])
def test_a_letter_may_hold_anything(headers: dict[str, Any] | None, body: bytes) -> None:
    """A letter with unreadable parts lacks them, but has an id."""
    read = read_letter(1, BasicProperties(headers=headers), body)
    assert (read.checkout_id, read.reason, read.error) == (None, "unknown", "")
    assert (read.attempts, read.first_seen, read.looks) == (0, None, 0)
    assert read.id == read_letter(2, BasicProperties(headers=headers), body).id


def test_what_the_broker_dead_lettered_has_its_reason_and_time() -> None:
    """The last death counts; tries before it are the daemon's to tell."""
    deaths = [
        {"reason": "delivery_limit", "time": DIED, "exchange": "hooks"},
        {"reason": "expired", "time": DIED.replace(hour=1), "exchange": ""},
    ]
    read = letter(x_death=deaths, x_cki_reason=None, x_cki_first_seen=None, x_cki_exchange=None)
    assert (read.reason, read.first_seen, read.exchange) == ("delivery_limit", DIED, "hooks")
    assert read.attempts == 3


def test_a_long_text_is_cut() -> None:
    """A header may be as long as its writer likes, a list in memory may not."""
    read = letter(x_cki_error="e" * 100_000, x_cki_reason="r" * 100_000)
    assert (len(read.error), len(read.reason)) == (1000, 1000)


def test_an_id_is_that_of_body_and_time() -> None:
    """The id depends neither on deliveries nor on the queue."""
    first = letter()
    assert len(first.id) == 12
    assert letter(x_delivery_count=5, other="x").id == first.id
    others = [
        letter(b"other").id,
        letter(x_cki_first_seen="2026-11-20T10:15:00.123457+00:00").id,
        letter(x_cki_first_seen=None).id,
        letter(x_cki_first_seen=None, x_death=[{"time": DIED}]).id,
    ]
    assert len({first.id, *others}) == 5


@pytest.mark.parametrize(
    ("selection", "is_meant"),
    [
        (Selection(), True),
        (Selection(reason="malformed"), True),
        (Selection(reason="not-found"), False),
        (Selection(frozenset({"redhat:1"})), True),
        (Selection(frozenset({"redhat:2", letter().id})), True),
        (Selection(frozenset({"redhat:2"})), False),
        (Selection(frozenset({"redhat"})), False),
        (Selection(frozenset({letter().id[:11]})), False),
    ],
)
def test_a_selection_takes_whole_names_or_a_reason(*, selection: Selection, is_meant: bool) -> None:
    """Part of an id could be another's, so it selects nothing."""
    assert (letter() in selection) is is_meant


def test_a_letter_about_no_checkout_has_its_id_alone() -> None:
    """Nothing stands for a checkout that isn't there."""
    read = letter(b"no json")
    assert names_of(read) == {read.id}
    assert names_of(letter()) == {letter().id, "redhat:1"}


def test_what_is_put_back_begins_anew() -> None:
    """The copy lacks time, reason and error, and keeps origin, tries and the sender's headers."""
    original = BasicProperties(headers=OURS | {"sender": "x"}, message_id="m", expiration="5")
    fresh = fresh_properties(read_letter(1, original, b""))
    assert fresh.headers == {
        "x-cki-exchange": "exchange",
        "x-cki-routing-key": "key",
        "x-cki-expiration": "5",
        "x-cki-tries-before": 3,
        "sender": "x",
    }
    assert (fresh.message_id, fresh.expiration, fresh.delivery_mode) == ("m", None, 2)
    assert fresh_properties(read_letter(1, fresh, b"")).headers == fresh.headers


def test_the_tries_of_all_lives_are_added_up() -> None:
    """However often it is put back, and however it was dead-lettered again."""
    again = letter(x_cki_tries_before=7)
    assert again.attempts == 10
    back = fresh_properties(again)
    assert (back.headers or {})["x-cki-tries-before"] == 10
    assert read_letter(1, back, BODY).attempts == 10
    assert letter(x_cki_tries_before=7, x_cki_attempts=None).attempts == 7
    assert letter(x_cki_tries_before="many").attempts == 3
    most = letter(x_cki_tries_before=999_999)
    assert (fresh_properties(most).headers or {})["x-cki-tries-before"] == 1_000_000
    never = letter(x_cki_attempts=None)
    assert "x-cki-tries-before" not in (fresh_properties(never).headers or {})


def at(second: int | None, name: str = "") -> Letter:
    """Return a letter that was first seen at a second; None for an unknown time."""
    since = None if second is None else f"2026-11-20T10:15:{second:02}+00:00"
    return letter(name.encode(), x_cki_first_seen=since)


@pytest.mark.parametrize("limit", [0, 1, 3, 10, 11, 100])
def test_the_oldest_are_chosen_whatever_their_order(limit: int) -> None:
    """Those of an unknown time come last, and the id decides among those of one time."""
    ties = sorted((at(5, "x"), at(5, "y")), key=lambda it: it.id)
    nobody = sorted((at(None, "x"), at(None, "y")), key=lambda it: it.id)
    wanted = [*(at(second) for second in range(5)), *ties, *map(at, (6, 7)), *nobody]
    for letters in (wanted, wanted[::-1], wanted[5:] + wanted[:5]):
        choice = Choice[str](limit)
        for it in letters:
            choice.add(it, lambda it: it.id)
        assert choice.kept() == [it.id for it in wanted][: limit or None]
        assert choice.ids() == Counter(choice.kept())


def test_little_is_kept_of_many() -> None:
    """Letters beyond the limit are not even read."""
    kept: list[Letter] = []
    choice = Choice[None](3)
    for second in range(60):
        choice.add(at(second), kept.append)
    assert len(kept) == 6


def test_a_time_without_a_zone_is_the_brokers() -> None:
    """Old releases of pika leave it without one."""
    naive = letter(x_death=[{"time": DIED.replace(tzinfo=None)}], x_cki_first_seen=None)
    assert naive.first_seen == DIED
    assert naive.order < at(59).order


@pytest.mark.parametrize(
    "headers",
    [None, {}, {"x-death": [{"reason": "delivery_limit", "exchange": "hooks"}]}, OURS],
)
def test_what_is_put_back_is_known_to_have_been_here(headers: dict[str, Any] | None) -> None:
    """The headers show it, so the daemon looks up its message before sending."""
    fresh = fresh_properties(read_letter(1, BasicProperties(headers=headers), b""))
    assert may_be_repeat(fresh.headers, redelivered=False)
