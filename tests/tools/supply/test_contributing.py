"""CONTRIBUTING.md: what it names is there."""

import os
import re

import pytest

from tools import PROJECT
from tools.supply.locks import LOCKS

_TEXT = (PROJECT / "CONTRIBUTING.md").read_text()
_SCRIPTS = sorted(set(re.findall(r"scripts/[\w.-]+", _TEXT)))
_LINKS = sorted(set(re.findall(r"\]\(((?!http)[^)#]+)\)", _TEXT)))


@pytest.mark.parametrize("name", _SCRIPTS)
def test_every_command_exists(name: str) -> None:
    """Each named script is executable."""
    assert os.access(PROJECT / name, os.X_OK)


@pytest.mark.parametrize("name", _LINKS)
def test_every_linked_file_exists(name: str) -> None:
    """Each link within the project leads somewhere."""
    assert (PROJECT / name).exists()


def test_every_lock_file_is_told_of() -> None:
    """The table of lock files is complete."""
    assert {lock.name for lock in LOCKS} <= set(_LINKS)
