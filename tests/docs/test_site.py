"""The site: every link leads somewhere, nothing comes from elsewhere, and pages look as written."""

import logging
import re
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote

import pytest
from markdown_it import MarkdownIt
from PIL import Image

from tests.brokers.stage import eventually
from tests.docs.files import DOCS, README, links
from tests.docs.site import Outline, Page, Site
from tests.web.browser.chromium import NARROW, WIDE, Chromium
from tests.web.browser.screenshots import picture
from tools import PROJECT
from tools.documentation.site import on_page_markdown

#: The pages that a reader sees first, a desktop's window, and where the pictures go.
FIRST = ("index", "tutorial", "read-the-topic", "deploy", "runbook")
DESKTOP = (1440, 900)
PICTURES = PROJECT / "build" / "screenshots"
COLOURS = 256
#: People search for these words, and expect this page.
SEARCHES = {
    "CKINotifierTokenRefused": "runbook.html",
    "SASL": "configuration.html",
    "duplicate": "delivery.html",
    "lost": "audit.html",
    "memory": "configuration.html",
    "proxy": "configuration.html",
    "replay": "dead-letters.html",
    "systemd": "systemd.html",
    "upgrade": "upgrade.html",
}
#: The first pages that a search finds, without repetitions.
RESULTS = """
const links = [...document.querySelectorAll(".md-search-result__link")];
return [...new Set(links.map(it => new URL(it.href).pathname.slice(1)))].slice(0, arguments[0]);
"""
MANY = 3
README_PAGE = """<!doctype html>
<meta charset="utf-8"><meta name="viewport" content="width=device-width">
<base href="{base}/"><title>README</title>
<style>
  body {{ font: 16px/1.5 sans-serif; max-width: 980px; margin: 0 auto; padding: 16px }}
  img {{ max-width: 100% }}
  pre {{ background: #f6f8fa; padding: 16px; overflow: auto }}
</style>
{html}"""
REPOSITORY = "https://gitlab.com/cki-project/cki-notifier/-"
PAGE = SimpleNamespace(file=SimpleNamespace(src_uri="a.md"))


def written(folder: Path, html: str) -> Site:
    """Return a site of one page, beside a page with an anchor and a picture."""
    (folder / "page.html").write_text(html)
    (folder / "other.html").write_text('<article><h2 id="there">There</h2></article>')
    (folder / "picture.svg").write_text("<svg/>")
    return Site(folder)


def test_every_link_leads_somewhere(site: Site) -> None:
    """To a file and an anchor that the site has, or to a proper address elsewhere."""
    assert len(site.pages) > len(DOCS)
    assert list(site.dead_links()) == []


def test_nothing_is_loaded_from_elsewhere(site: Site) -> None:
    """No script, style, font or picture: who reads this is told to nobody."""
    assert list(site.loaded_from_elsewhere()) == []


@pytest.mark.parametrize(
    ("html", "fault"),
    [
        ('<a href="missing.html">', "is not there"),
        ('<a href="other.html#nowhere">', "has no such anchor"),
        ('<a href="#nowhere">', "has no such anchor"),
        ('<img src="missing.svg">', "is not there"),
        ('<a href="https:///path">', "is no address"),
        ('<a href="htps://host/">', "is no address"),
    ],
)
def test_a_dead_link_is_noticed(tmp_path: Path, html: str, fault: str) -> None:
    """The check sees each kind."""
    (found,) = written(tmp_path, html).dead_links()
    assert found.endswith(fault)


def test_a_link_that_leads_somewhere_is_fine(tmp_path: Path) -> None:
    """The check takes what is right."""
    page = '<a href="other.html#there"></a><a href="https://kafka.apache.org/"></a><p id="here">'
    assert not list(
        written(tmp_path, f'{page}<a href="#here"><img src="picture.svg">').dead_links()
    )


@pytest.mark.parametrize(
    "html",
    [
        '<script src="https://cdn.example/a.js"></script>',
        '<script src="//cdn.example/a.js"></script>',
        '<link rel="stylesheet" href="https://cdn.example/a.css">',
        '<link rel="preconnect" href="https://fonts.example" crossorigin>',
        '<img src="https://cdn.example/a.svg">',
        '<style>@import "https://cdn.example/a.css";</style>',
        '<p style="background: url(https://cdn.example/a.png)">',
    ],
)
def test_what_comes_from_elsewhere_is_noticed(tmp_path: Path, html: str) -> None:
    """The check sees each kind; a link that somebody may follow is none."""
    assert len(list(written(tmp_path, html).loaded_from_elsewhere())) == 1
    assert not list(written(tmp_path, '<a href="https://a.example/">').loaded_from_elsewhere())


