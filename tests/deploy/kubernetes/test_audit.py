"""The audit's CronJob has the daemon's image, settings and rights.

The tests compare it with the Deployment, which has tests of its own.
"""

import argparse
import copy
import functools
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from cki_notifier.audit.arguments import gateway
from tests.deploy.kubernetes import restricted
from tests.deploy.kubernetes.manifests import (
    OVERLAYS,
    Manifests,
    Object,
    environment,
    kustomize,
    overlay,
)
from tests.deploy.kubernetes.schemas import RELEASES, faults
from tests.factories.environment import read
from tools import PROJECT

#: The lines of an overlay that an operator uncomments.
SWITCH = re.compile(r"^( *)# ?( *- \.\./\.\./components/audit|components:)$", re.MULTILINE)
PRIVATE_CA = "../../components/private-ca"
each_overlay: Callable[..., Any] = pytest.mark.parametrize("name", OVERLAYS)


@functools.cache
def switched_on(name: str, *more: str) -> Manifests:
    """Return the objects of an overlay whose lines about the audit are uncommented.

    Args:
        name: the overlay's name.
        more: components after the audit.
    """
    with tempfile.TemporaryDirectory() as folder:
        copied = Path(shutil.copytree(PROJECT / "deploy", Path(folder) / "deploy"))
        file = copied / "kubernetes" / "overlays" / name / "kustomization.yaml"
        text, count = SWITCH.subn(r"\1\2", file.read_text())
        assert count in {1, 2}
        kustomization = yaml.safe_load(text)
        kustomization["components"] += more
        file.write_text(yaml.safe_dump(kustomization))
        return Manifests(list(yaml.safe_load_all(kustomize(file.parent))))


def job(manifests: Manifests) -> dict[str, Any]:
    """Return the spec of the Job."""
    spec: dict[str, Any] = manifests.one("CronJob")["spec"]["jobTemplate"]["spec"]
    return spec


def pod(manifests: Manifests) -> dict[str, Any]:
    """Return the spec of the Job's pod."""
    spec: dict[str, Any] = job(manifests)["template"]["spec"]
    return spec


def container(manifests: Manifests) -> dict[str, Any]:
    """Return the pod's only container."""
    (only,) = pod(manifests)["containers"]
    found: dict[str, Any] = only
    return found


def policy(manifests: Manifests, name: str) -> Object:
    """Return the spec of a NetworkPolicy."""
    (found,) = [
        it["spec"] for it in manifests.all("NetworkPolicy") if it["metadata"]["name"] == name
    ]
    spec: Object = found
    return spec


def address(manifests: Manifests) -> str:
    """Return the Pushgateway's address."""
    (found,) = [
        it["value"] for it in container(manifests)["env"] if it["name"] == "PUSHGATEWAY_URL"
    ]
    return str(found)


@each_overlay
def test_it_is_off_until_it_is_switched_on(name: str) -> None:
    """The audit is off by default, because it needs a Pushgateway, and changes no other object."""
    before, after = overlay(name), switched_on(name)
    assert not before.all("CronJob")
    added = [it for it in after.objects if it not in before.objects]
    assert {it["kind"] for it in added} == {"CronJob", "NetworkPolicy"}
    assert {it["metadata"]["name"] for it in added} == {"cki-notifier-audit"}
    assert all(it in after.objects for it in before.objects)
    assert {it["metadata"]["namespace"] for it in added} == {f"cki-notifier-{name}"}


@pytest.mark.parametrize("release", RELEASES)
@each_overlay
def test_every_object_fits_its_schema(name: str, release: str) -> None:
    """The schemas of the oldest and the newest release accept the objects, and find a typo."""
    for manifests in (switched_on(name), switched_on(name, PRIVATE_CA)):
        found = {it["kind"]: faults(it, release) for it in manifests.objects}
        assert not any(found.values()), found
    wrong = copy.deepcopy(switched_on(name).one("CronJob"))
    template = wrong["spec"]["jobTemplate"]["spec"]
    template["backoffLimits"] = template.pop("backoffLimit")
    assert faults(wrong, release)


