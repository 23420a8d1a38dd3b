"""The lock files: they fit what pyproject.toml asks for, and what does not fit is found."""

import re
import shutil
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools import PROJECT
from tools.supply.locks import (
    BUILD,
    EVERYTHING,
    LOCKS,
    OLDEST_PYTHON,
    PYTHONS,
    RUN_TIME,
    Lock,
    faults,
    pins_of,
    read_lock,
)

#: The options that Renovate's manager pip-compile accepts in a header by uv. It skips a file with
#: any other: https://docs.renovatebot.com/modules/manager/pip-compile/
_RENOVATE_TAKES = {
    "--all-extras",
    "--constraints",
    "--extra",
    "--generate-hashes",
    "--output-file",
    "--python-version",
    "--universal",
}

each_lock: Callable[..., object] = pytest.mark.parametrize(
    "lock", LOCKS, ids=lambda lock: lock.name
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with the project's own pyproject.toml and lock files, to be changed."""
    for name in ("pyproject.toml", BUILD.source, *(lock.name for lock in LOCKS)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(PROJECT / name, tmp_path / name)
    return tmp_path


def change(path: Path, old: str, new: str) -> None:
    """Put ``new`` in the place of ``old``, which must be there."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_the_lock_files_fit() -> None:
    """Each holds what pyproject.toml asks for, for every Python; if not, run scripts/lock."""
    assert faults() == []


def test_what_is_installed_is_what_is_locked() -> None:
    """The tests run with the versions that the lock files name; if not, run scripts/setup.sh."""
    locked = {pin.name: pin.version for pin in pins_of(EVERYTHING) if pin.holds()}
    assert {name: version(name) for name in locked} == locked


def asked_for(lock: Lock, python: str) -> set[Requirement]:
    """Return all that the packages of a lock file ask for, with the extras they are asked for."""
    locked = {pin.name for pin in pins_of(lock) if pin.holds(python)}
    extras = {name: {""} for name in locked}
    found: set[Requirement] = set()
    while True:
        more = {
            requirement
            for name in locked
            for text in asks(name)
            if applies(requirement := Requirement(text), python, extras[name])
        } - found
        if not more:
            return found
        found |= more
        for requirement in more:
            extras.setdefault(canonicalize_name(requirement.name), {""}).update(requirement.extras)


def asks(name: str) -> list[str]:
    """Return what a package asks for; nothing is known of one that is for another Python."""
    try:
        return requires(name) or []
    except PackageNotFoundError:
        return []


def applies(requirement: Requirement, python: str, extras: set[str]) -> bool:
    """Return whether a package with these extras asks for it with this Python."""
    surroundings = {"python_version": python, "python_full_version": f"{python}.0"}
    marker = requirement.marker
    return marker is None or any(marker.evaluate(surroundings | {"extra": it}) for it in extras)


@each_lock
@pytest.mark.parametrize("python", PYTHONS)
def test_a_lock_file_is_complete(lock: Lock, python: str) -> None:
    """It has all requirements of its packages in versions that these accept."""
    pins = {pin.name: pin.version for pin in pins_of(lock) if pin.holds(python)}
    asked = asked_for(lock, python)
    assert asked
    for requirement in asked:
        locked = pins.get(canonicalize_name(requirement.name))
        assert locked is not None, requirement
        assert requirement.specifier.contains(locked, prereleases=True), requirement


def test_what_is_asked_for_with_an_extra_is_locked_too() -> None:
    """Packages ask for others with extras, like coverage[toml], which ask for more themselves."""
    extras = {name for it in asked_for(EVERYTHING, OLDEST_PYTHON) for name in it.extras}
    assert "toml" in extras


@each_lock
def test_a_lock_file_names_no_host(lock: Lock) -> None:
    """The user who installs the packages chooses the index."""
    assert "://" not in (PROJECT / lock.name).read_text()


@each_lock
def test_renovate_understands_how_a_lock_file_is_made(lock: Lock) -> None:
    """It finds the command in the header, each option with an equals sign, and knows them all."""
    text = (PROJECT / lock.name).read_text()
    match = re.match(r"(#.*?\r?\n)+# {4}(?P<command>\S*)(?P<arguments> .*?)?\r?\n", text)
    assert match is not None
    assert match["command"] == "uv"
    options = [word for word in match["arguments"].split() if word.startswith("-")]
    assert {option.partition("=")[0] for option in options} <= _RENOVATE_TAKES
    assert f"--output-file={lock.name}" in options


def test_renovate_makes_the_lock_files_in_our_order() -> None:
    """It goes by the alphabet, so a file that others take versions from must come first there."""
    assert [lock.name for lock in LOCKS] == sorted(lock.name for lock in LOCKS)


def test_renovate_finds_the_version_of_everything() -> None:
    """It looks in the first file made from pyproject.toml alone, so that holds what is in any."""
    first, *others = (lock for lock in LOCKS if lock.source == "pyproject.toml")
    known = {pin.name for pin in pins_of(first)}
    assert all({pin.name for pin in pins_of(lock)} <= known for lock in others)


def test_a_new_dependency_must_be_locked(folder: Path) -> None:
    """A dependency only in pyproject.toml is missing in each file that needs it."""
    change(folder / "pyproject.toml", '  "certifi",\n', '  "certifi",\n  "left-pad>=1",\n')
    found = "\n".join(faults(folder))
    for lock in (EVERYTHING, RUN_TIME):
        assert f"{lock.name} does not satisfy 'left-pad>=1' for Python 3.11" in found
    assert BUILD.name not in found


def test_a_dependency_of_an_extra_must_be_locked(folder: Path) -> None:
    """The file with all extras must have the requirements of an extra."""
    change(folder / "pyproject.toml", '  "pytest>=8.3",\n', '  "pytest>=8000",\n')
    assert {fault.split(" for ")[0] for fault in faults(folder)} == {
        f"{EVERYTHING.name} does not satisfy 'pytest>=8000'"
    }


def test_a_version_for_one_python_alone_is_found(folder: Path) -> None:
    """A package that is locked for old Pythons only is missing for the new ones."""
    change(
        folder / RUN_TIME.name,
        f"pika=={version('pika')} ",
        f"pika=={version('pika')} ; python_full_version < '3.13' ",
    )
    assert faults(folder) == [
        f"{RUN_TIME.name} does not satisfy 'pika<2,>=1.3' for Python {python}"
        for python in ("3.13", "3.14")
    ]


def test_lock_files_that_differ_are_found(folder: Path) -> None:
    """We ship the tested versions."""
    change(folder / RUN_TIME.name, f"pika=={version('pika')}", "pika==1.3.1")
    assert faults(folder) == [f"{RUN_TIME.name} and {EVERYTHING.name} differ about pika==1.3.1"]


def test_another_way_of_making_a_lock_file_is_found(folder: Path) -> None:
    """A file made by hand, or for other Pythons, is not taken."""
    change(folder / RUN_TIME.name, "--universal ", "")
    assert [fault.split(" by ")[0] for fault in faults(folder)] == [f"{RUN_TIME.name} was not made"]


def test_another_build_backend_is_found(folder: Path) -> None:
    """A build with isolation uses the same version as ours."""
    change(folder / "pyproject.toml", 'requires = ["hatchling==', 'requires = ["hatchling>=')
    (fault,) = faults(folder)
    assert fault.startswith("pyproject.toml's build-system.requires and requirements/build.in")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "the file is empty"),
        ("--index-url https://example.com/simple\n", "is an option"),
        ("pika==1.3.2\n", "has no hash"),
        ("pika==1.3.2 --hash=md5:00\n", "not sha256"),
        ("pika>=1.3.2 --hash=sha256:00\n", "is not pinned"),
        ("pika==1.* --hash=sha256:00\n", "is not pinned"),
        ("pika @ https://example.com/p.whl --hash=sha256:00\n", "not from the index"),
    ],
)
def test_a_lock_file_holds_pinned_requirements_with_hashes_alone(text: str, fault: str) -> None:
    """Anything else would let somebody else's choice in."""
    with pytest.raises(ValueError, match=fault):
        read_lock(text)
