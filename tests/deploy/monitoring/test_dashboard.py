"""The dashboard for Grafana."""

import re
from pathlib import Path
from typing import Final

from tests.deploy.monitoring.files import (
    annotations,
    dashboard,
    documented,
    documented_of_audit,
    panel_queries,
    panels,
    sections,
)
from tests.deploy.monitoring.promql import faults, uses
from tools import PROJECT

REPOSITORY: Final = "https://gitlab.com/cki-project/cki-notifier"
#: By Grafana's own names.
UNITS: Final = {"bytes", "ops", "percentunit", "reqps", "s", "short"}
SELECTOR: Final = re.compile(r"\w+\{[^}]*\}")


def test_promtool_takes_every_query(tmp_path: Path) -> None:
    """Prometheus understands the queries of panels and annotations."""
    marks = [item["expr"] for item in annotations()]
    assert len(marks) == 3
    assert faults([*panel_queries(), *marks], tmp_path) == ""


def test_a_query_that_is_wrong_is_noticed(tmp_path: Path) -> None:
    """The check above can fail."""
    assert "parse error" in faults(["rate(cki_notifier_in_flight[5m)"], tmp_path)


def test_every_panel_can_be_read() -> None:
    """It has a title, a unit and an explanation, and selects by the dashboard's variables."""
    titles = [panel["title"] for panel in panels()]
    assert len(set(titles)) == len(titles)
    for panel in panels():
        assert panel["title"]
        assert panel["description"]
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
        for target in panel["targets"]:
            assert target["datasource"]["uid"] == "${datasource}"
            for selector in SELECTOR.findall(target["expr"]):
                # An audit is about an environment as a whole.
                if "audit" in selector.lower():
                    assert 'environment=~"$environment"' in selector
                    continue
                assert 'job=~"$job"' in selector
                # An alert is about a job as a whole.
                if "alertname" not in selector:
                    assert 'instance=~"$instance"' in selector
                    assert 'namespace=~"$namespace"' in selector


def test_every_metric_is_on_it() -> None:
    """The dashboard shows every metric of the daemon, and the resources of its process."""
    asked = {use.metric for query in panel_queries() for use in uses(query)}
    shown = {re.sub(r"_(bucket|count|sum)$", "", name) for name in asked}
    assert {metric.name for metric in documented() | documented_of_audit()} - shown == set()
    assert shown >= {
        "ALERTS",
        "process_cpu_seconds_total",
        "process_open_fds",
        "process_resident_memory_bytes",
        "process_start_time_seconds",
        "up",
    }


def test_health_comes_first() -> None:
    """The rows begin with health and end with the resources of the processes."""
    rows = [panel["title"] for panel in dashboard()["panels"] if panel["type"] == "row"]
    assert (rows[0], rows[-1]) == ("Is it working?", "Processes")
    assert dashboard()["panels"][0]["type"] == "row"


def test_its_links_lead_somewhere() -> None:
    """Links lead to an anchor in a file of the repository, or to a status page."""
    document = dashboard()
    links = [*document["links"]]
    for panel in panels():
        links += [*panel.get("links", []), *panel["fieldConfig"]["defaults"].get("links", [])]
    assert {"Runbook", "Documentation", "Alert rules", "Repository", "Status page"} <= {
        link["title"] for link in links
    }
    for link in links:
        address, _, anchor = link["url"].partition("#")
        if address in {REPOSITORY, "http://${__data.fields.instance}/"}:
            continue
        file = PROJECT / address.removeprefix(f"{REPOSITORY}/-/blob/main/")
        assert file.is_file(), address
        assert not anchor or anchor in sections(file)


def test_variables_narrow_each_other_down() -> None:
    """The data source, then environment, namespace, job and instance, each within the last."""
    variables = dashboard()["templating"]["list"]
    names = [variable["name"] for variable in variables]
    assert names == ["datasource", "environment", "namespace", "job", "instance"]
    for number, variable in enumerate(variables[2:], start=1):
        for name in names[1 : number + 1]:
            assert f'{name}=~"${name}"' in variable["definition"]


def test_panels_lie_side_by_side() -> None:
    """In Grafana's grid of 24 columns no panels overlap, and each has its own id."""
    taken: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        assert all(x < 24 for x, _ in cells)
        taken |= cells
    ids = [panel["id"] for panel in dashboard()["panels"]]
    assert len(set(ids)) == len(ids)