@each_overlay
def test_it_runs_as_the_daemon_does(name: str) -> None:
    """The audit has the daemon's image, settings, Secret, rights and limits, and is restricted."""
    manifests = switched_on(name)
    daemon, audit = manifests.container, container(manifests)
    for key in ("image", "securityContext", "terminationMessagePolicy", "volumeMounts"):
        assert audit[key] == daemon[key], key
    assert audit["envFrom"] == daemon["envFrom"]
    assert audit["resources"]["limits"] == daemon["resources"]["limits"]
    for key in (
        "serviceAccountName",
        "automountServiceAccountToken",
        "enableServiceLinks",
        "securityContext",
        "volumes",
    ):
        assert pod(manifests)[key] == manifests.pod[key], key
    assert restricted.faults(pod(manifests)) == []


@each_overlay
def test_it_asks_about_a_day_and_pushes_to_the_gateway(name: str) -> None:
    """Kubernetes fills in the address, and the audit accepts it."""
    manifests = switched_on(name)
    args = container(manifests)["args"]
    assert args == ["audit", "--since", "24h", "--push", "$(PUSHGATEWAY_URL)"]
    assert gateway(address(manifests)) == address(manifests)
    with pytest.raises(argparse.ArgumentTypeError):
        gateway(args[-1])  # fails for an address that is not filled in


@each_overlay
def test_one_that_fails_is_no_crash_loop(name: str) -> None:
    """A Job ends before the next one starts, is not retried, and keeps its report for a while."""
    manifests = switched_on(name)
    cron = manifests.one("CronJob")["spec"]
    minute, *others = cron["schedule"].split()
    assert others == ["*"] * 4
    assert int(minute) % 5
    assert cron["concurrencyPolicy"] == "Forbid"
    assert cron["failedJobsHistoryLimit"] > cron["successfulJobsHistoryLimit"] > 0
    assert job(manifests)["backoffLimit"] == 0
    assert pod(manifests)["restartPolicy"] == "Never"
    assert cron["startingDeadlineSeconds"] <= 3600
    assert job(manifests)["activeDeadlineSeconds"] < 3600
    assert 3600 <= job(manifests)["ttlSecondsAfterFinished"] <= 86400


@each_overlay
def test_nothing_of_the_daemon_s_is_about_its_pods(name: str) -> None:
    """The daemon's Service, budget, policy and Deployment do not select the audit's pods."""
    manifests = switched_on(name)
    labels = job(manifests)["template"]["metadata"]["labels"]
    selectors = [
        manifests.one("Deployment")["spec"]["selector"]["matchLabels"],
        manifests.one("Service")["spec"]["selector"],
        manifests.one("PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        policy(manifests, "cki-notifier")["podSelector"]["matchLabels"],
    ]
    assert not any(selector.items() <= labels.items() for selector in selectors)
    its_own = policy(manifests, "cki-notifier-audit")["podSelector"]["matchLabels"]
    assert its_own
    assert its_own.items() <= labels.items()


@each_overlay
def test_it_reaches_what_the_daemon_does_and_the_gateway(name: str, tmp_path: Path) -> None:
    """The audit reaches the daemon's ports, DNS and the gateway. Nothing reaches the audit."""
    manifests = switched_on(name)
    ours = policy(manifests, "cki-notifier-audit")
    assert ours["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in ours
    *shared, rule = ours["egress"]
    assert shared == policy(manifests, "cki-notifier")["egress"]
    place = urlsplit(address(manifests))
    assert place.hostname is not None
    assert rule["ports"] == [{"port": place.port}]
    (peer,) = rule["to"]
    service, namespace, _ = place.hostname.split(".")
    assert peer["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": namespace}
    assert peer["podSelector"]["matchLabels"] == {"app.kubernetes.io/name": service}
    # The audit and the daemon of an overlay have the same topic.
    assert read(environment(manifests, tmp_path)).sends


@each_overlay
def test_it_trusts_a_private_authority(name: str) -> None:
    """With both components, the audit trusts the private authority."""
    manifests = switched_on(name, PRIVATE_CA)
    daemon, audit = manifests.container, container(manifests)
    assert daemon["env"]
    assert [it for it in audit["env"] if it["name"] != "PUSHGATEWAY_URL"] == daemon["env"]
    assert audit["volumeMounts"] == daemon["volumeMounts"]
    assert pod(manifests)["volumes"] == manifests.pod["volumes"]
