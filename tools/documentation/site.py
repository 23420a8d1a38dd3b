"""A hook of mkdocs: more pages, and links as the site needs them.

The pages are written for readers of the repository. There, a link is best named after its file; in
the site, after the page's title. A link to a file that is no page of the site leads to the
repository.
"""

import logging
import re
from os.path import normpath
from pathlib import PurePosixPath
from typing import Any, Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from tools import PROJECT

#: Pages of the site that are not in docs/, and what they are called there.
ROOT_PAGES: Final = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
}
#: Long lists have most words, and answer few questions: the search names them last.
_SEARCHED_LAST: Final = {"changelog.md", "reliability.md", "reliability-rabbitmq-4.md"}
_REPOSITORY = "https://gitlab.com/cki-project/cki-notifier"
_CALLED_BY_FILE = re.compile(r"\[([\w-]+\.md)\](?=\(\1[)#])")
_LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)#\s]+)")

logger = logging.getLogger("mkdocs.hooks.site")


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Return the site's files with the pages from outside docs/."""
    for name, page in ROOT_PAGES.items():
        files.append(File.generated(config, page, abs_src_path=str(PROJECT / name)))
    return files


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Return a page with its links as the site needs them.

    A link to a missing file is a warning, which fails a strict build.

    Args:
        markdown: the page's text.
        page: knows its file.
    """
    uri = page.file.src_uri
    if uri == "index.md":
        page.meta["hide"] = ["navigation", "toc"]
    if uri in _SEARCHED_LAST:
        page.meta["search"] = {"boost": 0.1}
    folder = PurePosixPath("." if uri in ROOT_PAGES.values() else "docs")

    def target(link: re.Match[str]) -> str:
        path = normpath(folder / link[1])
        if path in ROOT_PAGES:
            return ROOT_PAGES[path]
        if path.startswith("docs/") and not (PROJECT / path).is_dir():
            return path.removeprefix("docs/")
        if not (PROJECT / path).exists():
            logger.warning("%s links to %s, which is not there", uri, link[0])
        kind = "tree" if (PROJECT / path).is_dir() else "blob"
        return f"{_REPOSITORY}/-/{kind}/main/{path}"

    def title(link: re.Match[str]) -> str:
        heading = (PROJECT / folder / link[1]).read_text().partition("\n")[0]
        return f"[{heading.removeprefix('# ')}]"

    return _LINK.sub(target, _CALLED_BY_FILE.sub(title, markdown))
