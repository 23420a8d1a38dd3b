"""Versions of the contract: each one is an addition to all before it.

For each breach, a message proves it: the changed schema accepts the message, but a consumer of the
released one can't read it. An independent validator decides.
"""

import copy
import json
from collections.abc import Callable
from itertools import combinations
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # it has no stubs

from cki_notifier.message.contract import VERSION, schema
from cki_notifier.notification.models import Stage
from tools import PROJECT
from tools.documentation.compatibility import breaches
from tools.documentation.examples import record

FOLDER = PROJECT / "docs" / "contracts"
#: By version, oldest first.
RELEASED = {
    version: json.loads((FOLDER / f"{version}.schema.json").read_text("utf-8"))
    for version in sorted(
        (path.name.removesuffix(".schema.json") for path in FOLDER.glob("*.schema.json")),
        key=lambda version: tuple(map(int, version.split("."))),
    )
}
MESSAGE: Any = json.loads(record(Stage.POST_TEST).value)
Change = Callable[[Any], object]


def test_the_codes_schema_is_kept_as_the_newest_version() -> None:
    """A change needs a new version with a new file. A change of texts needs neither."""
    assert list(RELEASED)[-1] == VERSION
    assert breaches(RELEASED[VERSION], schema()) == []
    assert breaches(schema(), RELEASED[VERSION]) == []


def test_each_version_is_an_addition_to_all_before_it() -> None:
    """Consumers of any version can read the topic."""
    for earlier, later in combinations([*RELEASED.values(), schema()], 2):
        assert breaches(earlier, later) == []


@pytest.mark.parametrize("version", RELEASED)
def test_a_schema_is_kept_under_its_own_version(version: str) -> None:
    """The file's name is the version in the messages."""
    assert RELEASED[version]["properties"]["version"] == {
        "description": RELEASED[version]["properties"]["version"]["description"],
        "enum": [version],
    }


def changed(value: Any, change: Change | None) -> Any:
    """Return a changed copy."""
    copied = copy.deepcopy(value)
    if change:
        change(copied)
    return copied


def is_valid(document: Any, under: Any) -> bool:
    """Tell whether a document is valid under a schema, its formats included."""
    checker = Draft202012Validator.FORMAT_CHECKER
    return bool(Draft202012Validator(under, format_checker=checker).is_valid(document))


def as_read(node: Any) -> Any:
    """Return a schema for consumers, which allows fields that it doesn't name."""
    if isinstance(node, list):
        return [as_read(each) for each in node]
    if not isinstance(node, dict):
        return node
    return {name: as_read(each) for name, each in node.items() if name != "additionalProperties"}


def without(name: str, *, of: str = "") -> Change:
    """Return a change that removes a field from a definition, or from the message."""

    def take(document: Any) -> None:
        part = document["$defs"][of] if of else document
        del part["properties"][name]
        part["required"] = [it for it in part["required"] if it != name]

    return take


def with_field(name: str, *, of: str = "", always: bool = False) -> Change:
    """Return a change that adds a field."""

    def add(document: Any) -> None:
        part = document["$defs"][of] if of else document
        part["properties"][name] = {"type": "string", "description": "New."}
        part["required"] += [name] * always

    return add


def optional(name: str, *, of: str = "") -> Change:
    """Return a change that makes a field optional."""
    return lambda document: (document["$defs"][of] if of else document)["required"].remove(name)


def keywords(name: str, *, of: str = "", **said: Any) -> Change:
    """Return a change of a field's keywords. None removes a keyword."""

    def say(document: Any) -> None:
        field = (document["$defs"][of] if of else document)["properties"][name]
        field.update(said)
        for keyword in [it for it in field if field[it] is None]:
            del field[keyword]

    return say


def renamed(document: Any) -> None:
    """Rename a definition everywhere."""
    document["$defs"]["Computer"] = document["$defs"].pop("System")
    document["properties"]["system"]["items"]["$ref"] = "#/$defs/Computer"


