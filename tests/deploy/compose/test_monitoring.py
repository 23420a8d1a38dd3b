"""The configuration of Prometheus and Grafana in compose.yaml."""

import json
import re
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml

from tests.deploy.compose import project
from tests.deploy.monitoring.files import ALERTS, DASHBOARD, dashboard
from tests.deploy.monitoring.promql import promtool

_PROVISIONING = PurePosixPath("/etc/grafana/provisioning")

#: The panels that Grafana 12 contains. Angular panels, which it lacks, have other names.
_PANELS = {"row", "stat", "table", "timeseries"}

#: The newest version of a dashboard's schema in Grafana 12.0, which migrates older ones.
_NEWEST_SCHEMA = 41


def prometheus() -> dict[str, Any]:
    """Return Prometheus' configuration."""
    (file,) = (
        source for path, source in project.mounted("prometheus").items() if path.suffix == ".yml"
    )
    found: dict[str, Any] = yaml.safe_load(file.read_text())
    return found


def provisioned(folder: str) -> dict[str, Any]:
    """Return the only file in a folder of Grafana's provisioning."""
    (file,) = (
        source
        for path, source in project.mounted("grafana").items()
        if path.parent == _PROVISIONING / folder
    )
    found: dict[str, Any] = yaml.safe_load(file.read_text())
    assert found["apiVersion"] == 1
    return found


def datasource() -> dict[str, Any]:
    """Return Grafana's only data source."""
    (found,) = provisioned("datasources")["datasources"]
    assert isinstance(found, dict)
    return found


def references(part: object) -> list[object]:
    """Return all data sources that a part of the dashboard names, at any depth."""
    if isinstance(part, list):
        return [found for item in part for found in references(item)]
    if not isinstance(part, dict):
        return []
    here = [part["datasource"]] if "datasource" in part else []
    return here + [found for item in part.values() for found in references(item)]


def test_prometheus_takes_its_files(tmp_path: Path) -> None:
    """Promtool accepts the configuration and finds the rules, at the container's paths."""
    project.lay_out("prometheus", tmp_path)
    result = promtool("check", "config", tmp_path / "etc" / "prometheus" / "prometheus.yml")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "1 rule files found" in result.stdout


def test_a_rule_file_that_is_not_there_is_noticed(tmp_path: Path) -> None:
    """The check before this one can fail."""
    project.lay_out("prometheus", tmp_path)
    (tmp_path / "etc" / "prometheus" / "alerts.yaml").unlink()
    assert promtool(
        "check", "config", tmp_path / "etc" / "prometheus" / "prometheus.yml"
    ).returncode


def test_prometheus_has_the_alerts_that_are_deployed() -> None:
    """Both use the same file."""
    assert ALERTS in project.mounted("prometheus").values()


def test_prometheus_looks_where_the_services_are() -> None:
    """Each target is a service or Prometheus. The daemon's target has its metrics port."""
    found = {
        job["job_name"]: target
        for job in prometheus()["scrape_configs"]
        for static in job["static_configs"]
        for target in static["targets"]
    }
    port = project.environment("cki-notifier")["CKI_METRICS_PORT"]
    assert found.pop("cki-notifier") == f"cki-notifier:{port}"
    # The default port of the image's plugin.
    assert found.pop("rabbitmq") == "rabbitmq:15692"
    assert found.pop("prometheus") == "127.0.0.1:9090"
    assert found == {}


def test_grafana_asks_prometheus() -> None:
    """The only data source is Prometheus, with its address and its scrape interval."""
    source = datasource()
    (port,) = (port.target for port in project.ports() if port.service == "prometheus")
    assert source["type"] == "prometheus"
    assert source["url"] == f"http://prometheus:{port}"
    assert source["isDefault"] is True
    assert source["jsonData"]["timeInterval"] == prometheus()["global"]["scrape_interval"]


def test_grafana_finds_the_dashboard_that_is_deployed() -> None:
    """The dashboard is in Grafana's folder, and is the home page."""
    (path,) = (path for path, source in project.mounted("grafana").items() if source == DASHBOARD)
    (provider,) = provisioned("dashboards")["providers"]
    assert provider["type"] == "file"
    assert provider["options"]["path"] == str(path.parent)
    home = project.environment("grafana")["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == str(path)


def test_all_of_the_dashboard_asks_the_datasource_that_there_is() -> None:
    """Panels, queries and variables use the selected data source, a Prometheus."""
    chosen, *others = dashboard()["templating"]["list"]
    assert (chosen["type"], chosen["query"]) == ("datasource", datasource()["type"])
    asked = references([others, dashboard()["panels"]])
    assert asked
    expected = {"type": datasource()["type"], "uid": f"${{{chosen['name']}}}"}
    assert all(reference == expected for reference in asked)


def test_grafana_12_can_draw_the_dashboard() -> None:
    """Grafana accepts the schema version, the uid, the panels and the names of queries."""
    document = dashboard()
    assert document["schemaVersion"] <= _NEWEST_SCHEMA
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,40}", document["uid"])
    assert document["title"]
    assert "id" not in document  # with an id, Grafana would look for another dashboard
    assert {panel["type"] for panel in document["panels"]} <= _PANELS
    for panel in document["panels"]:
        names = [target["refId"] for target in panel.get("targets", [])]
        assert len(set(names)) == len(names)


@pytest.mark.parametrize("name", ["REPORTING_ENABLED", "CHECK_FOR_UPDATES"])
def test_grafana_asks_nothing_of_the_network(name: str) -> None:
    """Grafana works without a network and reports no usage."""
    assert json.loads(project.environment("grafana")[f"GF_ANALYTICS_{name}"]) is False


def test_grafana_has_no_password() -> None:
    """Visitors can look but not log in, and there is no user with more rights."""
    variables = project.environment("grafana")
    assert variables["GF_AUTH_ANONYMOUS_ENABLED"] == "true"
    assert variables["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer"
    assert variables["GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"] == "true"
    assert not [name for name in variables if "PASSWORD" in name]
