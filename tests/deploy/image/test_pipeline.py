"""GitLab's pipeline in .gitlab-ci.yml, which runs only after a push."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tools import PROJECT

PIPELINE = PROJECT / ".gitlab-ci.yml"
BIN = Path(sys.executable).parent
#: The top-level keys that are not jobs.
KEYWORDS = {"stages", "default", "variables", "workflow"}
PIPE: dict[str, Any] = yaml.safe_load(PIPELINE.read_text())
JOBS: dict[str, dict[str, Any]] = {name: it for name, it in PIPE.items() if name not in KEYWORDS}


def rules(job: str) -> list[tuple[str, str]]:
    """Return the condition and the `when` of each rule of a job."""
    return [(it["if"], it.get("when", "on_success")) for it in JOBS[job]["rules"]]


def position(job: str) -> int:
    """Return the number of a job's stage."""
    stages: list[str] = PIPE["stages"]
    return stages.index(JOBS[job]["stage"])


def test_it_is_what_gitlab_publishes_as_its_schema() -> None:
    """GitLab's schema finds errors such as a job with the name of a keyword."""
    found = subprocess.run(
        [
            *(sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.gitlab-ci"),
            *("--data-transform", "gitlab-ci", PIPELINE),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout


@pytest.mark.parametrize("job", JOBS)
def test_the_steps_of_a_job_are_clean_shell(job: str) -> None:
    """Shellcheck accepts the steps, which run in one shell until one fails."""
    steps = "\n".join(["#!/bin/sh -e", *JOBS[job]["script"], ""])
    found = subprocess.run(
        [BIN / "shellcheck", "--exclude=SC1091", "-"],  # the sourced file does not exist yet
        input=steps,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout


@pytest.mark.parametrize("job", JOBS)
def test_the_scripts_of_a_job_are_there_and_can_be_started(job: str) -> None:
    """A wrong name would otherwise fail only in the pipeline."""
    steps = "\n".join(JOBS[job]["script"])
    for name in re.findall(r"(?:^|\s)((?:scripts|\.ci)/[\w.-]+)", steps):
        assert os.access(PROJECT / name, os.X_OK), name


@pytest.mark.parametrize("job", JOBS)
def test_what_a_job_needs_is_there_before(job: str) -> None:
    """The jobs whose files a job uses are in an earlier stage."""
    for needed in JOBS[job].get("needs", []):
        assert position(needed) < position(job)


def test_every_stage_has_a_job() -> None:
    """Each stage has a job, and each job has a listed stage."""
    assert {it["stage"] for it in JOBS.values()} == set(PIPE["stages"])


def test_an_image_is_published_only_when_it_was_run_and_scanned() -> None:
    """The jobs run in this order, and none may fail."""
    assert position("build-image") < position("scan") < position("publish")
    assert "scripts/check-image cki-notifier" in JOBS["build-image"]["script"]
    assert not any(JOBS[job].get("allow_failure") for job in ("build-image", "scan", "publish"))
    assert "rules" not in JOBS["build-image"]
    assert "rules" not in JOBS["scan"]
    assert "needs" not in JOBS["publish"], "it would start before the tests are over"


def test_only_the_default_branch_and_tags_publish() -> None:
    """A merge request publishes nothing, nor does a schedule, whose commit is published already."""
    branch = ("$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH", "on_success")
    nightly = ('$CI_PIPELINE_SOURCE == "schedule"', "never")
    assert rules("publish") == [nightly, branch, ("$CI_COMMIT_TAG", "on_success")]
    assert rules("pages") == [nightly, branch]


def test_what_later_stages_take_was_written_before() -> None:
    """The job `build-image` writes the scanned file and the published one."""
    written = JOBS["build-image"]["artifacts"]["paths"]
    for job in ("scan", "publish"):
        taken = set(re.findall(r"build/image[\w.-]*", "\n".join(JOBS[job]["script"])))
        assert taken
        assert taken <= set(written)


def test_only_pre_releases_may_fail() -> None:
    """Every other failed job stops the pipeline."""
    assert [name for name, job in JOBS.items() if job.get("allow_failure")] == ["prereleases"]


def test_every_image_has_a_version() -> None:
    """A moving tag would change the pipeline without a commit."""
    named = [PIPE["default"]["image"], *(job.get("image") for job in JOBS.values())]
    images = [it["name"] if isinstance(it, dict) else it for it in named if it]
    images += [service for job in JOBS.values() for service in job.get("services", [])]
    images += re.findall(r"docker run .*?(\w+/[\w:.-]+)", PIPELINE.read_text())
    assert len(images) >= 6
    for image in images:
        assert re.search(r":\D*\d", image), image