def several(*changes: Change) -> Change:
    """Return all changes as one."""
    return lambda document: [change(document) for change in changes]


#: Breaking changes: the place, the change of the schema, and a change of a message as proof.
BREAKING: dict[str, tuple[str, Change, Change]] = {
    "a field goes away": ("branch", without("branch"), lambda it: it.pop("branch")),
    "a field of a part goes away": (
        "run.url",
        without("url", of="Run"),
        lambda it: it["run"].pop("url"),
    ),
    "a field of an entry goes away": (
        "build_info[].debug_kernel",
        without("debug_kernel", of="BuildInfo"),
        lambda it: [build.pop("debug_kernel") for build in it["build_info"]],
    ),
    "a field of an optional entry goes away": (
        "merge_request.jira_issues[].key",
        without("key", of="JiraIssue"),
        lambda it: it["merge_request"]["jira_issues"][0].pop("key"),
    ),
    "a field is called differently": (
        "tree_name",
        several(without("tree_name"), with_field("tree", always=True)),
        lambda it: it.update(tree=it.pop("tree_name")),
    ),
    "a field becomes optional": (
        "patch_urls",
        optional("patch_urls"),
        lambda it: it.pop("patch_urls"),
    ),
    "a field of an entry becomes optional": (
        "build_info[].kernel_package_url",
        optional("kernel_package_url", of="BuildInfo"),
        lambda it: it["build_info"][0].pop("kernel_package_url"),
    ),
    "a field can be null": (
        "tree_name",
        keywords("tree_name", type=["string", "null"]),
        lambda it: it.update(tree_name=None),
    ),
    "a field has another type": (
        "pipelineid",
        keywords("pipelineid", type="string", minimum=None),
        lambda it: it.update(pipelineid="2167003491"),
    ),
    "an integer can be any number": (
        "pipelineid",
        keywords("pipelineid", type="number"),
        lambda it: it.update(pipelineid=0.5),
    ),
    "the entries of a list have another type": (
        "merge_request.jira[]",
        keywords("jira", of="MergeRequestInfo", items={"type": "object"}),
        lambda it: it["merge_request"].update(jira=[{"key": "RHEL-1"}]),
    ),
    "an enum has another value": (
        "status",
        keywords("status", enum=["success", "fail", "error", "cancelled"]),
        lambda it: it.update(status="cancelled"),
    ),
    "an enum is any string": (
        "status",
        keywords("status", enum=None, type="string"),
        lambda it: it.update(status="?"),
    ),
    "a constant is another one": (
        "namespace",
        keywords("namespace", enum=["kernelci"]),
        lambda it: it.update(namespace="kernelci"),
    ),
    "a format is gone": (
        "generated_at",
        keywords("generated_at", format=None),
        lambda it: it.update(generated_at="yesterday"),
    ),
    "a format is another one": (
        "generated_at",
        keywords("generated_at", format="date"),
        lambda it: it.update(generated_at="2026-11-20"),
    ),
    "a list can be empty": (
        "system",
        keywords("system", minItems=None),
        lambda it: it.update(system=[]),
    ),
    "a text can be empty": (
        "checkout_id",
        keywords("checkout_id", minLength=0),
        lambda it: it.update(checkout_id=""),
    ),
    "a number can be lower": (
        "pipelineid",
        keywords("pipelineid", minimum=-1),
        lambda it: it.update(pipelineid=-1),
    ),
    "a post-test message can lack the status": (
        "status",
        lambda it: it["then"]["required"].remove("status"),
        lambda it: it.pop("status"),
    ),
    "a pre-test message can have a status": (
        "the message",
        lambda it: it.pop("else"),
        lambda it: it.update(cki_finished=False),
    ),
    "the status depends on something else": (
        "the message",
        lambda it: it.update({"if": False}),
        lambda it: it.pop("status"),
    ),
}

