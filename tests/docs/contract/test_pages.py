"""The reference of the topic agrees with the code."""

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # it has no stubs

from cki_notifier.message.contract import schema
from cki_notifier.notification.models import Stage
from tools.documentation.asyncapi import headers
from tools.documentation.contract import fields
from tools.documentation.examples import record

ROWS = {row.path: row for row in fields()}
DEFINITIONS = {"ReadyForTest": schema(), **schema()["$defs"]}


def paths(message: dict[str, Any], prefix: str = "") -> set[str]:
    """Return the names of all fields of a message in the table's form."""
    found = set()
    for name, value in message.items():
        inner = [value] if isinstance(value, dict) else value if isinstance(value, list) else []
        parts = [it for it in inner if isinstance(it, dict)]
        path = f"{prefix}{name}{'[]' if parts and isinstance(value, list) else ''}"
        found |= {path}.union(*(paths(part, f"{path}.") for part in parts))
    return found


def test_each_field_has_a_row() -> None:
    """The post-test example has every field."""
    assert set(ROWS) == paths(json.loads(record(Stage.POST_TEST).value))


def test_rows_tell_when_a_field_is_there() -> None:
    """All other fields are always present."""
    presence = {path: row.presence for path, row in ROWS.items() if row.presence != "always"}

    assert presence == {
        "artifact.source_package_version": "optional",
        "artifact.source_package_release": "optional",
        "build_info[].package_version": "optional",
        "build_info[].package_release": "optional",
        "merge_request.jira_issues[]": "optional",
        "status": "post-test only",
    }


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("run", "object"),
        ("run.url", "string"),
        ("namespace", '`"cki"`'),
        ("status", '`"error"` or `"fail"` or `"success"`'),
        ("system[]", "list of objects, at least 1"),
        ("merge_request.jira", "list of strings"),
        ("build_info[].debug_kernel", "boolean"),
        ("pipelineid", "integer"),
        ("generated_at", "string, date-time"),
    ],
)
def test_rows_tell_a_fields_type(path: str, kind: str) -> None:
    """The type is in words, or a constant's value."""
    assert ROWS[path].kind == kind


def test_rows_have_an_example() -> None:
    """Objects and constants need none."""
    for path, row in ROWS.items():
        assert row.meaning, path
        assert row.example or "object" in row.kind or row.kind.startswith('`"'), path


@pytest.mark.parametrize("title", DEFINITIONS)
def test_the_examples_of_the_schema_are_valid(title: str) -> None:
    """Each example of a field is a valid value."""
    for name, field in DEFINITIONS[title]["properties"].items():
        for example in field.get("examples", ()):
            assert Draft202012Validator(field).is_valid(example), name


@pytest.mark.parametrize("stage", Stage)
def test_the_headers_are_the_ones_that_are_sent(stage: Stage) -> None:
    """The page has all headers, in their order, and no others."""
    assert list(record(stage).headers) == list(headers())
