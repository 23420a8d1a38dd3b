"""The strict schemas of Kubernetes, KEDA and the Prometheus operator."""

import functools
import json
from collections.abc import Iterator
from typing import Any

import yaml
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # it has no stubs
from referencing import Registry, Resource

from tests.deploy.kubernetes.manifests import TOOLS, Object

#: The releases of Kubernetes that have schemas here.
RELEASES = sorted(path.name for path in (TOOLS / "schemas").glob("v*"))


def faults(item: Object, release: str) -> list[str]:
    """Return the errors of an object's fields by the schemas of a release of Kubernetes."""
    group, _, version = item["apiVersion"].rpartition("/")
    definitions = _definitions()
    if (group, item["kind"], version) in definitions:
        validator = Draft202012Validator(definitions[group, item["kind"], version])
    else:
        validator = _of_kubernetes(item["kind"], group, version, release)
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(item)]


@functools.cache
def _of_kubernetes(kind: str, group: str, version: str, release: str) -> Draft202012Validator:
    names = [kind.lower(), group.partition(".")[0], version]
    schema = _load(release, "-".join(name for name in names if name))
    known = [Resource.from_contents(schema), _shared(release)]
    return Draft202012Validator(schema, registry=known @ Registry())


@functools.cache
def _shared(release: str) -> "Resource[Any]":
    return Resource.from_contents(_load(release, "_definitions"))


def _load(release: str, name: str) -> dict[str, Any]:
    path = TOOLS / "schemas" / release / f"{name}.json"
    schema: dict[str, Any] = json.loads(path.read_text())
    return schema


@functools.cache
def _definitions() -> dict[tuple[str, str, str], dict[str, Any]]:
    """Return the schemas of custom kinds by group, kind and version."""
    return {
        (spec["group"], spec["names"]["kind"], version["name"]): _as_cluster(version)
        for spec in _specs()
        for version in spec["versions"]
    }


def _specs() -> Iterator[dict[str, Any]]:
    for path in sorted((TOOLS / "crds").glob("*.yaml")):
        yield yaml.load(path.read_text(), Loader=yaml.CSafeLoader)["spec"]


def _as_cluster(version: dict[str, Any]) -> dict[str, Any]:
    """Return a definition's schema as a cluster reads it.

    A cluster drops unknown fields. Here, an unknown field is an error. ``metadata`` has the
    cluster's own schema.
    """
    schema: dict[str, Any] = version["schema"]["openAPIV3Schema"]
    _close(schema)
    schema["properties"]["metadata"] = {"type": "object"}
    return schema


def _close(schema: Any) -> None:
    """Forbid unknown fields at every depth."""
    if isinstance(schema, list):
        for inner in schema:
            _close(inner)
    elif isinstance(schema, dict):
        if "properties" in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
            schema.setdefault("additionalProperties", False)
        if schema.get("x-kubernetes-int-or-string"):
            schema.pop("format", None)
        for inner in schema.values():
            _close(inner)
