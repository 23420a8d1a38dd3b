"""Writes dashboard.json, for Grafana, to standard output; what is in it is described here.

::

    python tools/deployment/make_dashboard.py > deploy/monitoring/dashboard.json
"""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

#: Of Grafana 11; newer ones bring it up to date by themselves.
SCHEMA_VERSION = 39
#: All selectors: what was chosen at the top.
CHOSEN = 'job=~"$job", instance=~"$instance"'
#: Grafana's grid, in its units.
WIDTH, ROW_HEIGHT = 24, 1

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
GREEN, ORANGE, RED, BLUE, GREY = "green", "orange", "red", "blue", "#8e8e8e"
OUTCOMES = {"sent": GREEN, "ignored": GREY, "delayed": ORANGE, "dead-lettered": RED}


@dataclass(frozen=True)
class Query:
    """What is asked of Prometheus; ``legend`` names its series."""

    expression: str
    legend: str = "{{instance}}"


@dataclass(frozen=True)
class Panel:
    """A panel.

    Attributes:
        title: says what it is and what is good.
        about: what to think of it, in Grafana's (i).
        unit: as Grafana calls it.
        steps: thresholds and the colours from there on; the first one is from the beginning.
        colors: by the name of the series.
        words: what is shown in place of a value.
    """

    title: str
    queries: Sequence[Query]
    about: str
    unit: str = "short"
    kind: str = "timeseries"
    width: int = 8
    height: int = 8
    steps: Mapping[float, str] = field(default_factory=dict)
    colors: Mapping[str, str] = field(default_factory=dict)
    words: Mapping[float, tuple[str, str]] = field(default_factory=dict)
    stacked: bool = False


def metric(name: str, labels: str = "") -> str:
    """Return a selector of the daemon's metric as chosen at the top, with more labels."""
    return f"cki_notifier_{name}{{{', '.join(filter(None, (CHOSEN, labels)))}}}"


def rate(name: str, by: str, labels: str = "") -> str:
    """Return how often something happens in a second, by labels."""
    return f"sum by ({by}) (rate({metric(name, labels)}[$__rate_interval]))"


def quantile(share: float, name: str, by: str = "") -> str:
    """Return a quantile of a histogram in seconds, by labels."""
    labels = ", ".join(filter(None, ("le", by)))
    return f"histogram_quantile({share}, {rate(f'{name}_bucket', labels)})"


def increase(name: str, by: str, labels: str = "") -> str:
    """Return how often something happened between two points of the graph, by labels."""
    return f"sum by ({by}) (increase({metric(name, labels)}[$__rate_interval]))"


def waiting(queue: str) -> str:
    """Return how many messages wait in a queue; all replicas ask, the largest answer counts."""
    label = f'queue="{queue}"'
    return f"max by (job) ({metric('queue_messages', label)})"


