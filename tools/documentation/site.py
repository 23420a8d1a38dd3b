"""What mkdocs is told beyond mkdocs.yml, as a hook: what links are called, and where they lead.

The pages are written for whoever reads them in the repository. There, a page is best called by its
file's name; in the site, by its title. A link to a file out of docs/ works in the repository; the
site has no such file, so there it leads into the repository.
"""

import logging
import re
from typing import Any

from tools import PROJECT

_REPOSITORY = "https://gitlab.com/cki-project/cki-notifier"
_CALLED_BY_FILE = re.compile(r"\[([\w-]+\.md)\](?=\(\1[)#])")
_LINK = re.compile(r"(?<=\]\()\.\./([^)#\s]*)")

logger = logging.getLogger("mkdocs.hooks.site")


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Return a page with its links as the site needs them.

    A link to what is not there is warned of, which fails a strict build.

    Args:
        markdown: the page's text.
        page: knows its file, for the warning.
    """

    def led(link: re.Match[str]) -> str:
        path = PROJECT / link[1]
        if not path.exists():
            logger.warning("%s links to %s, which is not there", page.file.src_uri, link[0])
        kind = "tree" if path.is_dir() else "blob"
        return f"{_REPOSITORY}/-/{kind}/main/{link[1]}"

    return _LINK.sub(led, _CALLED_BY_FILE.sub(_called_by_title, markdown))


def _called_by_title(link: re.Match[str]) -> str:
    heading = (PROJECT / "docs" / link[1]).read_text().partition("\n")[0]
    return f"[{heading.removeprefix('# ')}]"
