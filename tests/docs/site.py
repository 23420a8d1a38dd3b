"""The built site, as a reader's browser would see it, without a browser."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple, Self
from urllib.parse import unquote, urlsplit

#: Attributes by which a page has something loaded, or leads somewhere.
_ADDRESSES = ("href", "src", "srcset", "poster", "data", "action")
_URL = re.compile(r"url\(\s*['\"]?([^'\")]+)|@import\s+['\"]([^'\"]+)")


class Address(NamedTuple):
    """An address in a page: on which element it is, and what it says."""

    element: str
    relation: str
    text: str

    @property
    def is_elsewhere(self) -> bool:
        """Whether it names another host, or a scheme that is not a page's."""
        parts = urlsplit(self.text)
        return bool(parts.scheme or parts.netloc)

    @property
    def is_loaded(self) -> bool:
        """Whether a browser asks for it by itself, not when somebody follows it."""
        if self.element == "link":
            return self.relation not in {"canonical", "next", "prev", "edit"}
        return self.element not in {"a", "form"}


class Page(HTMLParser):
    """A page of the site: its addresses, its anchors, and how often each element is there."""

    def __init__(self, path: Path) -> None:
        """Read the page."""
        super().__init__()
        self.path = path
        self.addresses: list[Address] = []
        self.anchors: set[str] = set()
        self.styles = ""
        self.article: dict[str, int] = {}
        self._within: list[str] = []
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what an element has."""
        attributes = {name: value or "" for name, value in attrs}
        self.styles += attributes.get("style", "")
        self.anchors |= {attributes[name] for name in ("id", "name") if attributes.get(name)}
        for name in _ADDRESSES:
            if name in attributes:
                relation = attributes.get("rel", "")
                self.addresses.append(Address(tag, relation, attributes[name]))
        self._within.append(tag)
        if "article" in self._within:
            self.article[tag] = self.article.get(tag, 0) + 1

    def handle_endtag(self, tag: str) -> None:
        """Note that an element ends, and with it those within that nothing ended."""
        if tag in self._within:
            while self._within.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        """Note the styles."""
        if self._within[-1:] == ["style"]:
            self.styles += data


class Site:
    """The built site."""

    def __init__(self, folder: Path) -> None:
        """Read its pages."""
        self.folder = folder
        self.pages = {path: Page(path) for path in sorted(folder.rglob("*.html"))}

    def loaded_from_elsewhere(self) -> Iterator[str]:
        """Yield what a browser would ask other hosts for, by what pages and style sheets say."""
        for page in self.pages.values():
            for address in page.addresses:
                if address.is_elsewhere and address.is_loaded and not _is_data(address.text):
                    yield f"{page.path.name}: {address}"
            yield from _urls_elsewhere(page.path, page.styles)
        for path in self.folder.rglob("*.css"):
            yield from _urls_elsewhere(path, path.read_text())

    def dead_links(self) -> Iterator[str]:
        """Yield what leads nowhere within the site, or is no proper address."""
        for page in self.pages.values():
            for address in page.addresses:
                if fault := self._fault(page, address):
                    yield f"{page.path.name}: {address.text}: {fault}"

    def _fault(self, page: Page, address: Address) -> str:
        parts = urlsplit(address.text)
        if address.is_elsewhere:
            is_proper = parts.scheme in {"http", "https"} and parts.hostname
            return "" if is_proper or _is_data(address.text) else "is no address"
        base = self.folder if parts.path.startswith("/") else page.path.parent
        path = (base / unquote(parts.path).lstrip("/")).resolve() if parts.path else page.path
        path = path / "index.html" if path.is_dir() else path
        if not path.is_file():
            return "is not there"
        target = self.pages.get(path)
        anchor = unquote(parts.fragment)
        return "has no such anchor" if anchor and target and anchor not in target.anchors else ""


def _is_data(address: str) -> bool:
    return address.startswith("data:")


def _urls_elsewhere(path: Path, style: str) -> Iterator[str]:
    for found in _URL.findall(style):
        address = Address("style", "", "".join(found))
        if address.is_elsewhere and not _is_data(address.text):
            yield f"{path.name}: {address.text}"


class Outline(dict[str, int]):
    """How many lists, tables, code blocks and the like there are in a page."""

    @classmethod
    def of(cls, counts: dict[str, int]) -> Self:
        """Take what is comparable out of the numbers of all elements."""
        elements = ("h1", "h2", "h3", "h4", "ul", "ol", "li", "table", "tr", "pre", "img")
        return cls({name: counts.get(name, 0) for name in elements})
