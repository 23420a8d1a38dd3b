"""Checks the words of the project.

::

    python -m tools.prose                  all of them
    python -m tools.prose docs README.md   these files and folders alone

``scripts/setup.sh need_textlint`` gets the linter.
"""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tools import PROJECT
from tools.prose.lint import LinterFailed, complaints

_FINE, _WRONG, _FAILED = 0, 1, 2
_KINDS: Final = {"", ".env", ".md", ".py", ".service", ".sh", ".timer", ".toml", ".yaml", ".yml"}


def main() -> int:
    """Print what is to be written again; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.prose", description="Checks the words of the project."
    )
    parser.add_argument("paths", nargs="*", help="files and folders; everything without them")
    try:
        found = sorted(complaints(_files(parser.parse_args().paths)))
    except LinterFailed as error:
        print(f"textlint failed; scripts/setup.sh need_textlint installs it\n{error}")
        return _FAILED
    for it in found:
        print(f"{it.file}:{it.line}: {it.text}")
    print(f"{len(found)} to be written again" if found else "all sentences are fine")
    return _WRONG if found else _FINE


def _files(paths: Sequence[str]) -> list[Path]:
    """Return what git knows of, in these places."""
    kinds = ["--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(
        ["git", "ls-files", "-z", *kinds, "--", *paths],  # noqa: S607  # the user's own git
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    files = (Path(it) for it in listed if it)
    return [it for it in files if it.suffix in _KINDS and (PROJECT / it).is_file()]


if __name__ == "__main__":
    sys.exit(main())
