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

from tools.documentation.fields import Schema, resolved

#: What is said about a value, not of it.
_TEXTS: Final = frozenset({"title", "description", "examples", "$comment"})
#: Where a schema is and what it is made of; definitions are compared where they are referred to.
_PLACES: Final = frozenset({"$id", "$defs"})
#: Bounds that may rise but not fall: consumers index without checking.
_FLOORS: Final = frozenset({"minItems", "minLength", "minimum"})
#: What holds parts of the same value.
_PARTS: Final = frozenset({"then", "else"})
#: What is compared in a way of its own. All else must stay as it is, what is unknown here included.
_SPECIAL: Final = _FLOORS | _PARTS | {"properties", "required", "items"}
#: The constant that tells versions apart.
_VERSION: Final = "version"


def breaches(earlier: Schema, later: Schema) -> list[str]:
    """Return what of an earlier schema a later one does not keep, each with its place.

    An addition is a new field, a field that is always there from now on, a lower bound that rises,
    or another text. Nothing else is one.

    Args:
        earlier: a JSON Schema that :func:`cki_notifier.message.contract.schema` made.
        later: likewise.
    """
    return list(_Comparison(earlier, later).breaches())


class _Comparison:
    """Two schemas; the places in them are written as the documentation writes its fields."""

    def __init__(self, earlier: Schema, later: Schema) -> None:
        self._earlier = earlier
        self._later = later

    def breaches(self) -> Iterator[str]:
        return self._part(self._earlier, self._later, "")

    def _part(self, earlier: Any, later: Any, place: str) -> Iterator[str]:
        """Compare what is said of a value; a part may be a boolean, or missing."""
        if not isinstance(earlier, dict) or not isinstance(later, dict):
            if earlier != later:
                yield f"{place or 'the message'}: was {earlier}, is {later}"
            return
        earlier, later = resolved(earlier, self._earlier), resolved(later, self._later)
        yield from self._fields(earlier, later, place)
        yield from self._part(earlier.get("items"), later.get("items"), f"{place}[]")
        for keyword in sorted(_PARTS):
            yield from self._part(earlier.get(keyword), later.get(keyword), place)
        yield from _others(earlier, later, place)

    def _fields(self, earlier: Schema, later: Schema, place: str) -> Iterator[str]:
        remaining = later.get("properties", {})
        for name, part in earlier.get("properties", {}).items():
            path = f"{place}.{name}".removeprefix(".")
            if name in remaining:
                yield from self._part(part, remaining[name], path)
            else:
                yield f"{path}: is gone"
        required = later.get("required", ())
        for name in earlier.get("required", ()):
            if name not in required:
                yield f"{place}.{name}: is not always there any more".removeprefix(".")


def _others(earlier: Schema, later: Schema, place: str) -> Iterator[str]:
    for keyword in sorted(_FLOORS & earlier.keys()):
        if later.get(keyword, float("-inf")) < earlier[keyword]:
            yield f"{place}: {keyword} was {earlier[keyword]}, is {later.get(keyword)}"
    for keyword in sorted((earlier.keys() | later.keys()) - _TEXTS - _PLACES - _SPECIAL):
        before, after = (_comparable(keyword, part.get(keyword)) for part in (earlier, later))
        if before != after and (place, keyword) != (_VERSION, "enum"):
            yield f"{place or 'the message'}: {keyword} was {before}, is {after}"


def _comparable(keyword: str, said: Any) -> Any:
    """Return what was said in a form in which the order of an enum does not count."""
    return sorted(said, key=json.dumps) if keyword == "enum" and said is not None else said
