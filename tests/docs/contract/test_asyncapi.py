"""The AsyncAPI document, read by AsyncAPI's own parser."""

import copy
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
import yaml
from jsonschema import Draft7Validator  # type: ignore[import-untyped]  # it has no stubs

from cki_notifier.notification.models import Stage
from tests.factories.environment import environment, read
from tools import PROJECT
from tools.documentation.asyncapi import MESSAGES, headers
from tools.documentation.examples import record

DOCUMENT: Final = PROJECT / "docs" / "asyncapi.yaml"
SCRIPT: Final = PROJECT / "tests/docs/contract/asyncapi/parse.mjs"
#: Where scripts/setup.sh installs the parser.
PARSER: Final = PROJECT / ".cache" / "asyncapi-parser"
NODE: Final = Path(sys.executable).with_name("node")
#: The severity of a diagnostic.
ERROR: Final = 0

Change = Callable[[Any], object]
#: Changes that the parser must refuse, and the place of each error.
BROKEN: Final[dict[str, tuple[Change, str]]] = {
    "no title": (lambda it: it["info"].pop("title"), "info"),
    "no such channel": (
        lambda it: it["operations"]["announceBuilds"]["channel"].update({"$ref": "#/channels/x"}),
        "operations.announceBuilds.channel.$ref",
    ),
    "an action that is none": (
        lambda it: it["operations"]["announceBuilds"].update(action="publish"),
        "operations.announceBuilds.action",
    ),
    "a schema that is none": (
        lambda it: it["components"]["schemas"]["Run"]["properties"]["url"].update(type="text"),
        "components.schemas.Run.properties.url.type",
    ),
    "a Kafka binding that is none": (
        lambda it: it["channels"]["readyForTest"]["bindings"]["kafka"].update(topic=1),
        "channels.readyForTest.bindings.kafka.topic",
    ),
}


class Parsed(NamedTuple):
    """The parser's results for the document, and for broken ones by name."""

    document: Any
    broken: dict[str, Any]


@pytest.fixture(scope="module", name="parsed")
def _parsed(tmp_path_factory: pytest.TempPathFactory) -> Parsed:
    """Parse everything at once, because the start of Node.js takes longer than parsing."""
    assert (PARSER / ".lock").is_file(), "run scripts/setup.sh need_asyncapi_parser"
    folder = tmp_path_factory.mktemp("asyncapi")
    document = yaml.safe_load(DOCUMENT.read_text("utf-8"))
    files = {}
    for number, (name, (change, _)) in enumerate(BROKEN.items()):
        copied = copy.deepcopy(document)
        change(copied)
        files[name] = folder / f"{number}.yaml"
        files[name].write_text(yaml.safe_dump(copied))
    done = subprocess.run(
        [NODE, SCRIPT, DOCUMENT, *files.values()],
        cwd=PARSER,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    return Parsed(told[str(DOCUMENT)], {name: told[str(path)] for name, path in files.items()})


def errors(told: Any) -> list[Any]:
    """Return the diagnostics that are errors."""
    return [it for it in told["diagnostics"] if it["severity"] == ERROR]


def test_the_document_has_no_errors(parsed: Parsed) -> None:
    """The only diagnostic is the older version, AsyncAPI 3.0, which is intended."""
    assert errors(parsed.document) == []
    assert {it["code"] for it in parsed.document["diagnostics"]} <= {"asyncapi-latest-version"}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_document_is_refused(parsed: Parsed, name: str) -> None:
    """The parser really checks documents, and gives the place of an error."""
    assert BROKEN[name][1] in {it["path"] for it in errors(parsed.broken[name])}


def test_there_is_one_channel_with_both_messages(parsed: Parsed) -> None:
    """The channel is the daemon's topic."""
    kafka = read(environment()).kafka
    assert kafka is not None
    assert parsed.document["channels"] == [
        {"address": kafka.topic, "messages": list(MESSAGES.values())}
    ]


def test_each_stage_is_sent(parsed: Parsed) -> None:
    """Each has an operation of its own. The document describes the sender."""
    assert parsed.document["operations"] == [
        {"action": "send", "messages": [name]} for name in MESSAGES.values()
    ]


@pytest.mark.parametrize("stage", Stage)
def test_the_examples_are_records_of_the_code(parsed: Parsed, stage: Stage) -> None:
    """Headers and value are those of the record."""
    (example,) = parsed.document["messages"][MESSAGES[stage]]["examples"]

    assert example["headers"] == record(stage).headers
    assert example["payload"] == json.loads(record(stage).value)


@pytest.mark.parametrize("stage", Stage)
def test_a_record_is_valid_as_its_own_stage_only(parsed: Parsed, stage: Stage) -> None:
    """The parser's resolved schemas accept its headers, value and key."""
    sent = record(stage)
    for other, name in MESSAGES.items():
        message = parsed.document["messages"][name]
        for part, value in (("headers", sent.headers), ("payload", json.loads(sent.value))):
            assert Draft7Validator(message[part]).is_valid(value) == (other is stage), (name, part)
        assert Draft7Validator(message["key"]).is_valid(sent.key)


@pytest.mark.parametrize("header", headers())
def test_no_header_can_be_missing(parsed: Parsed, header: str) -> None:
    """The contract promises all headers."""
    headers = {name: it for name, it in record(Stage.PRE_TEST).headers.items() if name != header}

    assert not Draft7Validator(parsed.document["messages"]["preTest"]["headers"]).is_valid(headers)


def test_the_schemas_are_as_strict_as_the_published_one(parsed: Parsed) -> None:
    """They refuse a field that is missing, unknown or null."""
    payload = Draft7Validator(parsed.document["messages"]["postTest"]["payload"])
    message = json.loads(record(Stage.POST_TEST).value)

    for name in message:
        assert not payload.is_valid(message | {name: None})
        assert not payload.is_valid({it: message[it] for it in message if it != name})
    assert not payload.is_valid(message | {"new": ""})
