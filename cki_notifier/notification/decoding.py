r"""Decodes JSON of others, with what is no JSON in it but passes for it.

What Python's own decoder reads, and others write, and msgspec refuses, is mended here:

- Half a character, an escape like ``\ud800``, one of a pair of UTF-16 without the other. No text
  in UTF-8 can hold it. It is read as U+FFFD, the replacement character.
- ``NaN``, ``Infinity`` and ``-Infinity``. They are read as numbers that are no whole ones, which
  are of a wrong type wherever we read anything.
- A byte order mark at the start. It is passed over.

msgspec refuses a whole document for any of these, even in a field that nobody reads. All else
stays as it is.
"""

import re
from itertools import islice
from typing import TypeVar

import msgspec

T = TypeVar("T")

#: Where an escape begins, behind any number of escaped backslashes: a whole pair, or half of one,
#: which is the group.
_HALVES = re.compile(
    rb"\\(?<!\\\\)(?:\\\\)*+"
    rb"(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(u[dD][89a-fA-F][0-9a-fA-F]{2}))"
)
#: What is no JSON beside strings, behind all that is none of it: strings are passed over.
_NO_NUMBERS = re.compile(rb'(?:[^"NI]++|"(?:[^"\\]++|\\.)*+"?)*+(?:(NaN|Infinity)|.|\Z)', re.DOTALL)
#: A number goes on, or it is a word's part.
_PART = re.compile(rb"[\w.+]")
#: U+FFFD and numbers, as many bytes long as what they replace.
_REPLACEMENT = b"ufffd"
_NUMBERS = {b"NaN": b"0.5", b"Infinity": b"0.500000"}
_MARK = b"\xef\xbb\xbf"
#: With more of such numbers it is no document of anybody's, and takes too long.
_MOST_NUMBERS = 100_000


def decode(text: bytes | bytearray, type_: type[T]) -> T:
    """Decode JSON into a type; what only passes for JSON is mended.

    A document that needs no mending is looked at once, by msgspec alone.

    Raises:
        msgspec.ValidationError: it is JSON of another type.
        msgspec.DecodeError: it is no JSON.
        UnicodeDecodeError: it is not UTF-8, in a text that is read.
        RecursionError: it is nested too deeply.
    """
    try:
        return msgspec.json.decode(text, type=type_)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        mended = _mended(text)
        if mended is None:
            raise
    return msgspec.json.decode(mended, type=type_)


def decoded(text: bytes | bytearray, type_: type[T]) -> T | None:
    """Return what a text holds, read as by :func:`decode`; None for all that is not of the type."""
    try:
        return decode(text, type_)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _mended(text: bytes | bytearray) -> bytearray | None:
    """Return a text with all mended that can be, None for one that has nothing to be."""
    mended = bytearray(text.removeprefix(_MARK))
    for found in _HALVES.finditer(memoryview(text)[len(text) - len(mended) :]):
        if found[1]:
            mended[found.start(1) : found.end(1)] = _REPLACEMENT
    if b"NaN" in mended or b"Infinity" in mended:
        _mend_numbers(mended)
    return None if mended == text else mended


def _mend_numbers(text: bytearray) -> None:
    """Make numbers of what is none, in place, up to what is no JSON for anybody."""
    for found in islice(_NO_NUMBERS.finditer(bytes(text)), _MOST_NUMBERS):
        if not found[1] or not _stands_alone(text, *found.span(1)):
            return
        text[found.start(1) : found.end(1)] = _NUMBERS[found[1]]


def _stands_alone(text: bytearray, start: int, end: int) -> bool:
    """Tell whether a word is a whole value; ``-NaN`` is none, ``-Infinity`` is one."""
    before = text[max(0, start - 1) : start]
    if before == b"-" and text[start:end] != b"NaN":
        before = text[max(0, start - 2) : start - 1]
    return not (_PART.match(before) or before == b"-" or _PART.match(text[end : end + 1]))
