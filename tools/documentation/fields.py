"""The message's fields, one by one, as its JSON Schema has them."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

Schema = dict[str, Any]


class Field(NamedTuple):
    """A field of the message.

    Attributes:
        path: its names with dots, ``[]`` behind a list.
        kind: its type in words, or its only value as JSON.
        presence: ``always``, ``optional`` or ``post-test only``.
        meaning: a sentence or two.
        example: as JSON, empty where its parts have theirs or its only value is its kind.
    """

    path: str
    kind: str
    presence: str
    meaning: str
    example: str


def resolved(node: Schema, schema: Schema) -> Schema:
    """Return a part of a schema, or the definition that it refers to."""
    target: str = node.get("$ref", "")
    part: Schema = schema["$defs"][target.removeprefix("#/$defs/")] if target else node
    return part


def fields(schema: Schema) -> list[Field]:
    """Return all fields of a schema, a part before what is in it."""
    return list(_fields(schema, schema, ""))


def _fields(part: Schema, schema: Schema, prefix: str) -> Iterator[Field]:
    for name, reference in part["properties"].items():
        node = resolved(reference, schema)
        items = resolved(node.get("items", {}), schema)
        is_list = node.get("type") == "array"
        path = f"{prefix}{name}{'[]' if is_list and 'properties' in items else ''}"
        yield Field(
            path=path,
            kind=_kind(node, items),
            presence=_presence(name, part),
            meaning=node["description"],
            example=_example(node),
        )
        for inner in (node, items):
            if "properties" in inner:
                yield from _fields(inner, schema, f"{path}.")


def _presence(name: str, part: Schema) -> str:
    if name in part["required"]:
        return "always"
    # The message's own condition: required by `then`, forbidden by `else`.
    if name in part.get("then", {}).get("required", ()):
        return "post-test only"
    return "optional"


def _kind(node: Schema, items: Schema) -> str:
    if "enum" in node:
        return " or ".join(f"`{json.dumps(value)}`" for value in node["enum"])
    if node["type"] != "array":
        return ", ".join(filter(None, (node["type"], node.get("format"))))
    least = f", at least {node['minItems']}" if "minItems" in node else ""
    return f"list of {items['type']}s{least}"


def _example(node: Schema) -> str:
    return json.dumps(node["examples"][0], ensure_ascii=False) if "examples" in node else ""
