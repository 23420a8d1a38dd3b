r"""Finds trailers in a merge request's description: lines like ``JIRA: https://host/browse/RHEL-1``.

People write them in Markdown: as list items, with a bold name, or with the link in ``<…>`` or in
``[RHEL-1](…)``. Backslashes, spaces or a full stop may follow, and spaces may be non-breaking. The
link is the first http(s) address behind the colon, without Markdown or punctuation at its end. A
value without a link (``JIRA: INTERNAL``) is left out.

The patterns read each part of a text only a few times, so no text can slow them down.
"""

import re
import unicodedata
from itertools import islice

from msgspec import Struct

#: Limits: trailers of a description, and characters of a link.
_MOST_TRAILERS, _LONGEST_LINK = 1_000, 2_000
#: Spaces of all kinds, but no line ends and no zero-width characters.
_SPACES = r"[\t\v\f \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]*+"
#: Marks for bold, italic, code or strikethrough.
_MARKS = r"[*_~`]*+"
#: Only ASCII letters: Unicode's dotless i and long s have the same upper case as i and s.
_TRAILER = re.compile(
    rf"(?<![^\r\n]){_SPACES}"
    rf"(?:(?:[-+*]|\d{{1,9}}[.)]|\#{{1,6}})[ \t\xa0]{_SPACES}(?:\[[ xX]\]{_SPACES})?)?+"
    rf"{_MARKS}(?P<name>(?ai:jira|bugzilla)){_SPACES}{_MARKS}{_SPACES}:(?P<value>[^\r\n]*+)"
)
#: Starts behind no part of another address, ends before a character outside of RFC 3986.
_ADDRESS = re.compile(
    r"(?<![A-Za-z0-9!#$%&+./:=?@)\]}\\^-])(?ai:https?)://(?:\[[0-9A-Fa-f:.]+\])?"
    r"[^\s<>\"\\^`{|}\[\]]*+(?P<tag><(?=[A-Za-z])(?!(?i:br)\b))?"
)
_HAS_HOST = re.compile(r"[^:]+://(?:\w|\[)")
_BRACKET = re.compile(r"[()]")
#: Part of an address in its middle; punctuation or invisible at its end.
_PUNCTUATION = ".,:;!?'*_~(\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"
#: A character reference, such as ``&nbsp;``.
_ENTITY = re.compile(r"&(?:[A-Za-z][A-Za-z0-9]{1,30}|#[0-9]{1,7});\Z")


class Trailers(Struct, frozen=True):
    """The links of a description's trailers, in order and without repeats."""

    jira: tuple[str, ...]
    bugzilla: tuple[str, ...]


def trailers(description: str | None) -> Trailers:
    """Find the links of a description's ``JIRA:`` and ``Bugzilla:`` trailers."""
    links: dict[str, dict[str, None]] = {"jira": {}, "bugzilla": {}}
    for found in islice(_TRAILER.finditer(description or ""), _MOST_TRAILERS):
        if link := _link(found["value"]):
            links[found["name"].lower()][link] = None
    return Trailers(tuple(links["jira"]), tuple(links["bugzilla"]))


def _link(text: str) -> str:
    """Return the first address in a text, ``""`` for none or an invalid one."""
    found = _ADDRESS.search(text)
    if found is None or found["tag"] or len(found[0]) > _LONGEST_LINK:
        return ""
    link = _trimmed(_balanced(found[0]))
    return link if link.isprintable() and _HAS_HOST.match(link) else ""


def _balanced(text: str) -> str:
    """Return the text up to the first closing bracket without an opening one."""
    depth = 0
    for found in _BRACKET.finditer(text):
        depth += 1 if found[0] == "(" else -1
        if depth < 0:
            return text[: found.start()]
    return text


def _trimmed(text: str) -> str:
    """Return a text without punctuation at its end, but with a closing bracket."""
    end = len(text)
    while end:
        last = text[end - 1]
        if last == ";" and (entity := _ENTITY.search(text, max(0, end - 40), end)):
            end = entity.start()
        elif last in _PUNCTUATION or (
            not last.isascii() and unicodedata.category(last).startswith("P")
        ):
            end -= 1
        else:
            break
    return text[:end]
