"""Hostile headers of a message don't stop the daemon or the operator's commands."""

from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pika.spec import FRAME_MAX_SIZE

from cki_notifier.dead_letters.letter import read_letter
from cki_notifier.dead_letters.view import as_json, cells, details, table
from cki_notifier.notification.errors import Malformed
from cki_notifier.rabbitmq.connection import Properties
from cki_notifier.rabbitmq.republish import copied_properties
from cki_notifier.rabbitmq.retries import destination_of, history_of
from tests.properties import PATIENT
from tests.security.tables import DELIVERED, REFUSED, entry, properties, sized, tables, text

#: The types of a fixed length, by that length; the others are texts, bytes, arrays and tables.
FIXED = {b"V": 0, b"t": 1, b"b": 1, b"B": 1, b"s": 2, b"U": 2, b"u": 2, b"I": 4, b"i": 4} | {
    b"L": 8, b"l": 8, b"f": 4, b"d": 8, b"D": 5, b"T": 8
}  # fmt: skip
NAMES = st.binary(max_size=20)
SIMPLE = st.one_of(
    *(st.binary(min_size=size, max_size=size).map(kind.__add__) for kind, size in FIXED.items()),
    *(st.binary(max_size=20).map(sized).map(kind.__add__) for kind in (b"S", b"x")),
)
VALUES = st.recursive(
    SIMPLE,
    lambda inner: (
        st.lists(inner).map(lambda it: b"A" + sized(b"".join(it)))
        | st.lists(st.builds(entry, NAMES, inner)).map(lambda it: b"F" + sized(b"".join(it)))
    ),
)
NOW = datetime(2026, 11, 20, 12, 30, 1, tzinfo=UTC)


def handled(encoded: bytes) -> Properties:
    """Have a message with such properties dead-lettered, and its letter shown; return its copy's.

    An error of AMQP's longest kind and the longest origin are put with them.
    """
    received = Properties().decode(encoded)
    origin = history_of(
        received.headers, exchange="\U0001f427" * 63, routing_key="é" * 127, now=NOW
    )
    error = Malformed("\U0001f427" * 2_000)
    parked = destination_of(error, origin, queue="q", retry_for=timedelta(hours=1), now=NOW)
    copied = copied_properties(received, parked.headers)
    published = b"".join(copied.encode())
    assert len(published) < FRAME_MAX_SIZE - 100
    letter = read_letter(1, Properties().decode(published), b"{}")
    assert (letter.reason, letter.attempts) == ("malformed", parked.headers["x-cki-attempts"])
    assert all(
        line.isprintable() for line in [*details(letter), *table([cells(letter)], StringIO())]
    )
    assert as_json(letter, whole=True).isprintable()
    return received


@pytest.mark.parametrize(
    "headers", [*DELIVERED.values(), *REFUSED.values()], ids=[*DELIVERED, *REFUSED]
)
def test_headers_that_can_not_be_handled_are_left_out(
    headers: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """All of them, and the log says so; the message itself is handled."""
    assert not handled(properties(headers)).headers
    assert "a message's headers are left out: " in caplog.text


def test_headers_of_any_sane_kind_are_kept() -> None:
    """Those of the broker, which are two deep, among them."""
    death = tables(1, entry(b"reason", text(b"expired")))
    deaths = entry(b"x-death", b"A" + sized(death))
    kept = handled(properties(entry(b"a", text(b"b")), deaths, entry(b"t", tables(10)))).headers
    assert kept is not None
    assert (kept["a"], kept["x-death"]) == ("b", [{"reason": "expired"}])


@PATIENT
@given(
    st.binary(max_size=200)
    | st.binary(max_size=200).map(properties)
    | st.lists(st.builds(entry, NAMES, VALUES)).map(lambda it: properties(*it))
)
def test_any_bytes_are_properties(encoded: bytes) -> None:
    """Any bytes in the place of headers raise nothing."""
    handled(encoded)
