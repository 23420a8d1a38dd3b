"""Runs the examples on the contract's page like its readers."""

import copy
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import jsonpath_rfc9535 as jsonpath
import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # it has no stubs

from cki_notifier.notification.models import Stage
from tests.docs.contract.markdown import blocks
from tests.factories.contract import VALIDATOR
from tools import PROJECT
from tools.documentation.examples import record

PAGE: Final = (PROJECT / "docs" / "contract.md").read_text("utf-8")
#: The terminal sessions: a command behind `$`, and its output.
SESSIONS: Final = blocks(PAGE, "console")
#: The rows of the table of queries: a JSONPath and its result.
QUERIES: Final = re.findall(r"^\| `(\$.*)` \| `(.*)` \|$", PAGE, re.MULTILINE)
MESSAGES: Final[dict[str, Any]] = {
    str(stage): json.loads(record(stage).value) for stage in (Stage.PRE_TEST, Stage.POST_TEST)
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder of the page's reader."""
    for name, message in MESSAGES.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(message, indent=2))
    lines = "".join(f"{json.dumps(message)}\n" for message in MESSAGES.values())
    (tmp_path / "messages.jsonl").write_text(lines)
    return tmp_path


def run(command: str, folder: Path) -> str:
    """Run a command line in a folder and return its output."""
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(PROJECT),
        "LANG": "C.UTF-8",
    }
    done = subprocess.run(
        ["/bin/bash", "-o", "pipefail", "-c", command],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_every_example_is_of_a_kind_that_is_run() -> None:
    """A block of another language would have no test."""
    assert {it.language for it in blocks(PAGE)} == {"console", "json"}
    assert len(SESSIONS) == PAGE.count("\n$ ") > 1
    assert len(QUERIES) == PAGE.count("| `$") > 1


@pytest.mark.parametrize("session", SESSIONS, ids=lambda it: it.text.splitlines()[0])
def test_a_command_prints_what_the_page_shows(session: Any, folder: Path) -> None:
    """The output is the same to the letter."""
    first, _, expected = session.text.partition("\n")

    assert first.startswith("$ ")
    assert run(first.removeprefix("$ "), folder) == expected


@pytest.mark.parametrize(("query", "found"), QUERIES)
def test_a_query_finds_what_the_page_shows(query: str, found: str) -> None:
    """The implementation follows RFC 9535."""
    assert jsonpath.find(query, MESSAGES["pre-test"]).values() == json.loads(found)


@pytest.mark.parametrize(("query", "_found"), QUERIES)
def test_a_query_asks_for_fields_that_there_are(query: str, _found: str) -> None:
    """A query without a result in the pre-test message has one in the post-test message."""
    found = [jsonpath.find(query, message) for message in MESSAGES.values()]

    assert any(found)


def test_the_messages_are_the_records_of_the_code() -> None:
    """They match the schema, and differ from the records only in white space."""
    shown = [json.loads(block.text) for block in blocks(PAGE, "json")]

    assert shown == list(MESSAGES.values())
    for message in shown:
        VALIDATOR.validate(message)


def objects(value: Any) -> Iterator[dict[str, Any]]:
    """Yield each object in a message."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value:
        if isinstance(inner, dict | list):
            yield from objects(inner)


def test_the_readers_schema_takes_what_later_versions_add(folder: Path) -> None:
    """It accepts new fields anywhere and another version, but no missing field."""
    (command,) = (it.text for it in SESSIONS if "reader.schema.json" in it.text)
    run(command.removeprefix("$ "), folder)
    reader = Draft202012Validator(json.loads((folder / "reader.schema.json").read_text()))

    for message in MESSAGES.values():
        later = copy.deepcopy(message)
        for part in objects(later):
            part["new"] = "!"
        later["version"] = "0.2.0"
        assert reader.is_valid(later)
        assert not VALIDATOR.is_valid(later)
        del later["build_info"][0]["kernel_package_url"]
        assert not reader.is_valid(later)
