"""GitLab's pipeline, which nothing runs before it is pushed: .gitlab-ci.yml."""

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
#: What is no job at the top of the file.
KEYWORDS = {"stages", "default", "variables", "workflow"}
PIPE: dict[str, Any] = yaml.safe_load(PIPELINE.read_text())
JOBS: dict[str, dict[str, Any]] = {name: it for name, it in PIPE.items() if name not in KEYWORDS}


def rules(job: str) -> list[tuple[str, str]]:
    """Return the condition of each of a job's rules, and when it runs then."""
    return [(it["if"], it.get("when", "on_success")) for it in JOBS[job]["rules"]]


def position(job: str) -> int:
    """Return which stage a job is in."""
    stages: list[str] = PIPE["stages"]
    return stages.index(JOBS[job]["stage"])


def test_it_is_what_gitlab_publishes_as_its_schema() -> None:
    """A job with the name of a keyword, say, is none, and nobody tells."""
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
    """They run in one shell, one after the other, and end with the first that fails."""
    steps = "\n".join(["#!/bin/sh -e", *JOBS[job]["script"], ""])
    found = subprocess.run(
        [BIN / "shellcheck", "--exclude=SC1091", "-"],  # what is sourced is not there yet
        input=steps,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout


@pytest.mark.parametrize("job", JOBS)
def test_the_scripts_of_a_job_are_there_and_can_be_started(job: str) -> None:
    """Under the very name; other than here, a wrong one would show only in the pipeline."""
    steps = "\n".join(JOBS[job]["script"])
    for name in re.findall(r"(?:^|\s)((?:scripts|\.ci)/[\w.-]+)", steps):
        assert os.access(PROJECT / name, os.X_OK), name


@pytest.mark.parametrize("job", JOBS)
def test_what_a_job_needs_is_there_before(job: str) -> None:
    """Its stage, and the jobs whose files it takes."""
    for needed in JOBS[job].get("needs", []):
        assert position(needed) < position(job)


def test_every_stage_has_a_job() -> None:
    """And no job has a stage that is not listed."""
    assert {it["stage"] for it in JOBS.values()} == set(PIPE["stages"])


def test_an_image_is_published_only_when_it_was_run_and_scanned() -> None:
    """Each is a stage later than the one before, and none may fail."""
    assert position("build-image") < position("scan") < position("publish")
    assert "scripts/check-image cki-notifier" in JOBS["build-image"]["script"]
    assert not any(JOBS[job].get("allow_failure") for job in ("build-image", "scan", "publish"))
    assert "rules" not in JOBS["build-image"]
    assert "rules" not in JOBS["scan"]
    assert "needs" not in JOBS["publish"], "it would start before the tests are over"


def test_only_the_default_branch_and_tags_publish() -> None:
    """Not a merge request, and not a schedule: its commit is published already."""
    branch = ("$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH", "on_success")
    nightly = ('$CI_PIPELINE_SOURCE == "schedule"', "never")
    assert rules("publish") == [nightly, branch, ("$CI_COMMIT_TAG", "on_success")]
    assert rules("pages") == [nightly, branch]


def test_what_later_stages_take_was_written_before() -> None:
    """The file that is scanned and the one that is published come from the job of the image."""
    written = JOBS["build-image"]["artifacts"]["paths"]
    for job in ("scan", "publish"):
        taken = set(re.findall(r"build/image[\w.-]*", "\n".join(JOBS[job]["script"])))
        assert taken
        assert taken <= set(written)


def test_only_pre_releases_may_fail() -> None:
    """Every other job that fails stops the pipeline."""
    assert [name for name, job in JOBS.items() if job.get("allow_failure")] == ["prereleases"]


def test_every_image_has_a_version() -> None:
    """A tag that moves from one release to the next would change the pipeline by itself."""
    named = [PIPE["default"]["image"], *(job.get("image") for job in JOBS.values())]
    images = [it["name"] if isinstance(it, dict) else it for it in named if it]
    images += [service for job in JOBS.values() for service in job.get("services", [])]
    images += re.findall(r"docker run .*?(\w+/[\w:.-]+)", PIPELINE.read_text())
    assert len(images) >= 6
    for image in images:
        assert re.search(r":\D*\d", image), image
