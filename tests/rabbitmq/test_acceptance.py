"""Whether RabbitMQ accepts messages, put together from what single connections were told."""

import time

import pytest

from cki_notifier.rabbitmq.acceptance import Acceptance
from cki_notifier.telemetry import metrics


class Connection:
    """Stands in for one."""


def shown() -> dict[str, float | None]:
    """Return the metric by resource."""
    name = "cki_notifier_rabbitmq_blocked"
    return {
        resource: metrics.REGISTRY.get_sample_value(name, {"resource": resource})
        for resource in ("memory", "disk", "other")
    }


@pytest.mark.parametrize(
    ("reason", "short_of"),
    [
        ("low on memory", {"memory"}),
        ("low on disk", {"disk"}),
        ("low on disk & memory", {"disk", "memory"}),
        ("maintenance", {"other"}),
        ("", {"other"}),
    ],
)
def test_the_brokers_reason_is_told_until_it_is_over(reason: str, short_of: set[str]) -> None:
    """In its own words in the sentence; the metric's label has a bounded number of values."""
    acceptance, connection = Acceptance(), Connection()
    assert acceptance.refusal == ""
    acceptance.blocked(connection, reason)
    assert acceptance.refusal.startswith(f"RabbitMQ accepts no messages: {reason}")
    assert {name for name, value in shown().items() if value} == short_of
    acceptance.unblocked(connection)
    assert acceptance.refusal == ""
    assert set(shown().values()) == {0}


def test_a_confirm_ends_an_alarm_whose_end_nobody_heard() -> None:
    """After a restart of RabbitMQ, for example, the blocked connections are gone."""
    acceptance, other = Acceptance(), Connection()
    acceptance.blocked(Connection(), "low on disk")
    acceptance.confirmed(other, time.monotonic())
    assert acceptance.refusal == ""


def test_a_confirm_from_before_the_alarm_says_nothing() -> None:
    """RabbitMQ can confirm a message late that it got before the alarm."""
    acceptance, other, began = Acceptance(), Connection(), time.monotonic()
    acceptance.blocked(Connection(), "low on disk")
    acceptance.confirmed(other, began)
    assert acceptance.refusal


def test_a_confirm_on_a_blocked_connection_says_nothing() -> None:
    """A broker takes a message without a body, and then nothing more."""
    acceptance, connection = Acceptance(), Connection()
    acceptance.blocked(connection, "low on disk")
    acceptance.confirmed(connection, time.monotonic())
    assert acceptance.refusal
    acceptance.unblocked(connection)
    acceptance.confirmed(connection, time.monotonic())
    assert acceptance.refusal == ""
