"""Mistyped values that would be accepted: quotes, spaces, near misses of an environment."""

import re
import unicodedata
from itertools import takewhile
from typing import Final

#: The environments that publish messages; any other only prints them.
SENDING_ENVIRONMENTS: Final = frozenset({"production", "staging"})
#: Their usual short forms.
_CALLED: Final = {
    **{name: name for name in SENDING_ENVIRONMENTS},
    **dict.fromkeys(("prod", "prd"), "production"),
    **dict.fromkeys(("stage", "stag", "stg"), "staging"),
}
#: Pairs of quotes around a value.
_QUOTES: Final = frozenset({'""', "''", "``", "\u201c\u201d", "\u201e\u201c", "\u2018\u2019"})


def check_ends(text: str, *, is_spaced: bool = False) -> None:
    """Raise ValueError for spaces, line ends or quotes around a value.

    Args:
        text: the value.
        is_spaced: whether surrounding whitespace is ignored anyway.
    """
    core = text.strip()
    if not is_spaced and text != core:
        if not core:
            raise ValueError("contains only spaces; unset it, or write a value")
        what = "begins" if text[0].isspace() else "ends"
        raise ValueError(f"{what} with a space or a line end; remove it")
    if len(core) > 1 and core[0] + core[-1] in _QUOTES:
        raise ValueError("is in quotes, which would be part of the value; remove them")


def check_visible(text: str, *, is_secret: bool = False) -> None:
    """Raise ValueError for invisible characters, which it names unless the value is a secret."""
    if hidden := [it for it in text if not it.isprintable()]:
        which = "" if is_secret else f" ({', '.join(f'U+{ord(it):04X}' for it in hidden)})"
        raise ValueError(f"contains invisible characters{which}; remove them")


def environment(text: str) -> str:
    """Return the name of an environment.

    Raises:
        ValueError: it is a near miss of one that publishes messages.
    """
    meant = meant_environment(text)
    if meant != text:
        raise ValueError(f"{text!r} is not {meant!r}, and would publish no message; write {meant}")
    return text


def meant_environment(text: str) -> str:
    """Return the publishing environment that a text is a near miss of, else the text itself.

    A near miss differs by case, quotes, spaces, punctuation, a ``NAME=`` before it, or by one
    letter: wrong, missing, added, or swapped with the next. A short form is one, too. A name with
    an additional part or digit (``pre-production``, ``staging-2``) is a different environment.
    """
    plain = unicodedata.normalize("NFKC", text).casefold().strip("=").rpartition("=")[2]
    words = re.split(r"[\s,;#]+", plain.strip())
    for candidate in ("".join(words), words[0]):
        name = "".join(it for it in candidate if it.isalnum())
        if name in _CALLED:
            return _CALLED[name]
        for sending in SENDING_ENVIRONMENTS:
            if name.isalpha() and _is_slip(name, sending):
                return sending
    return text


def _is_slip(text: str, word: str) -> bool:
    """Tell whether at most one letter is wrong, missing, added, or swapped with the next."""
    pairs = zip(text, word, strict=False)
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    found, due = text[same:], word[same:]
    swapped = found[1:2] + found[:1] + found[2:]
    return due in (swapped, found[1:]) or due[1:] in (found, found[1:])
