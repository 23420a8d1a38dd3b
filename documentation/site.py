"""What mkdocs is told beyond mkdocs.yml, as a hook: where links out of docs/ lead.

A page links to a file of the repository by its path from docs/, so that the link works where the
repository is looked at. The site has no such file: there the link leads into the repository.
"""

import logging
import re
from pathlib import Path
from typing import Any

_PROJECT = Path(__file__).resolve().parent.parent
_REPOSITORY = "https://gitlab.com/cki-project/cki-notifier"
_LINK = re.compile(r"(?<=\]\()\.\./([^)#\s]*)")

logger = logging.getLogger("mkdocs.hooks.site")


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Return a page with its links out of docs/ led into the repository.

    A link to what is not there is warned of, which fails a strict build.

    Args:
        markdown: the page's text.
        page: knows its file, for the warning.
    """

    def led(link: re.Match[str]) -> str:
        path = _PROJECT / link[1]
        if not path.exists():
            logger.warning("%s links to %s, which is not there", page.file.src_uri, link[0])
        kind = "tree" if path.is_dir() else "blob"
        return f"{_REPOSITORY}/-/{kind}/main/{link[1]}"

    return _LINK.sub(led, markdown)
