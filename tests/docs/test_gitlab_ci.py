"""The example of an audit in GitLab's CI: GitLab takes it, and its job ends as the audit does."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tools import PROJECT

EXAMPLE = PROJECT / "docs" / "examples" / "audit.gitlab-ci.yml"
BIN = Path(sys.executable).parent
JOB: dict[str, Any] = yaml.safe_load(EXAMPLE.read_text())["audit"]
REPORT = "30 missing"
#: Stands in for the command: checks its arguments, and exits with ``CODE``.
COMMAND = """#!/bin/sh
[ "$*" = 'audit --since 24h' ] || exit 99
echo '30 missing'
exit "$CODE"
"""


def test_it_is_what_gitlab_publishes_as_its_schema() -> None:
    """As the project's own pipeline."""
    found = subprocess.run(
        [
            *(sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.gitlab-ci"),
            *("--data-transform", "gitlab-ci", EXAMPLE),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout


def test_its_steps_are_clean_shell() -> None:
    """They run in one shell, one after the other, and end with the first that fails."""
    found = subprocess.run(
        [BIN / "shellcheck", "-"],
        input="\n".join(["#!/bin/sh -e", *JOB["script"], ""]),
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout


@pytest.mark.parametrize("code", [0, 1, 2, 3])
def test_the_job_ends_as_the_audit_does(tmp_path: Path, code: int) -> None:
    """With each result, the report is in the log and among the artifacts."""
    command = tmp_path / "bin" / "cki-notifier"
    command.parent.mkdir()
    command.write_text(COMMAND)
    command.chmod(0o755)
    done = subprocess.run(
        ["/bin/sh", "-e", "-c", "\n".join(JOB["script"])],
        cwd=tmp_path,
        env={"PATH": f"{command.parent}:/usr/bin:/bin", "CODE": str(code)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (code, f"{REPORT}\n")
    (report,) = JOB["artifacts"]["paths"]
    assert (tmp_path / report).read_text() == f"{REPORT}\n"
    assert JOB["artifacts"]["when"] == "always"


def test_only_a_schedule_runs_it() -> None:
    """Not a push or a merge request; one after the other; in an image that can't be another."""
    pipeline = yaml.safe_load(EXAMPLE.read_text())
    assert pipeline["workflow"]["rules"] == [{"if": '$CI_PIPELINE_SOURCE == "schedule"'}]
    assert JOB["resource_group"]
    assert "allow_failure" not in JOB
    assert re.fullmatch(r"[\w./-]+@sha256:[0-9a-f]{64}", JOB["image"]["name"])
