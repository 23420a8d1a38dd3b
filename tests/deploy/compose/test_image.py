"""The programs of `tools/` that compose.yaml runs in the daemon's image."""

import os
import re
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import PurePosixPath

import pytest

from tests.deploy.compose import project
from tools import PROJECT

#: The packages in the image.
_LOCK = PROJECT / "requirements/run.txt"
#: msgspec imports it if it is installed.
_OPTIONAL = {"typing-extensions"}


def libraries() -> set[str]:
    """Return the image's distributions, without the daemon's."""
    names = re.findall(r"^([\w.-]+)==", _LOCK.read_text(), re.MULTILINE)
    return {normal(name) for name in names}


def normal(name: str) -> str:
    """Return a distribution's normalized name."""
    return re.sub(r"[-_.]+", "-", name).lower()


def imported(*arguments: str) -> set[str]:
    """Return the top-level modules that Python imports with these arguments."""
    result = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments],
        cwd=PROJECT,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return set(re.findall(r"^import time: +\d+ \| +\d+ \| *(\w+)", result.stderr, re.MULTILINE))


def foreign(modules: set[str]) -> set[str]:
    """Return the distributions of modules, without this project's."""
    owners = packages_distributions()
    found = {normal(owner) for module in modules for owner in owners.get(module, [])}
    return found - {"cki-notifier"}


@pytest.mark.parametrize("service", ["stand-ins", "publish"])
def test_the_image_has_what_the_tools_need(service: str) -> None:
    """Python finds the mounted program, which imports only libraries of the image."""
    folder = PurePosixPath(project.services()[service]["working_dir"])
    assert project.mounted(service)[folder / "tools"] == PROJECT / "tools"
    python, switch, module, *_ = project.command(service)
    assert (python, switch) == ("python", "-m")
    needed = imported("-m", module, "--help") - imported("-c", "")
    assert {"tools", "cki_notifier"} <= needed
    assert foreign(needed) <= libraries() | _OPTIONAL


def test_a_library_that_the_image_lacks_is_noticed() -> None:
    """The benchmarks need a library that the image lacks, so the check can fail."""
    assert "psutil" in foreign(imported("-c", "import tools.benchmarks.meter")) - libraries()
