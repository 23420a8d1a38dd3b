r"""Decodes JSON of others, with text in it that no encoding has room for.

JSON can spell half a character: an escape like ``\ud800``, one of a pair of UTF-16 without the
other. No text in UTF-8 can hold it, so msgspec refuses the whole document, even where the escape
is in a field that nobody reads. Here it is read as U+FFFD, the replacement character; all else
stays as it is.
"""

import re
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
#: U+FFFD, as many bytes long as what it replaces.
_REPLACEMENT = b"ufffd"


def decode(text: bytes | bytearray, type_: type[T]) -> T:
    """Decode JSON into a type; half a character is read as U+FFFD.

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


def _mended(text: bytes | bytearray) -> bytearray | None:
    """Return a text without halves of characters, None for one that has none."""
    mended = None
    for found in _HALVES.finditer(memoryview(text)):
        if found[1]:
            mended = bytearray(text) if mended is None else mended
            mended[found.start(1) : found.end(1)] = _REPLACEMENT
    return mended
