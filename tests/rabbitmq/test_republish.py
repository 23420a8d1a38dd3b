"""The properties of a copy for a retry queue or the dead-letter queue."""

from typing import Any, Literal

import pytest
from pika.spec import BasicProperties

from cki_notifier.rabbitmq.republish import copied_properties, fitting

OURS: dict[str, Any] = {"x-cki-attempts": 1, "x-cki-error": "datawarehouse: 503"}


def test_properties_are_kept() -> None:
    """A copy has the properties of the original."""
    said: dict[str, Any] = {
        "content_type": "application/json",
        "content_encoding": "utf-8",
        "priority": 3,
        "correlation_id": "correlation",
        "reply_to": "somebody",
        "message_id": "message",
        "timestamp": 1_763_633_700,
        "type": "checkout",
        "app_id": "datawarehouse",
        "cluster_id": "cluster",
    }
    copied = copied_properties(BasicProperties(**said), OURS)
    assert {name: getattr(copied, name) for name in said} == said


@pytest.mark.parametrize("mode", [None, 1, 2])
def test_a_copy_is_persistent(mode: Literal[1, 2] | None) -> None:
    """The copy outlives a restart of the broker, whether or not the original would have."""
    assert copied_properties(BasicProperties(delivery_mode=mode), OURS).delivery_mode == 2


@pytest.mark.parametrize("headers", [None, {}, {"sender": "x", "nested": {"a": [1, None]}}])
def test_headers_are_kept_and_ours_added(headers: dict[str, Any] | None) -> None:
    """The sender's headers stay as they are beside ours."""
    copied = copied_properties(BasicProperties(headers=headers), OURS)
    assert copied.headers == (headers or {}) | OURS


def test_our_headers_replace_those_of_the_last_time() -> None:
    """The count goes on instead of staying at the first try."""
    copied = copied_properties(BasicProperties(headers=OURS | {"x-cki-attempts": 0}), OURS)
    assert copied.headers == OURS


@pytest.mark.parametrize(
    "name",
    [
        "CC",
        "BCC",
        "x-death",
        "x-delivery-count",
        "x-first-death-queue",
        "x-first-death-reason",
        "x-last-death-exchange",
    ],
)
def test_headers_the_broker_acts_on_are_left_out(name: str) -> None:
    """They would route the copy elsewhere, or count deaths that are none."""
    copied = copied_properties(BasicProperties(headers={name: ["x"], "sender": "x"}), OURS)
    assert copied.headers == OURS | {"sender": "x"}


@pytest.mark.parametrize(
    ("field", "header"), [("expiration", "x-cki-expiration"), ("user_id", "x-cki-user-id")]
)
def test_what_would_lose_the_copy_becomes_a_header(field: str, header: str) -> None:
    """An expiration would drop the copy, a user id have it refused; both can still be read."""
    changed: dict[str, Any] = {field: "60000"}
    original = BasicProperties(headers={"sender": "x"}, **changed)
    copied = copied_properties(original, OURS)
    assert getattr(copied, field) is None
    assert copied.headers == OURS | {"sender": "x", header: "60000"}
    again = copied_properties(copied, OURS)
    assert again.headers == copied.headers


def test_the_original_stays_as_it_is() -> None:
    """The delivery can be copied again when the first copy was not confirmed."""
    original = BasicProperties(headers={"CC": ["x"]}, expiration="5", user_id="u", delivery_mode=1)
    copied_properties(original, OURS)
    assert original.headers == {"CC": ["x"]}
    assert (original.expiration, original.user_id, original.delivery_mode) == ("5", "u", 1)


def test_what_does_not_fit_into_a_frame_is_left_out() -> None:
    """The broker would end the connection over it, again and again; ours are always kept."""
    ours = OURS | {"x-cki-error": "e" * 1_000}
    sender = {f"header-{number}": "x" * 1_000 for number in range(8)}
    original = BasicProperties(
        headers=sender, content_type="a/b", message_id="m" * 255, timestamp=1_763_633_700
    )
    properties = copied_properties(original, ours)
    assert fitting(properties, 100_000, ours) is properties
    fits = fitting(properties, 4_096, ours)
    assert sum(map(len, fits.encode())) <= 4_096
    assert fits.headers == ours | {"x-cki-error": "e" * 200}
    assert (fits.content_type, fits.delivery_mode) == ("a/b", 2)
    assert (fits.message_id, fits.timestamp) == ("m" * 255, 1_763_633_700), "the event's identity"
