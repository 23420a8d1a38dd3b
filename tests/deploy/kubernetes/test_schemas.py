"""The schemas of Kubernetes, KEDA and the Prometheus operator accept the manifests."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.kubernetes.manifests import OVERLAYS, Object, overlay, with_component
from tests.deploy.kubernetes.schemas import RELEASES, faults

each_release: Callable[..., Any] = pytest.mark.parametrize("release", RELEASES)


@each_release
@pytest.mark.parametrize("name", OVERLAYS)
def test_every_object_fits_its_schema(name: str, release: str) -> None:
    """The oldest and the newest release know all fields and their types."""
    found = {item["kind"]: faults(item, release) for item in overlay(name).objects}
    assert not any(found.values()), found


@each_release
def test_the_private_authority_fits_too(release: str, tmp_path: Path) -> None:
    """The schema accepts the Deployment with the component private-ca."""
    assert (
        faults(with_component("production", "private-ca", tmp_path).one("Deployment"), release)
        == []
    )


def test_there_is_an_old_and_a_new_release() -> None:
    """The schemas of two releases are installed."""
    assert len(RELEASES) > 1


def _misspell(item: Object, *path: str | int) -> Object:
    """Return a copy of an object with one field misspelt."""
    changed = copy.deepcopy(item)
    place: Any = changed
    for step in path[:-1]:
        place = place[step]
    place[f"{path[-1]}x"] = place.pop(path[-1])
    return changed


@each_release
@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("Deployment", ("spec", "template", "spec", "terminationGracePeriodSeconds")),
        ("Deployment", ("spec", "template", "spec", "containers", 0, "livenessProbe")),
        ("NetworkPolicy", ("spec", "egress", 0, "to")),
        ("PodDisruptionBudget", ("spec", "maxUnavailable")),
        ("PrometheusRule", ("spec", "groups", 0, "rules", 0, "for")),
        ("ScaledObject", ("spec", "minReplicaCount")),
        ("Service", ("spec", "ports", 0, "targetPort")),
        ("ServiceMonitor", ("spec", "endpoints", 0, "interval")),
        ("TriggerAuthentication", ("spec", "secretTargetRef", 0, "key")),
    ],
)
def test_a_misspelt_field_is_noticed(kind: str, path: tuple[str | int, ...], release: str) -> None:
    """The check finds a misspelt field at any depth."""
    assert faults(_misspell(overlay("production").one(kind), *path), release)
