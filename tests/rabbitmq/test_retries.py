"""The destination of a failed notification."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pika.compat import long
from pika.spec import BasicProperties

from cki_notifier.notification.errors import (
    DeliveryUnknown,
    InvalidDocument,
    Malformed,
    NotFound,
    TooLarge,
    Unavailable,
)
from cki_notifier.rabbitmq.republish import copied_properties
from cki_notifier.rabbitmq.retries import (
    Destination,
    History,
    destination_of,
    detours,
    history_of,
    may_be_repeat,
    unburied,
)

QUEUE = "cki.queue.webhooks.cki_notifier"
DELAY_QUEUES = [f"{QUEUE}.retry.{delay}" for delay in ("5s", "30s", "2m", "10m", "1h")]
DEAD_LETTERS = f"{QUEUE}.dead-letter"
NOW = datetime(2026, 11, 20, 10, 15, tzinfo=UTC)
RETRY_FOR = timedelta(hours=72)

UNAVAILABLE = Unavailable("datawarehouse", "503 Service Unavailable")
NOT_FOUND = NotFound("datawarehouse: no checkout redhat:1")


def history(attempts: int = 0, first_seen: datetime = NOW) -> History:
    """Return the history of a notification that came by the webhooks exchange."""
    return History(attempts, first_seen, "cki.exchange.webhooks", "datawarehouse.checkout.new")


def parked(error: Exception, before: History | None = None, now: datetime = NOW) -> Destination:
    """Decide where a failed notification goes, by default at its first failure."""
    return destination_of(error, before or history(), queue=QUEUE, retry_for=RETRY_FOR, now=now)


def read(headers: dict[str, Any] | None) -> History:
    """Read a history out of the headers of a delivery."""
    return history_of(headers, exchange="this exchange", routing_key="this key", now=NOW)


@pytest.mark.parametrize(
    ("headers", "redelivered", "expected"),
    [
        (None, False, False),
        ({}, False, False),
        ({"x-request-id": "1", "cki": "x-cki-"}, False, False),
        (None, True, True),
        ({"x-cki-attempts": 1}, False, True),
        ({"x-cki-exchange": "webhooks"}, False, True),
        ({"x-death": []}, False, True),
        ({"x-first-death-queue": "any"}, False, True),
        ({"x-delivery-count": 1}, False, True),
        ({"x-acquired-count": 1}, False, True),
    ],
)
def test_what_was_handed_out_before_may_be_a_repeat(
    headers: dict[str, Any] | None, *, redelivered: bool, expected: bool
) -> None:
    """The broker says so, or a header that nobody but us and the broker puts in."""
    assert may_be_repeat(headers, redelivered=redelivered) is expected


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Malformed("no JSON"), "malformed"),
        (InvalidDocument("no id"), "invalid-document"),
        (TooLarge("2 MB"), "too-large"),
    ],
)
@pytest.mark.parametrize("attempts", [0, 7])
def test_what_can_never_be_sent_is_dead_lettered(
    error: Exception, reason: str, attempts: int
) -> None:
    """At the first failure or a later one, it goes to the dead letters, with its reason."""
    result = parked(error, history(attempts))
    assert (result.queue, result.reason, result.is_final) == (DEAD_LETTERS, reason, True)
    assert result.outcome == "dead-lettered"
    assert result.headers["x-cki-reason"] == reason


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (UNAVAILABLE, "unavailable"),
        (DeliveryUnknown("kafka", "timed out"), "unavailable"),
        (NOT_FOUND, "not-found"),
        (ZeroDivisionError("a bug"), "bug"),
        (KeyError("a bug"), "bug"),
    ],
)
def test_what_may_work_later_is_delayed(error: Exception, reason: str) -> None:
    """After an outage, a 404 or a bug, the notification waits in the first retry queue."""
    result = parked(error)
    assert (result.queue, result.reason, result.is_final) == (DELAY_QUEUES[0], reason, False)
    assert result.outcome == "delayed"
    assert "x-cki-reason" not in result.headers


@pytest.mark.parametrize("error", [UNAVAILABLE, RuntimeError("a bug")])
@pytest.mark.parametrize(
    ("attempts", "queue"),
    [*enumerate(DELAY_QUEUES), (5, DELAY_QUEUES[-1]), (70, DELAY_QUEUES[-1])],
)
def test_the_delays_grow_and_the_last_is_repeated(
    error: Exception, attempts: int, queue: str
) -> None:
    """5 s, 30 s, 2 min, 10 min, 1 h, and 1 h again and again."""
    assert parked(error, history(attempts)).queue == queue


@pytest.mark.parametrize(("attempts", "queue"), [*enumerate([*DELAY_QUEUES[:4], DEAD_LETTERS])])
def test_what_is_not_found_after_ten_minutes_is_dead_lettered(attempts: int, queue: str) -> None:
    """A 404 goes through the delays up to 10 min, and then it is no race any more."""
    result = parked(NOT_FOUND, history(attempts))
    assert (result.queue, result.reason) == (queue, "not-found")
    assert result.headers.get("x-cki-reason") == ("not-found" if result.is_final else None)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (UNAVAILABLE, "retries-exhausted"),
        (DeliveryUnknown("kafka", "timed out"), "retries-exhausted"),
        (RuntimeError("a bug"), "retries-exhausted"),
        (NOT_FOUND, "not-found"),
        (TooLarge("2 MB"), "too-large"),
    ],
)
@pytest.mark.parametrize("age", [RETRY_FOR, 2 * RETRY_FOR])
def test_nothing_is_tried_for_longer_than_the_retry_hours(
    error: Exception, reason: str, age: timedelta
) -> None:
    """When the time is over it becomes a dead letter, after any number of attempts."""
    result = parked(error, history(1, NOW - age))
    assert (result.queue, result.reason) == (DEAD_LETTERS, reason)
    assert result.headers["x-cki-reason"] == reason


def test_until_the_retry_hours_are_over_it_is_tried() -> None:
    """A second before the end it is still delayed."""
    before = history(80, NOW - RETRY_FOR + timedelta(seconds=1))
    assert parked(UNAVAILABLE, before).queue == DELAY_QUEUES[-1]


@pytest.mark.parametrize("error", [UNAVAILABLE, TooLarge("2 MB")])
def test_the_headers_tell_what_happened(error: Exception) -> None:
    """Attempts, first time, last error and origin are on what is delayed and on dead letters."""
    headers = parked(error, history(2, NOW - timedelta(minutes=3))).headers
    headers.pop("x-cki-reason", None)
    assert headers == {
        "x-cki-error": str(error),
        "x-cki-attempts": 3,
        "x-cki-first-seen": "2026-11-20T10:12:00+00:00",
        "x-cki-exchange": "cki.exchange.webhooks",
        "x-cki-routing-key": "datawarehouse.checkout.new",
    }


def test_what_was_delayed_keeps_its_history() -> None:
    """The delays lead through the default exchange, but origin and first time stay the first."""
    first = read(None)
    headers = parked(UNAVAILABLE, first).headers
    back = history_of(headers, exchange="", routing_key=QUEUE, now=NOW + timedelta(hours=1))
    assert back == History(1, NOW, "this exchange", "this key")


def test_the_whole_schedule_ends_after_the_retry_hours() -> None:
    """A notification that always fails is retried every hour, and a dead letter after 72 h."""
    pauses = dict(zip(DELAY_QUEUES, (5, 30, 120, 600, 3600), strict=True))
    now, headers, queues = NOW, None, []
    while True:
        before = history_of(headers, exchange="", routing_key=QUEUE, now=now)
        result = parked(UNAVAILABLE, before, now)
        queues.append(result.queue)
        if result.is_final:
            break
        headers = result.headers
        now += timedelta(seconds=pauses[result.queue])
    assert queues == [*DELAY_QUEUES[:4], *[DELAY_QUEUES[-1]] * 72, DEAD_LETTERS]
    assert (result.reason, result.headers["x-cki-attempts"]) == ("retries-exhausted", 77)


@pytest.mark.parametrize("headers", [None, {}, {"x-death": [{"count": 9}], "other": 1}])
def test_a_delivery_without_our_headers_is_new(headers: dict[str, Any] | None) -> None:
    """Headers of others don't count."""
    assert read(headers) == History(0, NOW, "this exchange", "this key")


