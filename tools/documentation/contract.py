"""Generates docs/contract.md from its template and the code."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from cki_notifier.message.contract import VERSION, schema
from cki_notifier.notification.models import Stage
from tools.documentation.asyncapi import headers
from tools.documentation.examples import record
from tools.documentation.markdown import code, table

#: The prose, with marks such as `<!-- made: fields -->` for generated parts.
_TEMPLATE: Final = Path(__file__).with_name("contract.template.md")
_MARK: Final = re.compile(r"<!-- (.*?) -->")


class Field(NamedTuple):
    """A field of the message.

    Attributes:
        path: its names joined by dots, with ``[]`` behind a list.
        kind: its type in words, or its fixed values as JSON.
        presence: ``always``, ``optional`` or ``post-test only``.
        meaning: a sentence or two.
        example: as JSON; empty for an object or a fixed value.
    """

    path: str
    kind: str
    presence: str
    meaning: str
    example: str


def page() -> str:
    """Return the page as Markdown.

    Raises:
        KeyError: the template has an unknown mark.
    """
    made = {"made: headers": _headers(), "made: fields": _fields(), "version": code(VERSION)}
    for stage in Stage:
        example = record(stage)
        message = json.dumps(json.loads(example.value), indent=2, ensure_ascii=False)
        made[f"made: {stage}"] = f"```json\n{message}\n```"
        made[f"type: {stage}"] = example.headers["ce_type"]
    text = _MARK.sub(lambda mark: made[mark[1]], _TEMPLATE.read_text("utf-8"))
    head = f"<!-- Made by `python -m tools.documentation` of {_TEMPLATE.name}: don't edit it. -->"
    return f"{head}\n\n{text}"


def inlined(part: Any, definitions: dict[str, Any]) -> Any:
    """Return a part of a schema, with references replaced by their definitions."""
    if isinstance(part, list):
        return [inlined(each, definitions) for each in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        return inlined(definitions[part["$ref"].removeprefix("#/$defs/")], definitions)
    return {name: inlined(each, definitions) for name, each in part.items()}


def fields() -> list[Field]:
    """Return all fields of the message, an object before its own fields."""
    whole = schema()
    return list(_fields_of(inlined(whole, whole["$defs"]), ""))


def _headers() -> str:
    example = record(Stage.PRE_TEST).headers
    rows = ((code(name), it["description"], code(example[name])) for name, it in headers().items())
    return table(("header", "meaning", "example"), rows)


def _fields() -> str:
    rows = ((code(it.path), *it[1:-1], code(it.example)) for it in fields())
    return table(("field", "type", "presence", "meaning", "example"), rows)


def _fields_of(part: dict[str, Any], prefix: str) -> Iterator[Field]:
    for name, node in part["properties"].items():
        inner = node.get("items", node)
        suffix = "[]" if "items" in node and "properties" in inner else ""
        path = f"{prefix}{name}{suffix}"
        example = json.dumps(node["examples"][0], ensure_ascii=False) if "examples" in node else ""
        yield Field(path, _kind(node), _presence(name, part), node["description"], example)
        if "properties" in inner:
            yield from _fields_of(inner, f"{path}.")


def _presence(name: str, part: dict[str, Any]) -> str:
    if name in part["required"]:
        return "always"
    # Required by the message's `then`, forbidden by its `else`.
    if name in part.get("then", {}).get("required", ()):
        return "post-test only"
    return "optional"


def _kind(node: dict[str, Any]) -> str:
    if "enum" in node:
        return " or ".join(code(json.dumps(value)) for value in node["enum"])
    if node["type"] != "array":
        return ", ".join(filter(None, (node["type"], node.get("format"))))
    least = f", at least {node['minItems']}" if "minItems" in node else ""
    return f"list of {node['items']['type']}s{least}"
