"""Markdown: tables, and the generated parts of a page."""

from collections.abc import Iterable, Sequence

BEGIN, END = "<!-- made by python -m tools.documentation -->", "<!-- end -->"


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; the cells are Markdown, and a bar in one is escaped."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |".replace("|  |", "| |") for line in lines)


def code(text: str) -> str:
    """Return a text as code, and nothing for none."""
    return f"`{text}`" if text else ""


def sentence(text: str) -> str:
    """Return a text that begins with a capital and ends with a full stop."""
    return f"{text[:1].upper()}{text[1:].removesuffix('.')}."


def put(text: str, part: str) -> str:
    """Put a part between the marks of a page, in place of what is there.

    Raises:
        ValueError: the page does not have both marks exactly once, in their order.
    """
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not end or BEGIN in tail or END in head + tail:
        raise ValueError(f"it needs one {BEGIN} and behind it one {END}")
    return f"{head}{begin}\n\n{part.strip()}\n\n{end}{tail}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