@pytest.mark.parametrize("value", ["3", 3.0, None, True, [3], -1, 0, 2**62, 2**63 - 1, 10**30])
def test_a_count_that_is_none_is_ignored(value: Any) -> None:
    """A forged number of attempts neither stops the daemon nor overflows a header."""
    assert read({"x-cki-attempts": value}).attempts == 0


def test_a_count_of_any_width_is_understood() -> None:
    """A broker may make it AMQP's 64-bit integer, for which pika has a type of its own."""
    assert read({"x-cki-attempts": long(3)}).attempts == 3


@pytest.mark.parametrize(
    "value",
    [
        "yesterday",
        "",
        1_700_000_000,
        None,
        b"2026-11-20T10:00:00+00:00",
        datetime(2026, 11, 20, tzinfo=UTC),
        "2026-11-20T10:00:00",  # without a zone
        "0001-01-01T00:00:00+23:59",  # before the first year in UTC
        "9999-12-31T23:59:59+00:00",  # to be tried for ever
        "2026-11-20T10:15:01+00:00",
    ],
)
def test_a_first_time_that_is_none_is_ignored(value: Any) -> None:
    """No time, no zone or a time to come: then it was first seen now."""
    assert read({"x-cki-first-seen": value}).first_seen == NOW


def test_a_first_time_of_another_zone_is_understood() -> None:
    """The moment counts, not how it is written."""
    seen = read({"x-cki-first-seen": "2026-11-20T12:00:00+02:00"}).first_seen
    assert seen == datetime(2026, 11, 20, 10, tzinfo=UTC)
    assert seen.utcoffset() == timedelta(0)


