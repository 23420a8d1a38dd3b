"""Text of unknown origin, made fit to be shown to a person."""

from typing import Final

#: What is shown of one text has at most so many characters.
LONGEST: Final = 500


def printable(text: str) -> str:
    """Escape what is no visible character or space: controls, and what turns the text around."""
    if text.isprintable():
        return text
    return "".join(
        it if it.isprintable() else it.encode("unicode_escape").decode("ascii") for it in text
    )


def cut(text: str, longest: int = LONGEST) -> str:
    """Cut a text to this many characters; the last one is an ellipsis then."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
