"""Checks that one version of the contract is an addition to another.

Confluent's Schema Registry calls that FORWARD compatibility, or FORWARD_TRANSITIVE with all earlier
versions. A consumer of the earlier schema that ignores unknown fields can read all messages of the
later one. This check also forbids to remove a value from an enum.

Source: docs.confluent.io, "Schema Evolution and Compatibility for Schema Registry".
"""

import json
from collections.abc import Iterator
from typing import Any, Final

from tools.documentation.contract import inlined

#: Keywords that don't constrain a value, and the definitions, which the check compares at their
#: references.
_IGNORED: Final = frozenset({"title", "description", "examples", "$comment", "$id", "$defs"})
#: Bounds that may rise but not fall, because consumers index without checking.
_FLOORS: Final = frozenset({"minItems", "minLength", "minimum"})
#: Keywords with schemas of their own, and their suffix in a place.
_PARTS: Final = {"items": "[]", "then": "", "else": ""}
#: Keywords with rules of their own. All others, unknown ones included, must stay equal.
_SPECIAL: Final = frozenset({"properties", "required", *_PARTS})
#: The constant with the version, the only one that may change.
_VERSION: Final = ("version", "enum")


def breaches(earlier: dict[str, Any], later: dict[str, Any]) -> list[str]:
    """Return the breaking changes from an earlier schema to a later one, each with its place.

    Additions are a new field, an optional field that becomes required, a rising lower bound, and
    another text. All other changes are breaking. Places look as in the documentation of the fields.

    Args:
        earlier: a JSON Schema from :func:`cki_notifier.message.contract.schema`.
        later: also.
    """
    before, after = (inlined(schema, schema["$defs"]) for schema in (earlier, later))
    return list(_breaches(before, after, ""))


def _breaches(earlier: Any, later: Any, place: str) -> Iterator[str]:
    """Compare two schemas, each of which may be a boolean, or missing."""
    if not isinstance(earlier, dict) or not isinstance(later, dict):
        if earlier != later:
            yield f"{place or 'the message'}: was {earlier}, is {later}"
        return
    for name, part in earlier.get("properties", {}).items():
        path = f"{place}.{name}".removeprefix(".")
        if name in later.get("properties", {}):
            yield from _breaches(part, later["properties"][name], path)
        else:
            yield f"{path}: was removed"
    for name in earlier.get("required", ()):
        if name not in later.get("required", ()):
            yield f"{place}.{name}: became optional".removeprefix(".")
    for keyword, suffix in _PARTS.items():
        yield from _breaches(earlier.get(keyword), later.get(keyword), f"{place}{suffix}")
    compared = (
        (earlier.keys() | later.keys()) - _IGNORED - _PARTS.keys() - {"properties", "required"}
    )
    for keyword in sorted(compared):
        before, after = earlier.get(keyword), later.get(keyword)
        if not _is_kept(keyword, before, after) and (place, keyword) != _VERSION:
            yield f"{place or 'the message'}: {keyword} was {before}, is {after}"


def _is_kept(keyword: str, before: Any, after: Any) -> bool:
    if keyword in _FLOORS:
        return before is None or (after is not None and bool(after >= before))
    if keyword == "enum" and before and after:
        return sorted(before, key=json.dumps) == sorted(after, key=json.dumps)
    return bool(before == after)
