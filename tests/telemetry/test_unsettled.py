"""Notifications in flight and delayed."""

from datetime import UTC, datetime, timedelta

from cki_notifier.notification.parse import Identity
from cki_notifier.telemetry.outcomes import Result
from cki_notifier.telemetry.unsettled import Delayed, Unsettled

START = datetime(2026, 11, 20, 3, tzinfo=UTC)
FAILED = Result(outcome="delayed", reason="unavailable", error="gitlab: it is down")


class Work:
    """Waits for something, or doesn't."""

    waits_for = ""


def about(number: int) -> Identity:
    """Return one of many."""
    return Identity(f"redhat:{number}", "unknown", f"event-{number}", 1)


def minutes(number: int) -> timedelta:
    """Return this many."""
    return timedelta(minutes=number)


def test_what_is_in_hand_says_what_happens_to_it() -> None:
    """From its turn to its copy; after its outcome it is no longer in flight."""
    unsettled, work, key = Unsettled(), Work(), (1, 7)

    def does() -> str:
        (held,) = unsettled.in_hand()
        assert held.identity == about(1)
        assert held.seconds >= 0
        return held.does

    unsettled.take(key, about(1), START)
    assert does() == "waits for its turn"
    unsettled.begin(key, work)
    assert does() == "being processed"
    work.waits_for = "Kafka's confirmation"
    assert does() == "waits: Kafka's confirmation"
    unsettled.copy(key, "q.retry.5s")
    assert does() == "a copy waits for q.retry.5s"
    unsettled.settle(key)
    unsettled.begin(key, work)
    unsettled.copy(key, "q.retry.5s")
    assert unsettled.in_hand() == []


def test_what_came_first_comes_first() -> None:
    """In any order of delivery."""
    unsettled = Unsettled()
    unsettled.take((1, 1), about(1), START)
    unsettled.take((1, 2), about(2), START - minutes(5))
    assert [it.identity.event_id for it in unsettled.in_hand()] == ["event-2", "event-1"]


def test_a_lost_connection_leaves_nothing_in_hand() -> None:
    """The next connection redelivers its notifications."""
    unsettled = Unsettled()
    unsettled.take((1, 1), about(1), START)
    unsettled.take((1, 2), about(2), START)
    unsettled.lose()
    assert unsettled.in_hand() == []
    unsettled.take((2, 1), about(2), START)
    unsettled.settle((1, 2))
    assert [it.identity for it in unsettled.in_hand()] == [about(2)]


def test_what_is_delayed_is_so_until_it_comes_back() -> None:
    """By the clock, or because RabbitMQ delivers it again."""
    now = START
    unsettled = Unsettled(clock=lambda: now)
    for number in (3, 1, 2):
        until = START + minutes(number)
        unsettled.delay(Delayed(about(number), START, until, FAILED))
    assert [it.identity for it in unsettled.delayed()] == [about(1), about(2), about(3)]
    unsettled.take((1, 1), about(2), START)
    assert [it.identity for it in unsettled.delayed()] == [about(1), about(3)]
    now = START + minutes(1)
    assert [it.identity for it in unsettled.delayed()] == [about(3)]


def test_no_more_than_1000_are_remembered() -> None:
    """The one that was delayed first goes."""
    unsettled = Unsettled(clock=lambda: START)
    for number in range(1001):
        unsettled.delay(Delayed(about(number), START, START + minutes(1), FAILED))
    known = {it.identity.event_id for it in unsettled.delayed()}
    assert len(known) == 1000
    assert "event-0" not in known
