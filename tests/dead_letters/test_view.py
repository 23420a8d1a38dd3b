"""The output of dead letters: readable, in full, and safe for a terminal."""

import base64
import json
from datetime import UTC, datetime
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pika.spec import BasicProperties

from cki_notifier.dead_letters.letter import Letter, read_letter
from cki_notifier.dead_letters.view import as_json, cells, details, explained, table
from cki_notifier.notification.reasons import DeadLetterReason
from tests.factories.terminal import terminal
from tests.properties import PATIENT

BODY = b'{"id": "redhat:1", "status": "unknown"}'
HEADERS: dict[str, Any] = {
    "x-cki-reason": "malformed",
    "x-cki-error": "the body is no notification",
    "x-cki-attempts": 3,
    "x-cki-first-seen": "2026-11-20T12:15:00.123456+02:00",
    "x-cki-exchange": "hooks",
    "x-cki-routing-key": "key",
}
#: The types of AMQP's tables, as pika decodes them.
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | st.decimals()
    | st.text()
    | st.binary()
    | st.datetimes(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.binary(), inner),
    max_leaves=5,
)
TABLES: st.SearchStrategy[Any] = st.dictionaries(
    st.text() | st.binary() | st.sampled_from([*HEADERS, "x-death"]), VALUES, max_size=4
)


def letter(body: bytes = BODY, headers: dict[str, Any] | None = None, **properties: Any) -> Letter:
    """Read a letter with the daemon's headers unless others are given."""
    held = HEADERS if headers is None else headers
    return read_letter(1, BasicProperties(headers=held, **properties), body)


def piped(*letters: Letter) -> list[str]:
    """Return the lines of a table where there is no terminal."""
    return list(table(map(cells, letters), StringIO()))


def on_terminal(columns: int, *letters: Letter) -> list[str]:
    """Return the lines of a table on a terminal."""
    with terminal(columns) as (stream, _):
        return list(table(map(cells, letters), stream))


def test_a_row_is_below_its_headings() -> None:
    """Id, time in UTC, tries, reason, checkout and error, each where its heading is."""
    titles, line = piped(letter())
    for title, text in {
        "ID": letter().id,
        "FIRST SEEN (UTC)": "2026-11-20 10:15:00",
        "REASON": "malformed",
        "CHECKOUT": "redhat:1",
        "ERROR": "the body is no notification",
    }.items():
        assert line[titles.index(title) :].startswith(text)
    assert line[: titles.index("TRIES") + 5].endswith("    3")


def test_what_is_not_known_is_a_dash() -> None:
    """A letter nobody wrote headers to has a row, too."""
    _, row = piped(letter(b"no json", {}))
    assert row.split()[1:] == ["-", "-", "unknown", "-", "-"]


LONG = (
    "datawarehouse: the answer to GET /api/1/kcidb/checkouts/redhat%3A2167003491/all can't be "
    "used: Expected `str | null`, got `int` - at `$.checkouts[0].tree_name`"
)


def test_at_80_columns_the_error_has_lines_of_its_own() -> None:
    """It shows a usual error in full, and no line is wider than the terminal."""
    read = letter(b'{"id": "redhat:2167003491"}', HEADERS | {"x-cki-error": LONG})
    titles, error_title, first, *error = lines = on_terminal(80, read)
    assert first == f"{read.id}  2026-11-20 10:15:00      3  malformed          redhat:2167003491"
    assert " ".join(line.removeprefix("  ") for line in error) == LONG
    assert len(error) == 3
    assert max(map(len, lines)) <= 80
    assert [titles.split()[-1], error_title] == ["CHECKOUT", "  ERROR"]


def test_a_very_long_error_does_not_fill_the_terminal() -> None:
    """It ends where it was cut; ``show`` has it in full, and so has a file."""
    read = letter(headers=HEADERS | {"x-cki-error": "word " * 200})
    *_, last = lines = on_terminal(80, read)
    assert len(lines) == 6
    assert last.endswith("…")
    assert piped(read)[-1].count("word") == 200


