"""The pod: its rights, probes, shutdown and placement."""

import copy
import re
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
import yaml

from cki_notifier.configuration.shutdown import CLOSING_SECONDS
from cki_notifier.web.request import Request
from cki_notifier.workers.shares import USUAL
from tests.deploy.kubernetes import restricted
from tests.deploy.kubernetes.manifests import OVERLAYS, environment, overlay, with_component
from tests.factories.environment import read
from tests.factories.website import Scene
from tests.faults.neighbours.judgement import ROOM
from tools import PROJECT

#: The time for steps without a constant (threads, the interpreter's end), in seconds.
SPARE_SECONDS = 5

each_overlay = pytest.mark.parametrize("name", OVERLAYS)


def selected(selector: dict[str, str], labels: dict[str, str]) -> bool:
    """Tell whether a selector selects labels."""
    return bool(selector) and selector.items() <= labels.items()


@each_overlay
def test_the_pod_is_restricted(name: str) -> None:
    """The pod meets Pod Security's level "restricted" and OpenShift's restricted-v2."""
    assert restricted.faults(overlay(name).pod) == []


def test_the_pod_with_a_private_authority_is_restricted(tmp_path: Path) -> None:
    """The component private-ca breaks no rule."""
    assert restricted.faults(with_component("staging", "private-ca", tmp_path).pod) == []


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"hostNetwork": True}, "hostNetwork is set"),
        ({"volumes": [{"name": "x", "hostPath": {"path": "/"}}]}, "the volume x is none of"),
        ({"securityContext": {}}, "cki-notifier may run as root"),
        ({"securityContext": {"runAsNonRoot": True}}, "cki-notifier has no seccomp profile"),
        ({"securityContext": {"runAsUser": 1001}}, "the pod sets runAsUser"),
        ({"initContainers": [{"name": "x"}]}, "x keeps capabilities"),
    ],
)
def test_a_pod_that_breaks_a_rule_is_noticed(change: dict[str, Any], fault: str) -> None:
    """The check finds a pod that breaks a rule."""
    broken = copy.deepcopy(overlay("production").pod) | change
    assert any(text.startswith(fault) for text in restricted.faults(broken))


@pytest.mark.parametrize(
    ("setting", "fault"),
    [
        ({"allowPrivilegeEscalation": True}, "cki-notifier may gain privileges"),
        ({"privileged": True}, "cki-notifier is privileged"),
        ({"capabilities": {}}, "cki-notifier keeps capabilities"),
        (
            {"capabilities": {"drop": ["ALL"], "add": ["SYS_ADMIN"]}},
            "cki-notifier gets capabilities",
        ),
        ({"runAsNonRoot": False}, "cki-notifier may run as root"),
        ({"procMount": "Unmasked"}, "cki-notifier sees all of /proc"),
        ({"runAsUser": 1001}, "cki-notifier sets its user or group"),
    ],
)
def test_a_container_that_breaks_a_rule_is_noticed(setting: dict[str, Any], fault: str) -> None:
    """The check finds a container that breaks a rule."""
    broken = copy.deepcopy(overlay("production").pod)
    broken["containers"][0]["securityContext"] |= setting
    assert fault in restricted.faults(broken)


@each_overlay
def test_the_pod_has_no_more_than_it_needs(name: str) -> None:
    """The pod has no writable files, no token of the cluster, and no other Service's address."""
    manifests = overlay(name)
    assert manifests.container["securityContext"]["readOnlyRootFilesystem"] is True
    assert all(mount["readOnly"] for mount in manifests.container["volumeMounts"])
    assert manifests.pod["automountServiceAccountToken"] is False
    assert manifests.pod["enableServiceLinks"] is False
    account = manifests.one("ServiceAccount")
    assert account["automountServiceAccountToken"] is False
    assert manifests.pod["serviceAccountName"] == account["metadata"]["name"]


@each_overlay
def test_the_image_s_user_can_read_the_secrets(name: str) -> None:
    """Outside OpenShift, the files belong to root, and the image's group 0 can read them."""
    (user,) = re.findall(r"^USER (\d+):(\d+)$", (PROJECT / "Dockerfile").read_text(), re.MULTILINE)
    assert user[0] != "0"
    assert user[1] == "0"
    (volume,) = [item for item in overlay(name).pod["volumes"] if item["name"] == "secrets"]
    assert volume["secret"]["defaultMode"] == 0o440


@each_overlay
def test_nothing_of_the_secrets_is_pinned_by_a_sub_path(name: str) -> None:
    """With a subPath, a changed Secret would never reach a running pod."""
    assert all("subPath" not in mount for mount in overlay(name).container["volumeMounts"])


@each_overlay
def test_the_image_is_named_by_its_digest(name: str) -> None:
    """A digest names the tested image. A tag could move."""
    assert re.fullmatch(r"[\w./-]+@sha256:[0-9a-f]{64}", overlay(name).container["image"])


@each_overlay
def test_the_daemon_has_time_to_end(name: str, tmp_path: Path) -> None:
    """The grace period covers notifications in flight, closing, and a reserve."""
    manifests = overlay(name)
    config = read(environment(manifests, tmp_path))
    needed = config.shutdown_seconds + CLOSING_SECONDS + SPARE_SECONDS
    assert manifests.pod["terminationGracePeriodSeconds"] >= needed
    assert "lifecycle" not in manifests.container  # a preStop hook would use some of that time