#: Changes that a validator accepts, but the contract doesn't.
FORBIDDEN: dict[str, tuple[str, Change]] = {
    "an optional field goes away": (
        "artifact.source_package_release",
        without("source_package_release", of="Artifact"),
    ),
    "a value vanishes from an enum": ("status", keywords("status", enum=["success", "fail"])),
    "a type is narrower": ("is_draft", keywords("is_draft", of="MergeRequestInfo", enum=[False])),
    "a list becomes a set": ("modified_files", keywords("modified_files", uniqueItems=True)),
    "a format is new": ("url", keywords("url", of="Run", format="uri")),
    "fields without a name": ("the message", lambda it: it.pop("additionalProperties")),
    "fields without a name in an entry": (
        "build_info[]",
        lambda it: it["$defs"]["BuildInfo"].pop("additionalProperties"),
    ),
}

#: Additions, each with a change of a message.
ADDITIONS: dict[str, tuple[Change, Change | None]] = {
    "nothing": (lambda _: None, None),
    "a field": (with_field("new"), lambda it: it.update(new="!")),
    "a field that is always there": (
        with_field("new", always=True),
        lambda it: it.update(new="!"),
    ),
    "a field of a part": (with_field("new", of="Run"), lambda it: it["run"].update(new="!")),
    "a field of an entry": (
        with_field("new", of="BuildInfo", always=True),
        lambda it: [build.update(new="!") for build in it["build_info"]],
    ),
    "a field of post-test messages": (
        several(
            with_field("new"),
            lambda it: it["then"]["required"].append("new"),
            lambda it: it["else"]["properties"].update(new=False),
        ),
        lambda it: it.update(new="!"),
    ),
    "an optional field that is always there": (
        lambda it: it["$defs"]["Artifact"]["required"].append("source_package_version"),
        None,
    ),
    "a bound that rises": (keywords("build_info", minItems=2), None),
    "a bound that is new": (keywords("tree_name", minLength=1), None),
    "other texts": (
        keywords("branch", description="?", examples=["x"], title="Branch", **{"$comment": "?"}),
        None,
    ),
    "another order of an enum": (keywords("status", enum=["fail", "error", "success"]), None),
    "a definition of another name": (renamed, None),
    "another address": (lambda it: it.update({"$id": "https://example.com/schema.json"}), None),
}


@pytest.mark.parametrize("name", BREAKING)
def test_what_breaks_consumers_is_a_breach(name: str) -> None:
    """The breach has its place, and a message proves it."""
    place, change, example = BREAKING[name]
    later, message = changed(schema(), change), changed(MESSAGE, example)

    assert is_valid(message, later)
    assert not is_valid(message, as_read(schema()))
    assert breaches(schema(), later)
    assert all(it.startswith(place) for it in breaches(schema(), later))


@pytest.mark.parametrize("name", FORBIDDEN)
def test_what_we_do_not_do_to_consumers_is_a_breach(name: str) -> None:
    """Consumers could read it, but rely on more."""
    place, change = FORBIDDEN[name]
    (found,) = breaches(schema(), changed(schema(), change))

    assert f".{found}".partition(": ")[0].endswith(place)


@pytest.mark.parametrize("name", ADDITIONS)
def test_an_addition_breaks_nothing(name: str) -> None:
    """Consumers of the released version can read its messages, with a new version, too."""
    change, example = ADDITIONS[name]
    later = changed(schema(), several(change, keywords("version", enum=["0.2.0"])))
    message = changed(
        MESSAGE, several(example or (lambda _: None), lambda it: it.update(version="0.2.0"))
    )

    assert breaches(schema(), later) == []
    assert is_valid(message, later)
    assert is_valid(message, changed(as_read(schema()), keywords("version", enum=None)))


@pytest.mark.parametrize("name", [name for name in ADDITIONS if "that" in name or "field" in name])
def test_an_addition_needs_a_new_version(name: str) -> None:
    """The reverse is a breach, so the newest version's file does not fit any more."""
    assert breaches(changed(schema(), ADDITIONS[name][0]), schema())
