"""Runs textlint on the words of files."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple

from tools import PROJECT
from tools.prose.extract import passages

_HERE: Final = Path(__file__).parent
_MODULES: Final = PROJECT / ".cache" / "textlint" / "node_modules"
_NODE: Final = Path(sys.executable).with_name("node")


class Complaint(NamedTuple):
    """A sentence to be rewritten: where it is, counted from 1, and why."""

    file: Path
    line: int
    text: str


class LinterFailed(Exception):
    """textlint is not installed, or did not understand its configuration."""


def complaints(files: Sequence[Path]) -> Iterator[Complaint]:
    """Yield the complaints about files.

    Args:
        files: Markdown, or one of those that :mod:`tools.prose.extract` reads.

    Raises:
        LinterFailed: textlint is not installed, or did not understand its configuration.
    """
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
                yield Complaint(texts[text], line, " ".join(message["message"].split()))


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
    try:
        answers: list[dict[str, Any]] = json.loads(done.stdout)
    except ValueError as exc:
        raise LinterFailed(f"{done.stdout}{done.stderr}") from exc
    return answers
