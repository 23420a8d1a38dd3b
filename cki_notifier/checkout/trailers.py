r"""The trailers in a merge request's description: lines like ``JIRA: https://host/browse/RHEL-1``.

People write Markdown: the line is an item of a list, its name is bold, its link stands in ``<…>``
or in ``[RHEL-1](…)``, a backslash or two spaces break the line, a full stop follows, spaces don't
break. The link is the first http(s) address behind the colon, without what only Markdown or
punctuation put at its end. A value without one (``JIRA: INTERNAL``) is left out.

Nothing here looks at any part of a text more than a few times, whatever the text is.
"""

import re
import unicodedata
from itertools import islice

from msgspec import Struct

#: No more trailers are looked at, and no longer link is one, in characters.
_MOST_TRAILERS, _LONGEST_LINK = 1_000, 2_000
#: Spaces of all kinds, but no end of a line, and nothing that can't be seen.
_SPACES = r"[\t\v\f \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]*+"
#: What makes a word bold, italic, code or struck through.
_MARKS = r"[*_~`]*+"
#: ASCII letters alone: Unicode has an i without a dot and a long s, of the same upper case as ours.
_TRAILER = re.compile(
    rf"(?<![^\r\n]){_SPACES}"
    rf"(?:(?:[-+*]|\d{{1,9}}[.)]|\#{{1,6}})[ \t\xa0]{_SPACES}(?:\[[ xX]\]{_SPACES})?)?+"
    rf"{_MARKS}(?P<name>(?ai:jira|bugzilla)){_SPACES}{_MARKS}{_SPACES}:(?P<value>[^\r\n]*+)"
)
#: It begins behind no part of another address, and ends before what none holds as it is (RFC 3986).
_ADDRESS = re.compile(
    r"(?<![A-Za-z0-9!#$%&+./:=?@)\]}\\^-])(?ai:https?)://(?:\[[0-9A-Fa-f:.]+\])?"
    r"[^\s<>\"\\^`{|}\[\]]*+(?P<tag><(?=[A-Za-z])(?!(?i:br)\b))?"
)
_HAS_HOST = re.compile(r"[^:]+://(?:\w|\[)")
_BRACKET = re.compile(r"[()]")
#: Of an address these are a part where more of it follows; at its end they are punctuation, or
#: nothing that can be seen.
_PUNCTUATION = ".,:;!?'*_~(\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"
#: The name of a character, like that of the space that does not break.
_ENTITY = re.compile(r"&(?:[A-Za-z][A-Za-z0-9]{1,30}|#[0-9]{1,7});\Z")


class Trailers(Struct, frozen=True):
    """The links on lines of their own in a description, in their order, each once."""

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
    """Return the first address in a text, ``""`` when there is none that can be used."""
    found = _ADDRESS.search(text)
    if found is None or found["tag"] or len(found[0]) > _LONGEST_LINK:
        return ""
    link = _trimmed(_balanced(found[0]))
    return link if link.isprintable() and _HAS_HOST.match(link) else ""


def _balanced(text: str) -> str:
    """Return what is before the first bracket that closes one outside of the text."""
    depth = 0
    for found in _BRACKET.finditer(text):
        depth += 1 if found[0] == "(" else -1
        if depth < 0:
            return text[: found.start()]
    return text


def _trimmed(text: str) -> str:
    """Return a text without punctuation at its end; a bracket that closes one in it stays."""
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
