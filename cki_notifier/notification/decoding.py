r"""Decodes JSON of other programs, including common defects.

Python's decoder accepts these defects, and msgspec does not. They are mended here:

- Half of a UTF-16 pair, an escape like ``\ud800``, which UTF-8 can't hold. It becomes U+FFFD, the
  replacement character.
- ``NaN``, ``Infinity`` and ``-Infinity``. They become fractions, which no field of ours accepts.
- A byte order mark at the start. It is skipped.

msgspec refuses a whole document for any of these, even in a field that nobody reads.
"""

import re
from itertools import islice
from typing import TypeVar

import msgspec

T = TypeVar("T")

#: An escape behind any number of escaped backslashes: a whole pair, or (the group) half of one.
_HALVES = re.compile(
    rb"\\(?<!\\\\)(?:\\\\)*+"
    rb"(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(u[dD][89a-fA-F][0-9a-fA-F]{2}))"
)
#: The next of these words (the group) or another defect, outside of strings.
_NO_NUMBERS = re.compile(rb'(?:[^"NI]++|"(?:[^"\\]++|\\.)*+"?)*+(?:(NaN|Infinity)|.|\Z)', re.DOTALL)
#: Part of a number or a word.
_PART = re.compile(rb"[\w.+]")
#: U+FFFD and numbers, as many bytes long as what they replace.
_REPLACEMENT = b"ufffd"
_NUMBERS = {b"NaN": b"0.5", b"Infinity": b"0.500000"}
_MARK = b"\xef\xbb\xbf"
#: More of these numbers would take too long, and no real document has them.
_MOST_NUMBERS = 100_000


def decode(text: bytes | bytearray, type_: type[T]) -> T:
    """Decode JSON into a type, and mend common defects.

    Only msgspec reads a document without defects, once.

    Raises:
        msgspec.ValidationError: it is JSON of another type.
        msgspec.DecodeError: it is not JSON.
        UnicodeDecodeError: a text that is read is not UTF-8.
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
    """Return the value of a text, as :func:`decode` does; None for any error."""
    try:
        return decode(text, type_)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _mended(text: bytes | bytearray) -> bytearray | None:
    """Return a text with its defects mended, None for one without."""
    mended = bytearray(text.removeprefix(_MARK))
    for found in _HALVES.finditer(memoryview(text)[len(text) - len(mended) :]):
        if found[1]:
            mended[found.start(1) : found.end(1)] = _REPLACEMENT
    if b"NaN" in mended or b"Infinity" in mended:
        _mend_numbers(mended)
    return None if mended == text else mended


def _mend_numbers(text: bytearray) -> None:
    """Replace ``NaN`` and the like in place, up to the first other defect."""
    for found in islice(_NO_NUMBERS.finditer(bytes(text)), _MOST_NUMBERS):
        if not found[1] or not _stands_alone(text, *found.span(1)):
            return
        text[found.start(1) : found.end(1)] = _NUMBERS[found[1]]


def _stands_alone(text: bytearray, start: int, end: int) -> bool:
    """Tell whether a word is a whole value, as ``-Infinity`` is and ``-NaN`` is not."""
    before = text[max(0, start - 1) : start]
    if before == b"-" and text[start:end] != b"NaN":
        before = text[max(0, start - 2) : start - 1]
    return not (_PART.match(before) or before == b"-" or _PART.match(text[end : end + 1]))
