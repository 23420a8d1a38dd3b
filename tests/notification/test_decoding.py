r"""JSON with half a character in it, an escape like `\ud800` without its other half."""

import json
import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cki_notifier.notification.decoding import decode

#: Of these a text is put together that has all kinds of escapes, good and bad.
PIECES = (
    *("\\ud83d", "\\uDE00", "\\uD800", "\\udFfF", "\\ud83d\\ude00", "\\ufffd", "\\u0041"),
    *("\\\\", "\\n", '\\"', "ud800", "x", "ä", "😀"),
)


class Narrow(msgspec.Struct):
    """A document of which one field is read."""

    id: str


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (rb'"\ud800"', "\ufffd"),
        (rb'"\uDFFF"', "\ufffd"),
        (rb'"a\ud83dz"', "a\ufffdz"),
        (rb'"\ude00\ud83d"', "\ufffd\ufffd"),
        (rb'"\ud83d\ud83d\ude00\ude00"', "\ufffd😀\ufffd"),
        (rb'"\ud83d\n"', "\ufffd\n"),
        (rb'"\ud83d\\ude00"', "\ufffd\\ude00"),
        (rb'"\\ud800 \\\ud800 \\\\ud800"', "\\ud800 \\\ufffd \\\\ud800"),
        ('"ä😀\\ud800"'.encode(), "ä😀\ufffd"),
        (rb'{"\ud800": ["\udc00"]}', {"\ufffd": ["\ufffd"]}),
    ],
)
def test_half_a_character_is_a_replacement_character(text: bytes, expected: object) -> None:
    """All else stays: whole pairs, and a backslash that is itself escaped."""
    assert decode(text, Any) == expected
    assert decode(bytearray(text), Any) == expected


def test_a_field_nobody_reads_costs_nothing() -> None:
    """However deep it is."""
    text = rb'{"more": [{"\ud800": "\udfff"}], "id": "one"}'
    assert decode(text, Narrow) == Narrow("one")


def test_what_is_decoded_later_is_mended_too() -> None:
    """The raw text of a field has no half of a character any more."""
    raw = decode(rb'{"id": {"id": "\ud800"}}', dict[str, msgspec.Raw])["id"]
    assert decode(raw, Narrow) == Narrow("\ufffd")


@given(st.lists(st.sampled_from(PIECES)))
def test_any_text_is_as_python_reads_it(pieces: list[str]) -> None:
    """Python lets halves in; each is one replacement character here."""
    text = '"' + "".join(pieces) + '"'
    expected = re.sub("[\ud800-\udfff]", "\ufffd", json.loads(text))
    assert decode(text.encode(), str) == expected


@pytest.mark.parametrize(
    "text", [b"", b"{", rb'"\ud800', rb'["\ud800"', rb'"\ud8"', rb"\ud800", b'"x\\', rb'"\x"']
)
def test_what_is_no_json_stays_none(text: bytes) -> None:
    """The decoder's own word is what is told."""
    with pytest.raises(msgspec.DecodeError) as error:
        decode(text, Any)
    assert not isinstance(error.value, msgspec.ValidationError)


def test_a_wrong_type_is_told_of_a_mended_document() -> None:
    """It is valid JSON, and the field is named."""
    with pytest.raises(msgspec.ValidationError, match=r"\$\.id"):
        decode(rb'{"more": "\ud800", "id": 5}', Narrow)
