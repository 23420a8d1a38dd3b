"""Text of unknown origin, made fit to be shown to a person."""


def printable(text: str) -> str:
    """Escape what is no visible character or space: controls, and what turns the text around."""
    if text.isprintable():
        return text
    return "".join(
        it if it.isprintable() else it.encode("unicode_escape").decode("ascii") for it in text
    )
