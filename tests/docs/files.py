"""The pages as the repository has them."""

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

from tools import PROJECT

README = PROJECT / "README.md"
DOCS = sorted((PROJECT / "docs").glob("*.md"))

_BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")


def blocks(page: Path, language: str) -> list[str]:
    """Return a page's blocks of code in a language."""
    found = _BLOCK.findall(page.read_text())
    return [textwrap.dedent(text) for _, of, text in found if of == language]


def links(page: Path) -> Iterator[str]:
    """Yield the addresses a page leads to, without those of its blocks of code."""
    yield from _LINK.findall(_BLOCK.sub("", page.read_text()))
