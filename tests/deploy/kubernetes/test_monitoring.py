"""Prometheus and Grafana get the same alerts and dashboard in a cluster."""

import json
import re

import pytest
import yaml

from tests.deploy.kubernetes.manifests import OVERLAYS, overlay
from tests.deploy.monitoring.files import ALERTS, DASHBOARD

each_overlay = pytest.mark.parametrize("name", OVERLAYS)


@each_overlay
def test_the_rules_are_those_of_the_alerts(name: str) -> None:
    """The rules are identical, each with the address of its section in the runbook."""
    spec = overlay(name).one("PrometheusRule")["spec"]
    assert spec == yaml.safe_load(ALERTS.read_text())
    rules = [rule for group in spec["groups"] for rule in group["rules"]]
    assert all("/docs/runbook.md#" in rule["annotations"]["runbook_url"] for rule in rules)


@each_overlay
def test_the_job_is_the_one_the_alerts_ask_for(name: str) -> None:
    """The operator names the job after the Service. CKINotifierDown selects this name."""
    manifests = overlay(name)
    monitor = manifests.one("ServiceMonitor")["spec"]
    assert "jobLabel" not in monitor
    jobs = set(re.findall(r'up\{job="([^"]+)"\}', ALERTS.read_text()))
    assert jobs == {manifests.one("Service")["metadata"]["name"]}


@each_overlay
def test_metrics_are_scraped_often_enough_and_from_every_replica(name: str) -> None:
    """Prometheus scrapes each pod at least once a minute, ready or not."""
    (endpoint,) = overlay(name).one("ServiceMonitor")["spec"]["endpoints"]
    assert endpoint["path"] == "/metrics"
    assert int(endpoint["interval"].removesuffix("s")) <= 60
    assert int(endpoint["scrapeTimeout"].removesuffix("s")) <= int(endpoint["interval"][:-1])
    service = overlay(name).one("Service")["spec"]
    assert service["clusterIP"] == "None"
    assert service["publishNotReadyAddresses"] is True


def test_grafana_s_sidecar_finds_one_dashboard() -> None:
    """There is one dashboard for both environments, small enough for ``kubectl apply``."""
    found = [
        item
        for name in OVERLAYS
        for item in overlay(name).all("ConfigMap")
        if item["metadata"].get("labels", {}).get("grafana_dashboard") == "1"
    ]
    (dashboard,) = found
    (text,) = dashboard["data"].values()
    assert json.loads(text) == json.loads(DASHBOARD.read_text())
    assert len(text.encode()) < 250_000  # an annotation has at most 256 KiB
    assert dashboard["metadata"]["name"] == "cki-notifier-dashboard"
