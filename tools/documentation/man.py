"""The man page, docs/cki-notifier.1, made from the parser of the command line."""

import os
from typing import Any

from argparse_manpage.manpage import Manpage  # type: ignore[import-untyped]  # has no types

from cki_notifier import __version__
from cki_notifier.cli import parser

#: The width of the usage lines, in characters.
_TERMINAL = {"COLUMNS": "100"}
_DOCUMENTATION = "https://gitlab.com/cki-project/cki-notifier/-/blob/main/docs"


def page() -> str:
    """Return the page in roff."""
    os.environ.update(_TERMINAL)
    whole: Any = parser()
    exit_status, whole.epilog = whole.epilog, None
    whole._manpage = [  # noqa: SLF001  # how argparse-manpage is told of more sections
        {"heading": "exit status", "content": exit_status},
        {"heading": "environment", "content": f"See {_DOCUMENTATION}/configuration.md"},
        {"heading": "see also", "content": f"{_DOCUMENTATION}/index.md"},
    ]
    data = {
        "date": f"version {__version__}",  # the same whenever it is made
        "description": "tell outside testers over Kafka that a CKI kernel is ready for their tests",
        "manual_title": "User Commands",
    }
    return str(Manpage(whole, data, format="single-commands-section"))
