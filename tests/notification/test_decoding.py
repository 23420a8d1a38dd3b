r"""JSON with what is none in it: half a character (`\ud800`), `NaN`, a byte order mark."""

import json
import math
import re
import time
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cki_notifier.notification.decoding import decode

#: Of these a text is put together that has all kinds of escapes, good and bad.
PIECES = (
    *("NaN", "-Infinity", "I", "N", "/", '\\"NaN'),
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


NO_NUMBERS = st.sampled_from([math.nan, math.inf, -math.inf])
TEXTS = st.lists(st.sampled_from(["NaN", "-Infinity", '"', "\\", ",", "[", "\u00e4"])).map("".join)
VALUES = st.recursive(
    st.none() | st.integers() | st.sampled_from([0.25, 1e300]) | NO_NUMBERS | TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
    max_leaves=10,
)


def with_numbers(value: Any) -> Any:
    """Return what is expected of a value: numbers that are none are others, all else stays."""
    if isinstance(value, float) and not math.isfinite(value):
        return math.copysign(0.5, value) if math.isinf(value) else 0.5
    if isinstance(value, list):
        return [with_numbers(it) for it in value]
    return {k: with_numbers(it) for k, it in value.items()} if isinstance(value, dict) else value


@given(VALUES, st.booleans(), st.booleans())
def test_what_python_writes_is_read(value: object, is_ascii: bool, has_mark: bool) -> None:  # noqa: FBT001  # drawn
    """With numbers that are none, anywhere but in a string, and with a byte order mark."""
    text = json.dumps(value, ensure_ascii=is_ascii).encode("utf-8-sig" if has_mark else "utf-8")
    assert decode(text, Any) == with_numbers(value)
    assert decode(bytearray(text), Any) == with_numbers(value)


@pytest.mark.parametrize(
    "text",
    [
        *(b"-NaN", b"+NaN", b"1NaN", b"NaN1", b"NaNNaN", b"NaN.1", b"1.NaN", b"NaNe1", b"nan"),
        *(b"--Infinity", b"1-Infinity", b"+Infinity", b"Inf", b"-Inf", b"[N,NaN]", b"[NaN,I]"),
        *(b'["NaN', b'["x",NaN', b"[NaN,]", b"\xef\xbb\xbf", b"\xef\xbb\xbf\xef\xbb\xbf1"),
        *(b"[1\xef\xbb\xbf]", b"\xff\xfe[\x001\x00]\x00"),
    ],
)
def test_what_python_does_not_read_is_no_json(text: bytes) -> None:
    """Neither is it here; UTF-16, which Python does read, is not UTF-8."""
    with pytest.raises(msgspec.DecodeError):
        decode(text, Any)


def test_a_number_that_is_none_is_of_a_wrong_type_where_it_is_read() -> None:
    """It is not taken for a field that is missing."""
    kinds = list[str | None], list[bool | None], list[int | None], list[list[str] | None]
    for kind in kinds:
        with pytest.raises(msgspec.ValidationError):
            decode(b"[NaN]", kind)


@pytest.mark.parametrize("text", [b"1e999", b"-1e999", b"9" * 5_000, b"1E400", b"0.1e-9999"])
def test_numbers_out_of_range_are_nobodys_business(text: bytes) -> None:
    """Unless somebody reads them: then they are of a wrong type, and the field is named."""
    assert decode(b'{"more": [' + text + b'], "id": "one"}', Narrow) == Narrow("one")
    with pytest.raises(msgspec.ValidationError, match="id"):
        decode(b'{"id": ' + text + b"}", Narrow)


def test_of_a_key_that_is_there_twice_the_last_one_counts() -> None:
    """As for Python."""
    assert decode(b'{"id": "one", "id": "two"}', Narrow) == Narrow("two")


@pytest.mark.parametrize(
    "text",
    [
        b'"' + b'\\"' * 500_000 + b"NaN",
        b"N" * 1_000_000 + b"NaN",
        b"NaN " * 250_000,
        b'"NaN' * 250_000,
        b"-Infinity," * 100_000,
        b'["x",NaN,"' + b"x" * 1_000_000,
        b'{"a":"b"},' * 100_000 + b"NaN",
    ],
    ids=lambda text: repr(text[:12]),
)
def test_no_text_takes_long_to_mend(text: bytes) -> None:
    """Any text is read only a few times."""
    started = time.thread_time()
    with pytest.raises(msgspec.DecodeError):
        decode(text, list)
    assert time.thread_time() - started < 3