@pytest.mark.parametrize("width", [3, 20, 60, 79, 139, 300])
def test_a_table_is_never_wider_than_the_terminal(width: int) -> None:
    """However narrow that is; a wide one has the error in the line."""
    read = letter(headers=HEADERS | {"x-cki-error": LONG * 5})
    shown = on_terminal(width, read)
    assert max(map(len, shown)) <= width
    assert (len(shown) == 2) is (width == 300)


def test_details_show_json_indented_and_headers_beside() -> None:
    """It shows all fields; numbers and the order of fields are the body's own."""
    body = b'{"z":1.10,"a":123456789012345678901234567890,"u":"\\u001b\xc3\xbc"}'
    read = letter(body, HEADERS | {"more": [1, {"x": b"\xff"}]}, message_id="m-1", timestamp=5)
    lines = list(details(read))
    assert lines[-6:] == [
        "",
        "{",
        '  "z": 1.10,',
        '  "a": 123456789012345678901234567890,',
        '  "u": "\\u001bü"',
        "}",
    ]
    for line in (
        f"id           {read.id}",
        "checkout     -",
        "reason       malformed: the body is not a valid notification",
        "tries        3",
        "first seen   2026-11-20 10:15:00",
        "exchange     hooks",
        "routing key  key",
        'message_id   "m-1"',
        "timestamp    5",
        'header       more: [1, {"x": "\\\\xff"}]',
        f"body         {len(body)} bytes",
    ):
        assert line in lines


@pytest.mark.parametrize(
    ("body", "lines"),
    [
        (b"", [""]),
        (b"no json\nsecond \x1b[2J line\r", ["no json", r"second \x1b[2J line\r"]),
        (b"\xff\x00", [r"\xff\x00"]),
        (b'{"a": "\xff"}', [r'{"a": "\xff"}']),
        (b"[" * 10_000 + b"]" * 10_000, ["[" * 10_000 + "]" * 10_000]),
    ],
)
def test_a_body_that_is_no_json_is_shown_escaped(body: bytes, lines: list[str]) -> None:
    """Line by line, and never a byte that moves the cursor."""
    shown = list(details(letter(body)))
    assert shown[shown.index("") + 1 :] == lines


@pytest.mark.parametrize("reason", list(DeadLetterReason))
def test_our_reasons_are_explained(reason: DeadLetterReason) -> None:
    """The sentence is the one the documentation has."""
    assert explained(reason.value) == f"{reason.value}: {reason.sentence}"


def test_another_reason_stays_as_it_is() -> None:
    """The broker's own is not explained."""
    assert explained("delivery_limit") == "delivery_limit"


def test_json_tells_the_same_and_the_whole_if_wanted() -> None:
    """One object a line; the list's has no body."""
    read = letter(content_type="application/json")
    said = {
        "id": read.id,
        "checkout_id": "redhat:1",
        "status": "unknown",
        "reason": "malformed",
        "error": "the body is no notification",
        "attempts": 3,
        "first_seen": "2026-11-20T10:15:00.123456+00:00",
        "exchange": "hooks",
        "routing_key": "key",
        "bytes": len(BODY),
    }
    assert json.loads(as_json(read, whole=False)) == said
    assert json.loads(as_json(read, whole=True)) == said | {
        "properties": {"content_type": "application/json"},
        "headers": HEADERS,
        "body": BODY.decode(),
    }


def test_values_that_json_lacks_become_text() -> None:
    """AMQP knows more than JSON does."""
    values = [Decimal("1.5"), datetime(2026, 11, 20, tzinfo=UTC), b"\xff", float("inf"), True]
    shown = json.loads(as_json(letter(headers={"x": values}), whole=True))
    assert shown["headers"]["x"] == ["1.5", "2026-11-20T00:00:00+00:00", "\\xff", "inf", True]


@given(st.binary(), TABLES)
@PATIENT
def test_any_letter_is_shown_printable_and_byte_for_byte(
    body: bytes, headers: dict[str, Any]
) -> None:
    """For any body, each line is safe, and the JSON has the body."""
    read = letter(body, headers)
    assert all(line.isprintable() for line in (*piped(read), *details(read)))
    line = as_json(read, whole=True)
    assert line.isprintable()
    assert line.isascii()
    said = json.loads(line)
    kept = said["body"].encode() if "body" in said else base64.b64decode(said["body_base64"])
    assert kept == body
