"""The blocks of code on a page."""

import re
from typing import Final, NamedTuple

_BLOCK: Final = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A fenced block.

    Attributes:
        language: the word behind the fence, or ``""``.
        text: with its last line end.
    """

    language: str
    text: str


def blocks(page: str, language: str | None = None) -> list[Block]:
    """Return all blocks of a page in their order, or those in a language."""
    found = (Block(it["language"], it["text"]) for it in _BLOCK.finditer(page))
    return [it for it in found if language in (None, it.language)]
