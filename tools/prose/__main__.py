"""Checks the words of the project.

::

    python -m tools.prose                  all of them
    python -m tools.prose docs README.md   these files and folders alone

``scripts/setup.sh need_textlint`` gets the linter.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from tools import PROJECT
from tools.prose.extract import passages

_HERE: Final = Path(__file__).parent
_MODULES: Final = PROJECT / ".cache" / "textlint" / "node_modules"
_NODE: Final = Path(sys.executable).with_name("node")
_FINE, _WRONG = 0, 1
_KINDS: Final = {"", ".md", ".py", ".sh", ".yaml", ".yml"}


def main() -> int:
    """Print what is to be written again; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.prose", description="Checks the words of the project."
    )
    parser.add_argument("paths", nargs="*", help="files and folders; everything without them")
    found = sorted(_complaints(_files(parser.parse_args().paths)))
    for path, line, complaint in found:
        print(f"{path}:{line}: {complaint}")
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


def _complaints(files: Sequence[Path]) -> Iterator[tuple[str, int, str]]:
    """Yield the file, the line in it, and the complaint."""
    with TemporaryDirectory() as folder:
        texts, lines = dict[Path, Path](), dict[Path, list[int]]()
        for number, file in enumerate(files):
            if file.suffix == ".md":
                texts[PROJECT / file] = file
                continue
            text = Path(folder) / f"{number}.md"
            texts[text], lines[text] = file, []
            with text.open("w") as stream:
                for passage in passages(PROJECT / file):
                    stream.write(f"{passage.text}\n\n")
                    count = passage.text.count("\n") + 1
                    lines[text] += [*range(passage.line, passage.line + count), passage.line]
        for answer in _lint(list(texts)):
            text = Path(answer["filePath"])
            for message in answer["messages"]:
                line = message["line"]
                line = lines[text][line - 1] if text in lines else line
                yield str(texts[text]), line, message["message"]


def _lint(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """Run textlint; return its answer for each file."""
    options = ["--config", f"{_HERE}/textlint.yml", "--rulesdir", f"{_HERE}/rules"]
    done = subprocess.run(
        [_NODE, _MODULES / "textlint/bin/textlint.js", *options, "--format", "json", *paths],
        env=os.environ | {"NODE_PATH": str(_MODULES)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in {_FINE, _WRONG} or not done.stdout:
        sys.exit(f"textlint failed: {done.stdout}{done.stderr}")
    answers: list[dict[str, Any]] = json.loads(done.stdout)
    return answers


if __name__ == "__main__":
    sys.exit(main())
