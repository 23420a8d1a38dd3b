"""The dashboard for Grafana."""

import subprocess
import sys
from pathlib import Path

from tests.deploy.monitoring.files import DASHBOARD, dashboard, panel_queries, panels
from tests.deploy.monitoring.promql import faults
from tools import PROJECT


def test_the_dashboard_is_what_its_script_writes() -> None:
    """Who changes one changes the other: ``python tools/deployment/make_dashboard.py``."""
    script = PROJECT / "tools/deployment/make_dashboard.py"
    result = subprocess.run([sys.executable, script], capture_output=True, check=True, text=True)
    assert result.stdout == DASHBOARD.read_text()


def test_promtool_takes_every_query(tmp_path: Path) -> None:
    """Each panel's query is one that Prometheus understands."""
    assert faults(panel_queries(), tmp_path) == ""


def test_a_query_that_is_wrong_is_noticed(tmp_path: Path) -> None:
    """The check before this one can fail."""
    assert "parse error" in faults(["rate(cki_notifier_in_flight[5m)"], tmp_path)


def test_every_panel_can_be_read() -> None:
    """It has a title, a unit and a word on what to think of it, and is asked of the chosen ones."""
    for panel in panels():
        assert panel["title"]
        assert panel["description"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        for target in panel["targets"]:
            assert target["datasource"]["uid"] == "${datasource}"
            assert 'job=~"$job"' in target["expr"]
            assert 'instance=~"$instance"' in target["expr"]


def test_panels_lie_side_by_side() -> None:
    """Within Grafana's grid of 24 columns no panel covers another, and no two have one id."""
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
