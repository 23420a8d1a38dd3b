"""Makes text of unknown origin safe to show."""

from typing import Final

#: The most characters shown of one text.
LONGEST: Final = 500


def printable(text: str) -> str:
    """Escape all but visible characters and spaces: controls, and changes of text direction."""
    if text.isprintable():
        return text
    return "".join(
        it if it.isprintable() else it.encode("unicode_escape").decode("ascii") for it in text
    )


def cut(text: str, longest: int = LONGEST) -> str:
    """Cut a text to this many characters, of which the last is an ellipsis."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