#: In Grafana's order: rows of panels that belong together.
ROWS: Mapping[str, Sequence[Panel]] = {
    "Is it working?": (
        Panel(
            "RabbitMQ and Kafka (good: connected)",
            [Query(f"min by (dependency) ({metric('connected')})", "{{dependency}}")],
            "The worst of all instances. Services are known once they were asked.",
            kind="stat",
            width=10,
            height=5,
            words={0: ("down", RED), 1: ("connected", GREEN)},
        ),
        Panel(
            "Waiting in the queue (good: 0)",
            [Query(waiting("main"), "waiting")],
            "Notifications that nobody holds yet.",
            kind="stat",
            width=4,
            height=5,
            steps={0: GREEN, 1000: ORANGE},
        ),
        Panel(
            "Dead letters (good: 0)",
            [Query(waiting("dead-letter"), "dead letters")],
            "Kernels for which the labs got no message until somebody puts them back: "
            "cki-notifier dead-letters list",
            kind="stat",
            width=4,
            height=5,
            steps={0: GREEN, 1: RED},
        ),
        Panel(
            "Since the last message (good: below a day)",
            [
                Query(
                    f"time() - max by (stage) ({metric('last_sent_timestamp_seconds')})",
                    "{{stage}}",
                )
            ],
            "Empty until something is sent after a start.",
            unit="s",
            kind="stat",
            width=6,
            height=5,
            steps={0: GREEN, 86400: ORANGE},
        ),
    ),
    "Outcomes": (
        Panel(
            "Notifications by outcome (good: sent and ignored only)",
            [Query(rate("notifications_total", "outcome"), "{{outcome}}")],
            "Each notification that was settled. What is delayed comes back.",
            unit="ops",
            colors=OUTCOMES,
            stacked=True,
        ),
        Panel(
            "Ignored, by reason",
            [Query(rate("notifications_total", "reason", 'outcome="ignored"'), "{{reason}}")],
            "Normal. docs/rules.md says what each reason means.",
            unit="ops",
            stacked=True,
        ),
        Panel(
            "Messages sent, by stage",
            [Query(rate("messages_sent_total", "stage"), "{{stage}}")],
            "Confirmed by Kafka.",
            unit="ops",
        ),
        Panel(
            "Delayed, by reason (good: none)",
            [Query(increase("retries_total", "reason"), "{{reason}}")],
            "not-found now and then is a race; unavailable is an outage; bug is ours.",
            kind="timeseries",
            width=12,
            colors={"bug": RED, "unavailable": ORANGE},
        ),
        Panel(
            "Dead-lettered, by reason, and taken out (good: none)",
            [
                Query(increase("dead_letters_total", "reason"), "{{reason}}"),
                Query(increase("dead_letters_taken_total", "job"), "taken out"),
            ],
            "docs/dead-letters.md says what to do with each. Taken out: put back or discarded with "
            "cki-notifier dead-letters.",
            width=12,
            colors={"taken out": GREEN},
        ),
    ),
    "Latency": (
        Panel(
            "A notification's time, by outcome (good: below 5 s)",
            [
                Query(quantile(0.5, "processing_seconds", "outcome"), "{{outcome}} half"),
                Query(quantile(0.99, "processing_seconds", "outcome"), "{{outcome}} 99 %"),
            ],
            "From the start of the work to the decision; in an outage it is mostly waiting.",
            unit="s",
            width=12,
        ),
        Panel(
            "Kafka's confirmation (good: below 1 s)",
            [
                Query(quantile(0.5, "kafka_delivery_seconds"), "half"),
                Query(quantile(0.99, "kafka_delivery_seconds"), "99 %"),
            ],
            "Only what was confirmed.",
            unit="s",
            width=6,
        ),
        Panel(
            "Not confirmed by Kafka (good: none)",
            [Query(increase("kafka_failures_total", "instance"))],
            "Each is tried again.",
            width=6,
        ),
        Panel(
            "Requests by service and code (good: 200, some 404)",
            [Query(rate("request_seconds_count", "service, code"), "{{service}} {{code}}")],
            "none is a request without an answer; 401 and 403 mean a bad token, of gitlab perhaps "
            "pipelines for members alone.",
            unit="reqps",
            width=12,
        ),
        Panel(
            "99 % of the requests are faster (good: below 5 s)",
            [Query(quantile(0.99, "request_seconds", "service"), "{{service}}")],
            "From the start of a request to its whole response.",
            unit="s",
            width=12,
        ),
    ),
    "Queues and work": (
        Panel(
            "What waits in the queues (good: all near 0)",
            [
                Query(waiting("main"), "to be handled"),
                Query(waiting("delay"), "delayed"),
                Query(waiting("dead-letter"), "dead letters"),
            ],
            "As RabbitMQ says, every 15 s; a gap means that it can't be asked.",
            width=12,
            colors={"to be handled": BLUE, "delayed": ORANGE, "dead letters": RED},
        ),
        Panel(
            "In flight (good: below CKI_NOTIFIER_IN_FLIGHT)",
            [Query(metric("in_flight"))],
            "At the limit (32) all the time: what it waits for is slow.",
            width=12,
        ),
    ),
    "Connections": (
        Panel(
            "Connected (good: 1)",
            [Query(metric("connected"), "{{dependency}} {{instance}}")],
            "RabbitMQ and Kafka as they are; services as they answered last.",
            width=8,
        ),
        Panel(
            "Connected anew (good: none)",
            [
                Query(
                    increase("reconnects_total", "dependency, instance"),
                    "{{dependency}} {{instance}}",
                )
            ],
            "RabbitMQ: attempts after a lost connection; Kafka: a client that could not recover.",
            width=8,
        ),
        Panel(
            "Sent without an extra (good: none)",
            [Query(increase("enrichment_failures_total", "service"), "{{service}}")],
            "Messages whose Jira issues are missing because Jira did not answer.",
            width=8,
        ),
        Panel(
            "Processes",
            [
                Query(
                    f"max by (job, instance, version, environment) ({metric('info')})",
                )
            ],
            "Replicas of one job should be of one version.",
            kind="table",
            width=24,
            height=5,
        ),
    ),
}


def main() -> None:
    """Write the dashboard to standard output."""
    sys.stdout.write(json.dumps(dashboard(), indent=2) + "\n")


