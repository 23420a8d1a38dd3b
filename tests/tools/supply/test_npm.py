"""npm's lock files pin each package by its hash, from any registry."""

import json
from pathlib import Path

import pytest

from tools import PROJECT

LOCKS = {
    "tests/docs/contract/asyncapi": "@asyncapi/parser",
    "tools/prose": "textlint",
}


@pytest.mark.parametrize("folder", LOCKS)
def test_every_package_is_pinned_by_a_hash(folder: str) -> None:
    """The lock file has no registry's address."""
    packages = json.loads((PROJECT / folder / "package-lock.json").read_text())["packages"]
    del packages[""]
    assert f"node_modules/{LOCKS[folder]}" in packages
    for package in packages.values():
        assert package["integrity"].startswith("sha512-")
        assert "resolved" not in package


def test_there_are_no_other_lock_files_of_npm() -> None:
    """scripts/setup.sh installs each of them."""
    setup = (PROJECT / "scripts" / "setup.sh").read_text()
    found = {
        Path(it).parent.relative_to(PROJECT).as_posix()
        for folder in ("tests", "tools", "docs")
        for it in (PROJECT / folder).rglob("package-lock.json")
    }
    assert found == set(LOCKS)
    assert [folder for folder in LOCKS if f" {folder} " not in setup] == []