@each_overlay
def test_every_port_is_the_one_the_daemon_listens_on(name: str, tmp_path: Path) -> None:
    """Container, probes, Service, ServiceMonitor and NetworkPolicy use the metrics port."""
    manifests = overlay(name)
    (port,) = manifests.container["ports"]
    assert port["containerPort"] == read(environment(manifests, tmp_path)).metrics_port
    (of_service,) = manifests.one("Service")["spec"]["ports"]
    (of_monitor,) = manifests.one("ServiceMonitor")["spec"]["endpoints"]
    (rule,) = manifests.one("NetworkPolicy")["spec"]["ingress"]
    assert of_service["targetPort"] == port["name"]
    assert of_monitor["port"] == of_service["name"]
    assert [item["port"] for item in rule["ports"]] == [port["name"]]
    for probe in ("livenessProbe", "readinessProbe"):
        assert manifests.container[probe]["httpGet"]["port"] == port["name"]


@each_overlay
@pytest.mark.parametrize("probe", ["livenessProbe", "readinessProbe"])
def test_the_daemon_answers_where_it_is_probed(name: str, probe: str) -> None:
    """A working process answers each probe with success."""
    path = overlay(name).container[probe]["httpGet"]["path"]
    assert Scene().site().answer(Request(path=path, query={})).code == HTTPStatus.OK


@each_overlay
def test_selectors_find_the_pod(name: str) -> None:
    """Deployment, Service, ServiceMonitor, budget, policy and spread select our pods."""
    manifests = overlay(name)
    deployment = manifests.one("Deployment")["spec"]
    labels = deployment["template"]["metadata"]["labels"]
    selectors = [
        deployment["selector"]["matchLabels"],
        manifests.one("Service")["spec"]["selector"],
        manifests.one("PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        manifests.one("NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
        *(
            rule["labelSelector"]["matchLabels"]
            for rule in manifests.pod["topologySpreadConstraints"]
        ),
    ]
    assert all(selected(selector, labels) for selector in selectors)
    monitored = manifests.one("ServiceMonitor")["spec"]["selector"]["matchLabels"]
    assert selected(monitored, manifests.one("Service")["metadata"]["labels"])


@each_overlay
def test_a_node_can_always_be_drained(name: str) -> None:
    """One pod can always be evicted, for any number of pods, ready or not."""
    budget = overlay(name).one("PodDisruptionBudget")["spec"]
    assert "minAvailable" not in budget
    assert budget["maxUnavailable"] == 1
    assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


@each_overlay
def test_a_roll_out_keeps_the_old_pods_until_the_new_ones_work(name: str) -> None:
    """A version that can't consume or send does not replace a working one."""
    spec = overlay(name).one("Deployment")["spec"]
    assert spec["strategy"]["type"] == "RollingUpdate"
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    probe = overlay(name).container["readinessProbe"]
    assert spec["minReadySeconds"] >= probe["periodSeconds"]


@each_overlay
def test_a_change_of_the_settings_rolls_the_pods(name: str) -> None:
    """The ConfigMap's name has a hash of its content, so a change replaces the pods."""
    (source,) = overlay(name).container["envFrom"]
    assert re.fullmatch(r"cki-notifier-[a-z0-9]{10}", source["configMapRef"]["name"])


@each_overlay
def test_memory_is_bounded_and_enough(name: str, tmp_path: Path) -> None:
    """The limit covers the most that the fault tests allow, and a quarter more.

    Each notification in flight beyond the default number adds 1 MiB.
    """
    manifests = overlay(name)
    resources = manifests.container["resources"]
    limit = int(resources["limits"]["memory"].removesuffix("Mi"))
    in_flight = read(environment(manifests, tmp_path)).in_flight
    assert limit >= 1.25 * (ROOM + max(0, in_flight - USUAL.in_flight))
    assert int(resources["requests"]["memory"].removesuffix("Mi")) >= 60
    assert "cpu" in resources["requests"]


@each_overlay
def test_everything_is_in_the_overlay_s_namespace(name: str) -> None:
    """Each environment has its own namespace, by which alerts differ."""
    namespaces = {item["metadata"]["namespace"] for item in overlay(name).objects}
    assert namespaces == {f"cki-notifier-{name}"}


def test_every_file_is_used() -> None:
    """Kustomize uses every manifest."""
    folder = PROJECT / "deploy" / "kubernetes"
    named = set()
    for file in folder.rglob("kustomization.yaml"):
        kustomization = yaml.safe_load(file.read_text())
        parts = [*kustomization.get("resources", []), *kustomization.get("components", [])]
        parts += [patch["path"] for patch in kustomization.get("patches", []) if "path" in patch]
        parts += [
            env for made in kustomization.get("configMapGenerator", []) for env in made["envs"]
        ]
        named |= {(file.parent / part).resolve() for part in parts}
    there = {
        path
        for path in folder.rglob("*")
        if path.suffix in {".yaml", ".env"} and path.name != "kustomization.yaml"
    }
    assert there <= named
