"""The Dockerfile's text."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path, PurePosixPath

from tests.deploy.image.context import context
from tests.deploy.image.dockerfile import Stage, read
from tools import PROJECT

DOCKERFILE = PROJECT / "Dockerfile"
BIN = Path(sys.executable).parent
LABEL = "org.opencontainers.image."
#: The arguments that scripts/build-image sets.
ARGUMENTS = {"VERSION": "1.2.3", "REVISION": "0" * 40, "CREATED": "2026-11-22T12:00:00Z"}


def last() -> Stage:
    """Return the last stage, which is the image."""
    return read(DOCKERFILE)[-1]


def test_hadolint_finds_nothing() -> None:
    """Hadolint reports nothing of any severity."""
    found = subprocess.run(
        [BIN / "hadolint", "--no-color", "--failure-threshold=style", DOCKERFILE],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (found.returncode, found.stdout, found.stderr) == (0, "", "")


def test_the_base_image_is_one_and_named_by_its_digest() -> None:
    """The same Dockerfile always has the same base."""
    base, *others = read(DOCKERFILE)
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-[a-z]+@sha256:[0-9a-f]{64}", base.base)
    assert {stage.base for stage in others} == {base.name}


def test_the_labels_say_what_it_is() -> None:
    """The image has all usual labels, with the values of pyproject.toml."""
    (labels,) = (it for it in last().instructions if it.name == "LABEL")
    said = labels.pairs(ARGUMENTS)
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    assert said == {
        f"{LABEL}title": project["name"],
        f"{LABEL}description": project["description"],
        f"{LABEL}licenses": project["license"],
        f"{LABEL}source": "https://gitlab.com/cki-project/cki-notifier",
        f"{LABEL}version": ARGUMENTS["VERSION"],
        f"{LABEL}revision": ARGUMENTS["REVISION"],
        f"{LABEL}created": ARGUMENTS["CREATED"],
    }


def test_every_argument_is_given_by_the_script() -> None:
    """A missing argument would leave a label empty."""
    script = (PROJECT / "scripts" / "build-image").read_text()
    arguments = {it.text for it in last().instructions if it.name == "ARG"}
    assert set(re.findall(r'--build-arg "(\w+)=', script)) == arguments


def test_a_numbered_user_of_group_zero_starts_the_command_itself() -> None:
    """Kubernetes needs a numeric user to see that it is not root. A shell would keep SIGTERM."""
    user, _, group = last().only("USER").partition(":")
    assert int(user) > 0
    assert group == "0"
    assert json.loads(last().only("ENTRYPOINT")) == ["cki-notifier"]
    assert last().only("STOPSIGNAL") == "SIGTERM"


def test_the_context_is_what_is_copied() -> None:
    """The context has no tests, no history and no secrets."""
    copied = {
        PurePosixPath(name)
        for stage in read(DOCKERFILE)
        for it in stage.instructions
        if it.name == "COPY" and not it.text.startswith("--from=")
        for name in it.text.split()[:-1]
    }
    seen = {PurePosixPath(path) for path in context(PROJECT)}
    assert {name for name in copied for path in seen if path.is_relative_to(name)} == copied
    assert [path for path in seen if not copied & {path, *path.parents}] == []
    assert not [path for path in seen if path.suffix == ".pyc"]