def dashboard() -> dict[str, Any]:
    """Return the dashboard as Grafana reads it."""
    return {
        "uid": "cki-notifier",
        "title": "cki-notifier",
        "description": "Does it tell the labs about kernels? What to do is in docs/runbook.md.",
        "tags": ["cki"],
        "schemaVersion": SCHEMA_VERSION,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": _variables()},
        "annotations": {"list": []},
        "panels": _panels(),
    }


def _variables() -> list[dict[str, Any]]:
    datasource = {
        "name": "datasource",
        "label": "Prometheus",
        "type": "datasource",
        "query": "prometheus",
    }
    chosen = 'environment=~"$environment"'
    return [
        datasource,
        _variable("environment", "label_values(cki_notifier_info, environment)"),
        _variable("job", f"label_values(cki_notifier_info{{{chosen}}}, job)"),
        _variable(
            "instance", f'label_values(cki_notifier_info{{{chosen}, job=~"$job"}}, instance)'
        ),
    ]


def _variable(name: str, query: str) -> dict[str, Any]:
    return {
        "name": name,
        "label": name.capitalize(),
        "type": "query",
        "datasource": DATASOURCE,
        "definition": query,
        "query": {"query": query, "refId": name},
        "refresh": 2,  # with the time range: instances come and go
        "includeAll": True,
        "multi": True,
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        "sort": 1,
    }


def _panels() -> list[dict[str, Any]]:
    panels: list[dict[str, Any]] = []
    top = 0
    for title, members in ROWS.items():
        panels.append(_row(title, top))
        top += ROW_HEIGHT
        left = tallest = 0
        for panel in members:
            if left + panel.width > WIDTH:
                top, left, tallest = top + tallest, 0, 0
            panels.append(_panel(panel, left, top))
            left, tallest = left + panel.width, max(tallest, panel.height)
        top += tallest
    return [{"id": number, **panel} for number, panel in enumerate(panels, 1)]


def _row(title: str, top: int) -> dict[str, Any]:
    grid = {"x": 0, "y": top, "w": WIDTH, "h": ROW_HEIGHT}
    return {"type": "row", "title": title, "collapsed": False, "gridPos": grid, "panels": []}


def _panel(panel: Panel, left: int, top: int) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.about,
        "datasource": DATASOURCE,
        "gridPos": {"x": left, "y": top, "w": panel.width, "h": panel.height},
        "fieldConfig": {"defaults": _defaults(panel), "overrides": _overrides(panel)},
        "options": _options(panel),
        "targets": [
            _target(query, letter, panel.kind)
            for query, letter in zip(panel.queries, "ABCDEF", strict=False)
        ],
    }
    if panel.kind == "table":
        hidden = {"excludeByName": {"Time": True, "Value": True}}
        shown["transformations"] = [{"id": "organize", "options": hidden}]
    return shown


def _target(query: Query, letter: str, kind: str) -> dict[str, Any]:
    is_graph = kind == "timeseries"  # all others show what is now, and nothing when it is unknown
    return {
        "refId": letter,
        "datasource": DATASOURCE,
        "expr": query.expression,
        "legendFormat": query.legend,
        "instant": not is_graph,
        "range": is_graph,
        "format": "table" if kind == "table" else "time_series",
    }


def _defaults(panel: Panel) -> dict[str, Any]:
    defaults: dict[str, Any] = {"unit": panel.unit, "min": 0}
    if panel.steps:
        first, *others = panel.steps.items()
        steps: list[dict[str, Any]] = [{"color": first[1], "value": None}]
        steps += [{"color": color, "value": value} for value, color in others]
        defaults["thresholds"] = {"mode": "absolute", "steps": steps}
    if panel.words:
        options = {
            str(value): {"text": text, "color": color}
            for value, (text, color) in panel.words.items()
        }
        defaults["mappings"] = [{"type": "value", "options": options}]
    if panel.kind == "timeseries":
        stacking = {"mode": "normal" if panel.stacked else "none", "group": "A"}
        fill = 30 if panel.stacked else 10
        defaults["custom"] = {"fillOpacity": fill, "stacking": stacking, "showPoints": "never"}
    return defaults


def _overrides(panel: Panel) -> list[dict[str, Any]]:
    return [
        {
            "matcher": {"id": "byName", "options": name},
            "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": color}}],
        }
        for name, color in panel.colors.items()
    ]


def _options(panel: Panel) -> dict[str, Any]:
    if panel.kind == "stat":
        return {
            "colorMode": "background" if panel.words else "value",
            "graphMode": "none",
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "textMode": "value_and_name",
        }
    if panel.kind == "table":
        return {"showHeader": True}
    legend = {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []}
    return {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}


if __name__ == "__main__":
    main()
