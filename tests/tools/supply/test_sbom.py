"""The bill of materials: CycloneDX's own schema takes it, and it lists what is shipped."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cki_notifier import __version__
from tests.tools.supply.distributions import install
from tools import PROJECT
from tools.supply.locks import RUN_TIME, pins_of
from tools.supply.sbom import bill, schema_fault


@pytest.fixture(scope="module")
def document() -> str:
    """Return the bill of materials."""
    return bill()


@pytest.fixture
def content(document: str) -> dict[str, Any]:
    """Return the bill of materials as an object."""
    loaded: dict[str, Any] = json.loads(document)
    return loaded


def test_the_schema_takes_it(document: str) -> None:
    """Every tool that reads CycloneDX 1.6 can read it."""
    assert schema_fault(document) is None


def test_the_schema_is_asked(content: dict[str, Any]) -> None:
    """A document with a field that the format doesn't have is refused."""
    assert schema_fault(json.dumps(content | {"colour": "green"})) is not None


def test_it_is_about_this_version_of_the_project(content: dict[str, Any]) -> None:
    """Its subject is the application, with its version and license."""
    subject = content["metadata"]["component"]
    assert subject["purl"] == f"pkg:pypi/cki-notifier@{__version__}"
    assert subject["licenses"] == [{"license": {"id": "GPL-3.0-or-later"}}]


def test_it_lists_exactly_what_is_locked(content: dict[str, Any]) -> None:
    """Each locked package is in it with its version, and nothing else."""
    assert {component["purl"] for component in content["components"]} == {
        f"pkg:pypi/{pin.name}@{pin.version}" for pin in pins_of(RUN_TIME) if pin.holds()
    }


def test_every_package_has_a_licence(content: dict[str, Any]) -> None:
    """None is left for the reader to look up."""
    assert [part["name"] for part in content["components"] if not part.get("licenses")] == []


def test_every_package_is_needed_by_something(content: dict[str, Any]) -> None:
    """From the project, each is reached over what needs what."""
    needs = {entry["ref"]: entry.get("dependsOn", []) for entry in content["dependencies"]}
    reached: set[str] = set()
    waiting = ["cki-notifier"]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += needs[name]
    assert reached - {"cki-notifier"} == {part["name"] for part in content["components"]}


def test_it_names_the_libraries_in_c_that_wheels_carry(content: dict[str, Any]) -> None:
    """Kafka's, curl's and OpenSSL's faults are ours, though no metadata lists them."""
    carried = {
        inner["name"] for part in content["components"] for inner in part.get("components", [])
    }
    assert {"librdkafka", "libcurl", "openssl"} <= carried


def test_its_bytes_are_the_same_every_time(document: str, tmp_path: Path) -> None:
    """Another process in another place and time zone writes the same file."""
    target = tmp_path / "sbom.json"
    subprocess.run(
        [sys.executable, "-W", "error", "-m", "tools.supply.sbom", target],
        cwd=PROJECT,
        env=os.environ | {"PYTHONHASHSEED": "7", "TZ": "Pacific/Auckland", "LC_ALL": "C"},
        check=True,
        capture_output=True,
    )
    assert target.read_text() == document


def test_what_is_not_locked_is_not_described(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When another version is installed than the locked one, there is no document."""
    install(tmp_path, "pika", "0.1")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(RuntimeError, match=r"pika 0\.1 is installed"):
        bill()
