"""When scripts/setup.sh installs libraries, and when it leaves .venv as it is.

The Python of .venv is a stand-in that writes down what it was to install.
"""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from tools import PROJECT
from tools.supply.locks import BUILD, EVERYTHING, LOCKS, RUN_TIME

_PYTHON: Final = """#!/bin/sh
case "$*" in
    *"pip install"*)
        echo "$*" >>"$0.log"
        ! [ -e "$0.broken" ]
        ;;
esac
"""


class Venv:
    """A project's folder with a .venv that installs nothing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = folder / ".venv/bin/python"
        (folder / "scripts").mkdir()
        (folder / "requirements").mkdir()
        shutil.copy(PROJECT / "scripts/setup.sh", folder / "scripts")
        for name in ("pyproject.toml", *(lock.name for lock in LOCKS)):
            (folder / name).write_text(f"{name}\n")
        self.python.parent.mkdir(parents=True)
        self.python.write_text(_PYTHON)
        self.python.chmod(0o755)

    def need(self, what: str = "") -> list[str]:
        """Call need_python_venv; return the names of the lock files that were installed."""
        log = self.python.with_name("python.log")
        log.write_text("")
        script = f". scripts/setup.sh; need_python_venv {what}"
        environment = {"PATH": os.environ["PATH"]}
        result = subprocess.run(
            ["/bin/sh", "-euc", script, "scripts/test"],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        lines = log.read_text().splitlines()
        assert result.returncode == (1 if self.broken().exists() else 0), result.stderr
        assert all("--no-deps" in line for line in lines)
        assert all("--require-hashes" in line or "--no-index" in line for line in lines)
        return [lock.name for lock in LOCKS if any(f"/{lock.name}" in line for line in lines)]

    def broken(self) -> Path:
        """Return the file that makes every installation fail."""
        return self.python.with_name("python.broken")


@pytest.fixture
def venv(tmp_path: Path) -> Venv:
    """Return a new project's folder."""
    return Venv(tmp_path)


def test_the_demo_gets_what_it_needs_alone(venv: Venv) -> None:
    """Its lock file is the small one."""
    assert venv.need("run") == [BUILD.name, RUN_TIME.name]


def test_everything_is_installed_for_everything_else(venv: Venv) -> None:
    """Without an argument, all extras are installed."""
    assert venv.need() == [EVERYTHING.name, BUILD.name]


@pytest.mark.parametrize("what", ["", "run"])
def test_nothing_is_installed_twice(venv: Venv, what: str) -> None:
    """When nothing changed, nothing is installed."""
    venv.need(what)
    assert venv.need(what) == []


def test_everything_includes_what_the_demo_needs(venv: Venv) -> None:
    """After a test run, the demo installs nothing; after a demo, a test run installs the rest."""
    venv.need("run")
    assert venv.need() == [EVERYTHING.name, BUILD.name]
    assert venv.need("run") == []


@pytest.mark.parametrize("name", ["pyproject.toml", BUILD.name, RUN_TIME.name, EVERYTHING.name])
@pytest.mark.parametrize("what", ["", "run"])
def test_a_changed_file_is_installed(venv: Venv, name: str, what: str) -> None:
    """A changed file is installed, also after an earlier installation."""
    venv.need()
    (venv.folder / name).write_text("something else\n")
    assert venv.need(what) == (
        [BUILD.name, RUN_TIME.name] if what else [EVERYTHING.name, BUILD.name]
    )
    assert venv.need(what) == []


def test_a_file_that_changed_back_is_installed_again(venv: Venv) -> None:
    """Between, the demo installed other versions: what was there before is no longer."""
    venv.need()
    (venv.folder / RUN_TIME.name).write_text("something else\n")
    venv.need("run")
    (venv.folder / RUN_TIME.name).write_text(f"{RUN_TIME.name}\n")
    assert venv.need() == [EVERYTHING.name, BUILD.name]


def test_an_installation_that_failed_is_done_again(venv: Venv) -> None:
    """Half an installation is not taken for a whole one, not even when the change is undone."""
    venv.need()
    (venv.folder / EVERYTHING.name).write_text("something else\n")
    venv.broken().touch()
    venv.need()
    venv.broken().unlink()
    (venv.folder / EVERYTHING.name).write_text(f"{EVERYTHING.name}\n")
    assert venv.need() == [EVERYTHING.name, BUILD.name]


def test_another_folder_installs_the_project_anew(venv: Venv, tmp_path: Path) -> None:
    """An editable installation names the folder, so a copy of the folder needs its own."""
    venv.need()
    copy = tmp_path / "copy"
    shutil.copytree(venv.folder, copy, ignore=lambda _folder, _names: ["copy"])
    venv.folder, venv.python = copy, copy / ".venv/bin/python"
    assert venv.need() == [EVERYTHING.name, BUILD.name]
