"""Renovate's configuration: its schema takes it, and every file with versions in it is covered."""

import json
import re
import subprocess
import sys
from typing import Any

import pytest

from tools import PROJECT
from tools.supply.locks import LOCKS

_PATH = PROJECT / "renovate.json"
_CONFIGURATION: dict[str, Any] = json.loads(_PATH.read_text())


def covers(manager: str, name: str) -> bool:
    """Return whether our own patterns make a manager of Renovate's read the file."""
    patterns = _CONFIGURATION[manager]["managerFilePatterns"]
    return any(re.search(pattern.strip("/"), name) for pattern in patterns)


def check_schema(text: str) -> "subprocess.CompletedProcess[str]":
    """Check a configuration against the schema that Renovate publishes."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.renovate", "-"]
    return subprocess.run(command, input=text, text=True, capture_output=True, check=False)


def test_the_schema_takes_it() -> None:
    """Renovate knows every option that is set."""
    result = check_schema(_PATH.read_text())
    assert result.returncode == 0, result.stdout


def test_the_schema_is_asked() -> None:
    """An option of another type is refused."""
    result = check_schema(json.dumps(_CONFIGURATION | {"timezone": 1}))
    assert "timezone" in result.stdout


@pytest.mark.parametrize("name", [lock.name for lock in LOCKS])
def test_every_lock_file_is_raised(name: str) -> None:
    """The manager that makes it again reads each file."""
    assert covers("pip-compile", name)


def test_the_version_of_kafka_is_raised() -> None:
    """The name of its file is not one that Renovate looks for by itself."""
    (file,) = (PROJECT / "tools/brokers").glob("*pom.xml")
    assert covers("maven", str(file.relative_to(PROJECT)))


def test_no_other_manager_reads_what_makes_the_lock_files() -> None:
    """Two would raise the same version twice, and one of them without the hashes."""
    for manager in ("pip_requirements", "pep621", "poetry"):
        assert _CONFIGURATION[manager] == {"enabled": False}


def test_what_is_shipped_is_not_merged_by_the_pipeline_alone() -> None:
    """Only rules about what is not in the image merge by themselves, and not for a new major."""
    merging = [rule for rule in _CONFIGURATION["packageRules"] if rule.get("automerge")]
    assert merging
    for rule in merging:
        assert "project.dependencies" not in rule["matchDepTypes"]
        assert not {"major", "lockFileMaintenance"} & set(rule["matchUpdateTypes"])
        assert not {"dockerfile", "docker-compose"} & set(rule["matchManagers"])


def test_every_rule_says_why() -> None:
    """Each has a description."""
    assert all(rule.get("description") for rule in _CONFIGURATION["packageRules"])
