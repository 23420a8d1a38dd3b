"""The wheel and the source package: the same bytes wherever they are built, and nothing else."""

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import pytest

from cki_notifier import __version__
from tools import PROJECT

_TOP = ("pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE", ".gitignore")
_KINDS = {".py", ".json", ".css", ".html", ".js", ".typed"}
_INFORMATION = {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"}


def sources() -> set[str]:
    """Return the files of the daemon's package, as paths from the project's folder."""
    return {
        str(path.relative_to(PROJECT))
        for path in (PROJECT / "cki_notifier").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def build(folder: Path, *, umask: int, age: float, **environment: str) -> dict[str, str]:
    """Build both packages out of a copy of the project; return the SHA-256 of each by its name.

    The copy has things in it that belong in neither: other packages, tests, compiled files.
    """
    for name in ("cki_notifier", "tools", "tests/tools/supply"):
        shutil.copytree(PROJECT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in _TOP:
        shutil.copyfile(PROJECT / name, folder / name)
    (folder / "cki_notifier/__pycache__").mkdir()
    (folder / "cki_notifier/__pycache__/cli.cpython-311.pyc").write_bytes(b"compiled")
    for path in folder.rglob("*"):
        path.chmod((0o777 if path.is_dir() else 0o666) & ~umask)
        os.utime(path, (time.time() - age,) * 2)
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-t", "wheel", "-d", "dist"],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if name != "SOURCE_DATE_EPOCH"}
        | environment,
        umask=umask,
        check=True,
        capture_output=True,
    )
    built = (folder / "dist").iterdir()
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in built}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """Return the folder of one build, and the SHA-256 of what is in it by its name."""
    folder = tmp_path_factory.mktemp("packages") / "here"
    return folder / "dist", build(folder, umask=0o022, age=0, LC_ALL="C.UTF-8", TZ="UTC")


def test_the_packages_are_the_same_wherever_they_are_built(
    built: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    """Another folder, umask, file time, language, time zone and hash seed change nothing."""
    there = tmp_path / "another place"
    others = {"LC_ALL": "C", "TZ": "Pacific/Auckland", "PYTHONHASHSEED": "7"}
    assert build(there, umask=0o077, age=1_000_000, **others) == built[1]


def test_the_wheel_holds_the_package_and_nothing_else(built: tuple[Path, dict[str, str]]) -> None:
    """No test, no cache and no editor's file is installed, and none of the package is missing."""
    information = f"cki_notifier-{__version__}.dist-info"
    with zipfile.ZipFile(built[0] / f"cki_notifier-{__version__}-py3-none-any.whl") as wheel:
        names = set(wheel.namelist())
    assert names == sources() | {f"{information}/{name}" for name in _INFORMATION}
    assert {Path(name).suffix for name in sources()} <= _KINDS


def test_the_source_package_holds_what_builds_the_wheel(
    built: tuple[Path, dict[str, str]],
) -> None:
    """The package, its description and its license are enough to build it again."""
    with tarfile.open(built[0] / f"cki_notifier-{__version__}.tar.gz") as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert names == sources() | {*_TOP, "PKG-INFO"}


def test_everybody_may_read_what_is_installed(built: tuple[Path, dict[str, str]]) -> None:
    """A daemon that runs as any user can read its files."""
    with zipfile.ZipFile(built[0] / f"cki_notifier-{__version__}-py3-none-any.whl") as wheel:
        modes = {info.external_attr >> 16 & 0o777 for info in wheel.infolist()}
    assert modes == {0o644}
