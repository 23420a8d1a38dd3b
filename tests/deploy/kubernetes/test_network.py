"""The NetworkPolicy allows only the daemon's connections."""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.deploy.kubernetes.manifests import OVERLAYS, environment, overlay
from tests.factories.environment import read

each_overlay = pytest.mark.parametrize("name", OVERLAYS)


def policy(name: str) -> dict[str, Any]:
    """Return an overlay's policy."""
    spec: dict[str, Any] = overlay(name).one("NetworkPolicy")["spec"]
    return spec


def web_port(address: str) -> int:
    """Return the port of a web address."""
    parts = urlsplit(address)
    return parts.port or {"http": 80, "https": 443}[parts.scheme]


@each_overlay
def test_both_directions_are_closed_but_for_what_is_named(name: str) -> None:
    """The policy lists both directions, because an unlisted one would be open."""
    assert policy(name)["policyTypes"] == ["Ingress", "Egress"]


@each_overlay
def test_only_prometheus_gets_in(name: str) -> None:
    """The only rule allows Prometheus' pods, in the namespaces of Kubernetes and OpenShift."""
    (rule,) = policy(name)["ingress"]
    (peer,) = rule["from"]
    assert peer["podSelector"] == {"matchLabels": {"app.kubernetes.io/name": "prometheus"}}
    (namespaces,) = peer["namespaceSelector"]["matchExpressions"]
    assert namespaces["key"] == "kubernetes.io/metadata.name"
    assert namespaces["operator"] == "In"
    assert set(namespaces["values"]) == {"monitoring", "openshift-user-workload-monitoring"}


@each_overlay
def test_every_configured_port_can_be_reached_and_no_other(name: str, tmp_path: Path) -> None:
    """The policy allows exactly the ports of RabbitMQ, Kafka and the web services."""
    config = read(environment(overlay(name), tmp_path))
    assert config.rabbitmq is not None
    assert config.kafka is not None
    assert config.jira is not None
    brokers = str(config.kafka.settings["bootstrap.servers"]).split(",")
    needed = {
        config.rabbitmq.port,
        *(int(broker.rpartition(":")[2]) for broker in brokers),
        web_port(config.datawarehouse.url),
        web_port(config.jira.url),
        web_port("https://gitlab.com"),
    }
    _, rule = policy(name)["egress"]
    assert {port["port"] for port in rule["ports"]} == needed
    assert {port.get("protocol", "TCP") for port in rule["ports"]} == {"TCP"}


@each_overlay
def test_names_can_be_looked_up_in_the_cluster_alone(name: str) -> None:
    """The policy allows DNS to the cluster's servers only, by UDP and TCP, also on OpenShift."""
    rule, _ = policy(name)["egress"]
    ports = {(port["port"], port["protocol"]) for port in rule["ports"]}
    assert ports == {(53, "UDP"), (53, "TCP"), (5353, "UDP"), (5353, "TCP")}
    assert rule["to"]
    assert all(peer.keys() <= {"namespaceSelector", "ipBlock"} for peer in rule["to"])
    (namespaces,) = [
        peer["namespaceSelector"]["matchExpressions"][0]["values"]
        for peer in rule["to"]
        if "namespaceSelector" in peer
    ]
    assert set(namespaces) == {"kube-system", "openshift-dns"}