@pytest.mark.parametrize("value", [None, 1, b"x", ["x"], {"x": 1}])
def test_an_origin_that_is_no_text_is_ignored(value: Any) -> None:
    """Then it came from where it comes now."""
    result = read({"x-cki-exchange": value, "x-cki-routing-key": value})
    assert (result.exchange, result.routing_key) == ("this exchange", "this key")


@pytest.mark.parametrize("text", ["x" * 100_000, "lone \ud800 surrogate", "line\nend \0", ""])
def test_any_errors_text_fits_a_header(text: str) -> None:
    """AMQP can carry the headers with any error text, and they stay small."""
    headers = parked(RuntimeError(text)).headers
    encoded = b"".join(BasicProperties(headers=headers).encode())
    assert len(encoded) < 2000


PAST: dict[str, Any] = {
    "x-cki-attempts": 9,
    "x-cki-held": 4,
    "x-cki-error": "e",
    "x-cki-first-seen": "2026-11-01T00:00:00+00:00",
}
ORIGIN: dict[str, Any] = {"x-cki-exchange": "webhooks", "x-cki-routing-key": "key", "sender": "x"}


@pytest.mark.parametrize(
    "more",
    [
        {"x-cki-reason": "retries-exhausted"},
        {"x-cki-reason": None},
        {"x-cki-reason": "not-found", "x-death": [{"queue": DELAY_QUEUES[0]}]},
        {"x-death": [{"queue": DEAD_LETTERS}]},
        {"x-death": [{"queue": QUEUE, "reason": "delivery_limit"}, {"queue": DELAY_QUEUES[0]}]},
    ],
)
def test_a_letter_that_was_moved_back_has_no_past(more: dict[str, Any]) -> None:
    """Its attempts start again, and its first exchange and routing key stay."""
    headers = PAST | ORIGIN | more
    fresh = read(dict(unburied(headers, QUEUE)))
    assert fresh == History(0, NOW, "webhooks", "key", before=9)
    destination = parked(UNAVAILABLE, fresh)
    copied = copied_properties(BasicProperties(headers=headers), destination.headers).headers
    assert copied == ORIGIN | destination.headers
    assert unburied(copied, QUEUE) == copied, "and only once"


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"x-death": [{"queue": DELAY_QUEUES[2]}, {"queue": QUEUE}]},
        {"x-death": [{"queue": "another"}]},
        {"x-death": [{"reason": "expired"}]},
        {"x-death": []},
        {"x-death": "nonsense"},
        {"x-death": [QUEUE]},
        {"x-death": [{"queue": [QUEUE]}]},
        {"x-death": [{"queue": QUEUE.encode()}]},
    ],
)
def test_what_comes_from_elsewhere_keeps_its_past(more: dict[str, Any]) -> None:
    """From a retry queue, for example; unreadable headers count as missing."""
    headers = PAST | ORIGIN | more
    assert unburied(headers, QUEUE) == headers
    assert unburied(None, QUEUE) == {}


def test_the_tries_before_are_carried_along_and_decide_nothing() -> None:
    """A letter with 9 attempts starts as a new one; the headers have both counts."""
    fresh = read({"x-cki-tries-before": 9})
    assert (fresh.attempts, fresh.before, fresh.tries) == (0, 9, 9)
    for number, queue in enumerate(DELAY_QUEUES[:4], start=1):
        result = parked(NOT_FOUND, fresh)
        assert result.queue == queue
        assert result.headers["x-cki-attempts"] == number
        assert result.headers["x-cki-tries-before"] == 9
        fresh = read(result.headers)
    last = parked(NOT_FOUND, fresh)
    assert (last.queue, read(last.headers).tries) == (DEAD_LETTERS, 14)
    assert all(it.headers["x-cki-tries-before"] == 9 for it in detours(last, QUEUE))
    assert read(dict(unburied(last.headers, QUEUE))).before == 14


@pytest.mark.parametrize("value", ["3", 3.0, None, True, -1, 2**62])
def test_tries_before_that_are_none_are_ignored(value: Any) -> None:
    """Anybody may write a header."""
    assert read({"x-cki-tries-before": value}).before == 0
    assert unburied({"x-cki-reason": "x", "x-cki-attempts": value}, QUEUE) == {}


def test_a_held_count_of_an_earlier_life_does_not_count() -> None:
    """Else the first failure would not be one."""
    copied = copied_properties(BasicProperties(headers=PAST), parked(UNAVAILABLE).headers)
    again = parked(UNAVAILABLE, read(dict(copied.headers or {})))
    assert (again.queue, again.headers["x-cki-attempts"]) == (DELAY_QUEUES[1], 2)
