"""What looks right and isn't: values that nobody means as they are."""

import re
import unicodedata
from itertools import takewhile
from typing import Final

#: Where messages are sent; anywhere else they are only shown.
SENDING_ENVIRONMENTS: Final = frozenset({"production", "staging"})
#: What people call these two.
_CALLED: Final = {
    **{name: name for name in SENDING_ENVIRONMENTS},
    **dict.fromkeys(("prod", "prd"), "production"),
    **dict.fromkeys(("stage", "stag", "stg"), "staging"),
}
#: What shells and people put around a value.
_QUOTES: Final = frozenset({'""', "''", "``", "\u201c\u201d", "\u201e\u201c", "\u2018\u2019"})


def check_ends(text: str, *, is_spaced: bool = False) -> None:
    """Raise ValueError for what is around a value that nobody means.

    Args:
        text: the value.
        is_spaced: whether spaces and line ends around it make no difference anyway.
    """
    core = text.strip()
    if not is_spaced and text != core:
        if not core:
            raise ValueError("holds nothing but spaces; take them away")
        where = "beginning" if text[0].isspace() else "end"
        raise ValueError(f"has a space or a line end at its {where}; write it without")
    if len(core) > 1 and core[0] + core[-1] in _QUOTES:
        raise ValueError("has quotes around it, which are part of the value here; write it without")


def check_visible(text: str, *, is_secret: bool = False) -> None:
    """Raise ValueError for a character that nobody can see; which one, unless it is a secret's."""
    if hidden := [it for it in text if not it.isprintable()]:
        which = "" if is_secret else f" ({', '.join(f'U+{ord(it):04X}' for it in hidden)})"
        raise ValueError(f"holds what can't be seen{which}; write it without")


def environment(text: str) -> str:
    """Return the name of an environment, unless another one is surely meant.

    Raises:
        ValueError: for what looks like one that sends, and would send nothing.
    """
    meant = meant_environment(text)
    if meant != text:
        raise ValueError(f"{text!r} is not {meant!r}, and would send nothing; write {meant}")
    return text


def meant_environment(text: str) -> str:
    """Return the environment that is surely meant: one of the two that send, or the text itself.

    Letters' case, quotes, spaces, punctuation and what is behind them make no difference, nor does
    an equals sign with anything before it, a short form, or a single letter that is wrong, missing,
    too many, or has changed places with the next. A name with a part or a digit more
    (``pre-production``, ``staging-2``) is another environment's.
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
    """Tell whether one letter at most is wrong, missing, too many, or changed with the next."""
    pairs = zip(text, word, strict=False)
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    found, due = text[same:], word[same:]
    swapped = found[1:2] + found[:1] + found[2:]
    return due in (swapped, found[1:]) or due[1:] in (found, found[1:])