@pytest.mark.parametrize("page", DOCS, ids=lambda it: it.stem)
def test_the_site_shows_a_page_as_the_repository_does(
    site: Site, tmp_path: Path, page: Path
) -> None:
    """As many headings, lists, tables and blocks: the site's Markdown is not the repository's.

    GitLab's is CommonMark. mkdocs wants lists indented by four spaces, and makes one paragraph of
    what is less.
    """
    html = MarkdownIt("commonmark", {"html": True}).enable("table").render(page.read_text())
    (tmp_path / "page.html").write_text(f"<article>{html}</article>")
    shown = site.pages[site.folder / f"{page.stem}.html"]
    assert Outline.of(shown.article) == Outline.of(Page(tmp_path / "page.html").article)


def test_pages_can_be_read_in_a_browser(site: Site, served: str, tmp_path: Path) -> None:
    """All on a phone, some on a desktop: no error, no request to others, nothing too wide.

    The browser can reach no other host, and complains about each request to one.
    """
    with Chromium(tmp_path / "chromium") as chromium:
        pages = [path.name for path in site.pages]
        for size, scheme, names in ((WIDE, "light", pages[::8]), (NARROW, "dark", pages)):
            chromium.look(size, scheme)
            for name in names:
                chromium.driver.get(f"{served}/{name}")
                too_wide = chromium.driver.execute_script(
                    "return document.documentElement.scrollWidth > window.innerWidth"
                )
                assert (name, chromium.complaints(), too_wide) == (name, [], False)


def test_first_pages_have_their_pictures_taken(
    site: Site, served: str, readme: Path, tmp_path: Path
) -> None:
    """README and the pages that the home page's cards lead to: build/screenshots, for reviewers."""
    urls = {name: f"{served}/{name}.html" for name in FIRST} | {"readme": readme.as_uri()}
    home = (site.folder / "index.html").read_text()
    PICTURES.mkdir(parents=True, exist_ok=True)
    with Chromium(tmp_path / "chromium") as chromium:
        for name, url in urls.items():
            assert name in {"index", "readme"} or f'<a href="{name}.html">' in home
            for width, size in (("1440", DESKTOP), ("390", NARROW)):
                file = PICTURES / f"docs-{name}-{width}.png"
                picture(chromium, url, file, size=size, scheme="light")
                with Image.open(file) as image:
                    assert len(image.getcolors(COLOURS) or ()) > 10, "not blank"
                assert chromium.complaints() == []


def test_the_search_finds_what_people_type(served: str, tmp_path: Path) -> None:
    """The page that answers is among the first results."""
    with Chromium(tmp_path / "chromium") as chromium:
        chromium.look()
        for words, page in SEARCHES.items():
            chromium.driver.get(f"{served}/index.html?q={quote(words)}")

            def is_found(page: str = page) -> bool:
                return page in chromium.driver.execute_script(RESULTS, MANY)

            eventually(is_found, what=f"{page} for {words}")
        assert chromium.complaints() == []


def test_a_link_out_of_the_pages_leads_into_the_repository() -> None:
    """To a file, a folder, or a part of a file."""
    text = "[a](../cki_notifier/cli.py), [b](../tools), [c](rules.md), [d](../README.md#try-it)"
    assert on_page_markdown(text, page=PAGE) == (
        f"[a]({REPOSITORY}/blob/main/cki_notifier/cli.py), [b]({REPOSITORY}/tree/main/tools), "
        f"[c](rules.md), [d]({REPOSITORY}/blob/main/README.md#try-it)"
    )


def test_a_page_that_is_called_by_its_file_has_its_title_in_the_site() -> None:
    """With or without an anchor. A link with other words stays as it is."""
    text = "[rules.md](rules.md), [delivery.md](delivery.md#order), [order](delivery.md#order)"
    shown = "[Rules](rules.md), [Delivery](delivery.md#order), [order](delivery.md#order)"
    assert on_page_markdown(text, page=PAGE) == shown


def test_a_link_to_no_file_fails_the_build(caplog: pytest.LogCaptureFixture) -> None:
    """By a warning, which a strict build takes for an error."""
    with caplog.at_level(logging.WARNING, "mkdocs.hooks.site"):
        on_page_markdown("[a](../cki_notifier/nowhere.py)", page=PAGE)
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("mkdocs.hooks.site", "WARNING")
    assert record.getMessage() == "a.md links to ../cki_notifier/nowhere.py, which is not there"


@pytest.fixture
def readme(tmp_path: Path) -> Path:
    """README as a forge shows it: its column, its font and its tables' lines."""
    html = MarkdownIt("commonmark", {"html": True}).enable("table").render(README.read_text())
    file = tmp_path / "readme.html"
    file.write_text(README_PAGE.format(base=PROJECT.as_uri(), html=html))
    return file


def test_readme_is_a_screen_and_leads_somewhere() -> None:
    """It has few lines, and each file that it links to is there."""
    assert len(README.read_text().splitlines()) <= 60
    inside = [link for link in links(README) if "://" not in link]
    inside += re.findall(r'(?:src|srcset)="([^"]+)"', README.read_text())
    assert inside
    assert [link for link in inside if not (PROJECT / link.partition("#")[0]).exists()] == []
