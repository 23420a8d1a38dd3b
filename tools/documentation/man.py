"""The man page, docs/cki-notifier.1: a section with the help text of each command.

argparse-manpage could make it, but has no wheel, and the lock files allow only wheels.
"""

from cki_notifier import __version__
from cki_notifier.cli import parser
from tools.documentation.command_line import helps

_DOCUMENTATION = "https://gitlab.com/cki-project/cki-notifier/-/blob/main/docs"


def page() -> str:
    """Return the page in roff (groff_man(7))."""
    lines = [
        f'.TH CKI-NOTIFIER 1 "" "cki-notifier {__version__}" "User Commands"',
        ".SH NAME",
        rf"cki-notifier \- {_escaped(str(parser().description).partition('.')[0])}",
    ]
    for command, text in helps(78):
        name = " ".join(["cki-notifier", *command])
        lines += [f'.SH "{name.upper()}"', ".nf", *map(_escaped, text.strip().split("\n")), ".fi"]
    see_also = [f"{_DOCUMENTATION}/{it}.md" for it in ("index", "configuration", "command-line")]
    return "\n".join([*lines, ".SH SEE ALSO", *(f".UR {it}\n.UE" for it in see_also), ""])


def _escaped(line: str) -> str:
    r"""Escape a line for roff. ``\&`` keeps a leading dot from being a request."""
    shown = line.replace("\\", r"\e").replace("-", r"\-")
    return rf"\&{shown}" if shown.startswith((".", "'")) else shown
