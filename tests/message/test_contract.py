"""The contract: its schema, and the messages that the schema accepts."""

import copy
import functools
import json
import operator
from collections.abc import Iterator
from typing import Any, TypeAlias

import msgspec
import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # it has no stubs

from cki_notifier.message.build import build_message
from cki_notifier.message.contract import ReadyForTest, encode, schema
from cki_notifier.notification.models import Stage
from tests import factories
from tests.factories.contract import NOW, PUBLISHED, VALIDATOR, received

#: The path to a value in a document: names of fields and indexes of lists.
Path: TypeAlias = tuple[str | int, ...]

MERGE_REQUEST = factories.merge_request(
    labels=("Subsystem:net", "ExternalCI::lnst::OK"),
    jira=("https://issues.example.com/browse/RHEL-1",),
    bugzilla=("https://bugzilla.example.com/1",),
    jira_issues=(factories.jira_issue(),),
)
PRE_TEST = build_message(factories.loaded(), MERGE_REQUEST, Stage.PRE_TEST, NOW)
POST_TEST = build_message(factories.loaded(), MERGE_REQUEST, Stage.POST_TEST, NOW)
#: A message with every field, as plain JSON.
FULL: Any = json.loads(encode(POST_TEST))
#: The optional fields of the design.
OPTIONAL: set[Path] = {
    ("artifact", "source_package_version"),
    ("artifact", "source_package_release"),
    ("build_info", 0, "package_version"),
    ("build_info", 0, "package_release"),
    ("merge_request", "jira_issues"),
}


def paths(value: object, path: Path = ()) -> Iterator[Path]:
    """Yield the path to the value itself and to each value in it."""
    yield path
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from paths(inner, (*path, name))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from paths(inner, (*path, index))


def value_at(path: Path) -> Any:
    """Return the value at a place of the full message."""
    return functools.reduce(operator.getitem, path, FULL)


PATHS = tuple(path for path in paths(FULL) if path)
LISTS = tuple(path for path in PATHS if isinstance(value_at(path), list))
FIELDS = tuple(path for path in PATHS if isinstance(path[-1], str))


def changed(path: Path, value: object = ..., *, of: Any = FULL) -> Any:
    """Return a message with another value at a place, or with none for `...`."""
    document = copy.deepcopy(of)
    place = functools.reduce(operator.getitem, path[:-1], document)
    if value is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return document


def named(path: object) -> str:
    """Return the name of a place in a test's name."""
    return ".".join(map(str, path)) if isinstance(path, tuple) else repr(path)


def test_the_schema_that_is_published_is_the_one_of_the_code() -> None:
    """After a change of a type, publish `json.dumps(schema(), indent=2)` with a line end."""
    assert json.dumps(schema(), indent=2) + "\n" == PUBLISHED


def test_the_schema_is_a_good_one() -> None:
    """It is JSON Schema 2020-12, declares that, and has an id."""
    Draft202012Validator.check_schema(schema())

    assert schema()["$schema"] == Draft202012Validator.META_SCHEMA["$id"]
    assert schema()["$id"].endswith(f"-{FULL['version']}.json")


@pytest.mark.parametrize("message", [PRE_TEST, POST_TEST], ids=["pre-test", "post-test"])
def test_a_message_matches_the_schema_and_reads_back(message: ReadyForTest) -> None:
    """The published JSON in UTF-8 loses nothing."""
    assert msgspec.convert(received(message), ReadyForTest) == message


def test_texts_of_all_scripts_are_sent_as_they_are() -> None:
    """Values are UTF-8, not escaped."""
    tree = "ядро-核"
    loaded = factories.loaded(checkout=factories.checkout(tree_name=tree))
    message = build_message(loaded, None, Stage.PRE_TEST, NOW)

    assert tree.encode("utf-8") in encode(message)
    assert received(message)["tree_name"] == tree


def test_every_optional_field_is_in_the_full_message() -> None:
    """So the tests below cover all fields."""
    assert set(PATHS) >= OPTIONAL
    assert VALIDATOR.is_valid(FULL)
    assert set(schema()["properties"]) == set(FULL)


@pytest.mark.parametrize("path", PATHS, ids=named)
def test_nothing_is_ever_null(path: Path) -> None:
    """A field without a value is empty or absent."""
    assert not VALIDATOR.is_valid(changed(path, None))


@pytest.mark.parametrize("path", [it for it in FIELDS if it not in OPTIONAL], ids=named)
def test_what_is_always_there_can_not_be_missing(path: Path) -> None:
    """Constant fields are no exception, nor is the status of a post-test message."""
    assert not VALIDATOR.is_valid(changed(path))


@pytest.mark.parametrize("path", sorted(OPTIONAL, key=str), ids=named)
def test_what_is_optional_may_be_missing(path: Path) -> None:
    """It is absent if unknown."""
    assert VALIDATOR.is_valid(changed(path))


@pytest.mark.parametrize(
    "path", [(), *(it for it in PATHS if isinstance(value_at(it), dict))], ids=named
)
def test_there_are_no_other_fields(path: Path) -> None:
    """Neither at the top nor in any part."""
    assert not VALIDATOR.is_valid(changed((*path, "new"), ""))


@pytest.mark.parametrize("path", PATHS, ids=named)
def test_values_are_of_their_type(path: Path) -> None:
    """Texts, numbers and booleans are not interchangeable."""
    value = value_at(path)
    for other in ("?", 1.5, [1], {"?": 1}):
        if not isinstance(value, str) or not isinstance(other, str):
            assert not VALIDATOR.is_valid(changed(path, other))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("checkout_id",), ""),
        (("pipelineid",), -1),
        (("pipelineid",), "34"),
        (("cki_finished",), 1),
        (("status",), "unknown"),
        (("version",), "0.2.0"),
        (("type",), "test"),
        (("ci", "name"), "CKI"),
        (("generated_at",), "yesterday"),
        (("generated_at",), "2026-11-20T12:30:01"),
        (("cki_finished",), False),
    ],
    ids=named,
)
def test_values_are_in_their_range(path: Path, value: object) -> None:
    """Constants are constant, times are times, and numbers are not negative."""
    assert not VALIDATOR.is_valid(changed(path, value))


@pytest.mark.parametrize("status", ["success", "fail", "error"])
def test_the_status_belongs_to_post_test_messages(status: str) -> None:
    """Each post-test message has it, and no other message."""
    pre_test = json.loads(encode(PRE_TEST))

    assert VALIDATOR.is_valid(changed(("status",), status))
    assert VALIDATOR.is_valid(pre_test)
    assert not VALIDATOR.is_valid(changed(("status",), status, of=pre_test))


@pytest.mark.parametrize("path", LISTS, ids=named)
def test_lists_may_be_empty(path: Path) -> None:
    """Only systems and builds need an entry."""
    assert VALIDATOR.is_valid(changed(path, [])) == (path not in {("system",), ("build_info",)})
