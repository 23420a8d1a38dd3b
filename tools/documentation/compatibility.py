"""Whether one version of the contract is an addition to another.

That is what Confluent's Schema Registry calls FORWARD compatibility (of all earlier versions:
FORWARD_TRANSITIVE), for consumers that ignore fields they don't know: whoever was made for the
earlier schema can read what the later one lets through. We promise a bit more: no value that a
consumer may wait for vanishes from an enum.

Source: docs.confluent.io, "Schema Evolution and Compatibility for Schema Registry".
"""

import json
from collections.abc import Iterator
from typing import Any, Final

from tools.documentation.contract import inlined

#: What is said about a value, not of it; where a schema is; and definitions, which are compared
#: where they are referred to.
_IGNORED: Final = frozenset({"title", "description", "examples", "$comment", "$id", "$defs"})
#: Bounds that may rise but not fall: consumers index without checking.
_FLOORS: Final = frozenset({"minItems", "minLength", "minimum"})
#: What has schemas of its own, and what they add to the place.
_PARTS: Final = {"items": "[]", "then": "", "else": ""}
#: What is compared in a way of its own. All else must stay as it is, what is unknown here included.
_SPECIAL: Final = frozenset({"properties", "required", *_PARTS})
#: The constant that tells versions apart, the only one that may change.
_VERSION: Final = ("version", "enum")


def breaches(earlier: dict[str, Any], later: dict[str, Any]) -> list[str]:
    """Return what of an earlier schema a later one does not keep, each with its place.

    An addition is a new field, a field that is always there from now on, a lower bound that rises,
    or another text. Nothing else is one. Places are written as the documentation writes its fields.

    Args:
        earlier: a JSON Schema that :func:`cki_notifier.message.contract.schema` made.
        later: likewise.
    """
    before, after = (inlined(schema, schema["$defs"]) for schema in (earlier, later))
    return list(_breaches(before, after, ""))


def _breaches(earlier: Any, later: Any, place: str) -> Iterator[str]:
    """Compare what is said of a value; a part may be a boolean, or missing."""
    if not isinstance(earlier, dict) or not isinstance(later, dict):
        if earlier != later:
            yield f"{place or 'the message'}: was {earlier}, is {later}"
        return
    for name, part in earlier.get("properties", {}).items():
        path = f"{place}.{name}".removeprefix(".")
        if name in later.get("properties", {}):
            yield from _breaches(part, later["properties"][name], path)
        else:
            yield f"{path}: is gone"
    for name in earlier.get("required", ()):
        if name not in later.get("required", ()):
            yield f"{place}.{name}: is not always there any more".removeprefix(".")
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
