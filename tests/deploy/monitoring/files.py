"""The files for Prometheus and Grafana, and their documentation, as the tests read them."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tools import PROJECT

ALERTS = PROJECT / "deploy" / "monitoring" / "alerts.yaml"
DASHBOARD = PROJECT / "deploy" / "monitoring" / "dashboard.json"
RUNBOOK = PROJECT / "docs" / "runbook.md"
METRICS = PROJECT / "docs" / "metrics.md"
CASES = sorted(Path(__file__).parent.glob("*.test.yaml"))

_ROW = re.compile(r"^\| `(cki_notifier_\w+)` \| (\w+) \|([^|]*)\| .+ \|$", re.MULTILINE)
_VALUES = re.compile(r"^\| `(\w+)` \| (`[^|]+) \|$", re.MULTILINE)
_AUDIT = "## What the audit pushes"
_FIRING = re.compile(r'^ALERTS\{alertname="(\w+)", alertstate="firing"\}$')


class Documented(NamedTuple):
    """A metric, as the table in docs/metrics.md has it."""

    name: str
    kind: str
    labels: frozenset[str]


def alerts() -> list[dict[str, Any]]:
    """Return the alerts."""
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def cases() -> Iterator[tuple[str, bool]]:
    """Return the alert of each promtool case, and whether the case expects it to fire."""
    for file in CASES:
        for test in yaml.safe_load(file.read_text())["tests"]:
            (expected,) = test["promql_expr_test"]
            found = _FIRING.match(expected["expr"])
            assert found, expected["expr"]
            fires = bool(expected.get("exp_samples"))
            says = "fires" if fires else "stays silent"
            assert test["name"].startswith(f"{found[1]} {says} "), test["name"]
            yield found[1], fires


def dashboard() -> dict[str, Any]:
    """Return the dashboard."""
    document: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return document


def panels() -> list[dict[str, Any]]:
    """Return the dashboard's panels, without the titles of its rows."""
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def panel_queries() -> list[str]:
    """Return the queries of the dashboard's panels, with Grafana's interval filled in."""
    return [
        target["expr"].replace("$__rate_interval", "5m")
        for panel in panels()
        for target in panel["targets"]
    ]


def annotations() -> list[dict[str, Any]]:
    """Return the annotations of the dashboard that come from Prometheus queries."""
    return [item for item in dashboard()["annotations"]["list"] if "expr" in item]


def variable_queries() -> list[str]:
    """Return the selectors that give the dashboard's variables their values."""
    variables = dashboard()["templating"]["list"]
    return [item["definition"] for item in variables if item["type"] == "query"]


def documented() -> set[Documented]:
    """Return the table of the daemon's metrics."""
    return _rows(METRICS.read_text().partition(_AUDIT)[0])


def documented_of_audit() -> set[Documented]:
    """Return the table of the metrics that an audit pushes."""
    return _rows(METRICS.read_text().partition(_AUDIT)[2])


def _rows(text: str) -> set[Documented]:
    return {
        Documented(name, kind, frozenset(re.findall(r"`(\w+)`", labels)))
        for name, kind, labels in _ROW.findall(text)
    }


def documented_values() -> dict[str, set[str]]:
    """Return the values of each label whose values the page lists completely."""
    return {
        label: set(re.findall(r"`([^`]+)`", values))
        for label, values in _VALUES.findall(METRICS.read_text())
        if "…" not in values
    }


def sections(file: Path) -> set[str]:
    """Return the anchors of a document's headings, as GitLab makes them."""
    headings = re.findall(r"^#+ (.+)$", file.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
