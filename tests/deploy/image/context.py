"""The context of the image's build: the project's files that .dockerignore includes."""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path


def context(project: Path) -> Iterator[Path]:
    """Yield every file of the build's context, relative to the project.

    Understands the patterns of the project's .dockerignore: ``*``, ``!name`` and ``**/name``.

    Raises:
        ValueError: the file has another pattern.
    """
    first, *patterns = (project / ".dockerignore").read_text().split()
    if first != "*":
        raise ValueError("everything is to be left out first")
    let_in = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
    left_out = [pattern.removeprefix("**/") for pattern in patterns if pattern.startswith("**/")]
    if len(let_in) + len(left_out) != len(patterns) or any("*" in name for name in let_in):
        raise ValueError(f"not all of {patterns} is known")
    for name in let_in:
        top = project / name
        for path in [top, *top.rglob("*")]:
            inside = path.relative_to(project)
            if path.is_file() and not _is_left_out(inside, left_out):
                yield inside


def _is_left_out(path: Path, patterns: list[str]) -> bool:
    return any(fnmatchcase(part, pattern) for part in path.parts for pattern in patterns)
