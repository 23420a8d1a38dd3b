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
CHOSEN = 'namespace=~"$namespace", job=~"$job", instance=~"$instance"'
#: Alerts are of a job, not of an instance of it.
#: An audit is of an environment.
AUDITED = 'environment=~"$environment"'
ALERTS = (
    'ALERTS{alertname=~"CKINotifier.+", alertstate="firing", job=~"$job"} or '
    f'ALERTS{{alertname=~"CKINotifierAudit.+", alertstate="firing", {AUDITED}}}'
)
REPOSITORY = "https://gitlab.com/cki-project/cki-notifier"
DOCS = f"{REPOSITORY}/-/blob/main/docs"
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
        links: what they are called, and where they lead.
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
    links: Mapping[str, str] = field(default_factory=dict)
    stacked: bool = False


def metric(name: str, labels: str = "") -> str:
    """Return a selector of the daemon's metric as chosen at the top, with more labels."""
    return chosen(f"cki_notifier_{name}", labels)


def chosen(name: str, labels: str = "") -> str:
    """Return a selector of any metric as chosen at the top, with more labels."""
    return f"{name}{{{', '.join(filter(None, (CHOSEN, labels)))}}}"


def audited(name: str) -> str:
    """Return the largest value of what an audit pushed, by environment."""
    return f"max by (environment) (cki_notifier_audit_{name}{{{AUDITED}}})"


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
    return f"sum(max by (namespace, job) ({metric('queue_messages', label)}))"


def age(state: str = "") -> str:
    """Return how long ago the oldest notification that is not settled was first received."""
    label = f'state="{state}"' if state else ""
    return f"time() - min by (state) ({metric('oldest_notification_timestamp_seconds', label)})"


#: In Grafana's order: rows of panels that belong together.
ROWS: Mapping[str, Sequence[Panel]] = {
    "Is it working?": (
        Panel(
            "Alerts (good: none)",
            [
                Query(f"max by (alertname, severity, namespace, job, environment) ({ALERTS})"),
            ],
            "Those that fire now, if Prometheus has deploy/monitoring/alerts.yaml. The runbook "
            "says what to do about each.",
            kind="table",
            width=8,
            height=7,
            links={"Runbook": f"{DOCS}/runbook.md"},
        ),
        Panel(
            "Connections (good: connected)",
            [Query(f"min by (dependency) ({metric('connected')})", "{{dependency}}")],
            "The worst of all instances. Services are known once they were asked.",
            kind="stat",
            width=10,
            height=7,
            words={0: ("down", RED), 1: ("connected", GREEN)},
            links={"Status page": f"{DOCS}/status-page.md"},
        ),
        Panel(
            "RabbitMQ takes messages (good: yes)",
            [Query(f"max by (resource) ({metric('rabbitmq_blocked')})", "{{resource}}")],
            "By what it may be short of. While it takes none, no notification reaches us, and "
            "those that fail stay in the main queue.",
            kind="stat",
            width=6,
            height=7,
            words={0: ("yes", GREEN), 1: ("short of it", RED)},
            links={"Runbook": f"{DOCS}/runbook.md#ckinotifierrabbitmqblocked"},
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
            links={"What to do with them": f"{DOCS}/dead-letters.md"},
        ),
        Panel(
            "The oldest (good: minutes)",
            [Query(age(), "{{state}}")],
            "How long ago the oldest notification that is in hand, or delayed, was first received. "
            "After 72 hours it is dead-lettered. Empty when there is none.",
            unit="s",
            kind="stat",
            width=6,
            height=5,
            steps={0: GREEN, 3600: ORANGE, 172800: RED},
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
        Panel(
            "Processes that answer (good: all)",
            [Query(f"sum({chosen('up')})", "answer"), Query(f"count({chosen('up')})", "of")],
            "Of those that Prometheus asks.",
            kind="stat",
            width=4,
            height=5,
            steps={0: RED, 1: GREEN},
            colors={"of": GREY},
        ),
        Panel(
            "Missing, by the last audit (good: 0)",
            [Query(audited("missing"), "{{environment}}")],
            "Stages that checkouts reached, and that nobody was told about. The audit's report "
            "names them. Empty where no audit runs.",
            kind="stat",
            height=5,
            steps={0: GREEN, 1: RED},
            links={"What to do": f"{DOCS}/runbook.md#ckinotifierauditmissing"},
        ),
        Panel(
            "Not decided, by the last audit (good: 0)",
            [
                Query(audited("undecided"), "{{environment}} not decided"),
                Query(audited("compared"), "{{environment}} of"),
            ],
            "Of how many stages it could not find out, of how many that it looked for. None at all "
            "on a working day: the audit sees no checkouts.",
            kind="stat",
            height=5,
        ),
        Panel(
            "Since the last whole audit (good: below 2 hours)",
            [Query(f"time() - {audited('last_success_timestamp_seconds')}", "{{environment}}")],
            "One that came to a decision about everything. It runs once an hour.",
            unit="s",
            kind="stat",
            height=5,
            steps={0: GREEN, 7200: ORANGE, 10800: RED},
            links={"What to do": f"{DOCS}/runbook.md#ckinotifierauditnotrun"},
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
    "Queues and work": (
        Panel(
            "What waits in the queues (good: all near 0)",
            [
                Query(waiting("main"), "to be handled"),
                Query(waiting("delay"), "delayed"),
                Query(waiting("dead-letter"), "dead letters"),
            ],
            "As RabbitMQ says, every 15 s; a gap means that it can't be asked.",
            colors={"to be handled": BLUE, "delayed": ORANGE, "dead letters": RED},
        ),
        Panel(
            "In flight (good: below the limit)",
            [
                Query(metric("in_flight")),
                Query(f"max({metric('in_flight_limit')})", "limit"),
            ],
            "At the limit (CKI_NOTIFIER_IN_FLIGHT) all the time: what it waits for is slow.",
            colors={"limit": RED},
        ),
        Panel(
            "Age of the oldest (good: minutes)",
            [Query(age("in_hand"), "in hand"), Query(age("delayed"), "delayed")],
            "Since it was first received. One that grows for hours fails again and again.",
            unit="s",
            colors={"in hand": BLUE, "delayed": ORANGE},
        ),
        Panel(
            "Copies that no queue takes (good: 0)",
            [Query(f"max by (queue) ({metric('parking_held')})", "{{queue}}")],
            "Notifications that failed stay in the main queue until the queue takes their copies.",
            links={"Runbook": f"{DOCS}/runbook.md#ckinotifiercopiesheld"},
        ),
        Panel(
            "Looked up in the topic (good: not forbidden)",
            [Query(increase("topic_lookups_total", "result"), "{{result}}")],
            "What may have been handled before. found is not sent again; forbidden: we may not "
            "read the topic.",
            colors={"forbidden": RED},
        ),
        Panel(
            "Runs by hand",
            [Query(increase("manual_runs_total", "outcome"), "{{outcome}}")],
            "cki-notifier --checkout-id, as it told this daemon.",
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
    "Connections": (
        Panel(
            "Connected, over time (good: 1)",
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
            width=4,
        ),
        Panel(
            "Tokens refused (good: none)",
            [Query(increase("token_refusals_total", "service"), "{{service}}")],
            "Answers 401 and 403. That does not heal by itself.",
            width=4,
            links={"Rotate a token": f"{DOCS}/rotate-a-token.md"},
        ),
    ),
    "Processes": (
        Panel(
            "Memory (good: below 400 MiB)",
            [Query(chosen("process_resident_memory_bytes"))],
            "What the process has of the machine's memory.",
            unit="bytes",
        ),
        Panel(
            "CPU (good: below 1)",
            [Query(f"rate({chosen('process_cpu_seconds_total')}[$__rate_interval])")],
            "100 % is one core, of which a process of Python can't use much more.",
            unit="percentunit",
        ),
        Panel(
            "Open file descriptors (good: level)",
            [Query(chosen("process_open_fds"))],
            "Connections, mostly. The limit is process_max_fds.",
        ),
        Panel(
            "Running since (good: since the last deployment)",
            [Query(f"time() - {chosen('process_start_time_seconds')}")],
            "What falls to 0 is a restart; with Kubernetes, a new instance begins there.",
            unit="s",
        ),
        Panel(
            "Restarts in an hour (good: 0)",
            [Query(f"changes({chosen('process_start_time_seconds')}[1h])")],
            "Of the same instance.",
            width=4,
        ),
        Panel(
            "Lines of the log lost (good: none)",
            [Query(increase("log_lines_dropped_total", "instance"))],
            "Standard error or output did not take them: nobody reads it, or it is full.",
            width=4,
        ),
        Panel(
            "Versions (good: one)",
            [Query(f"max by (namespace, job, instance, version, environment) ({metric('info')})")],
            "Replicas of one job should be of one version. Each instance's link leads to its "
            "status page, if it can be reached from here.",
            kind="table",
            height=8,
            links={"Status page": "http://${__data.fields.instance}/"},
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
        "links": _links(),
        "annotations": {"list": _annotations()},
        "panels": _panels(),
    }


def _variables() -> list[dict[str, Any]]:
    datasource = {
        "name": "datasource",
        "label": "Prometheus",
        "type": "datasource",
        "query": "prometheus",
    }
    info = 'cki_notifier_info{environment=~"$environment"'
    within = f'{info}, namespace=~"$namespace"'
    return [
        datasource,
        _variable("environment", "label_values(cki_notifier_info, environment)"),
        # Outside Kubernetes there is none, which only .* lets pass.
        _variable("namespace", f"label_values({info}}}, namespace)") | {"allValue": ".*"},
        _variable("job", f"label_values({within}}}, job)"),
        _variable("instance", f'label_values({within}, job=~"$job"}}, instance)'),
    ]


def _links() -> list[dict[str, Any]]:
    pages = {
        "Runbook": f"{DOCS}/runbook.md",
        "Documentation": f"{DOCS}/index.md",
        "Alert rules": f"{REPOSITORY}/-/blob/main/deploy/monitoring/alerts.yaml",
        "Repository": REPOSITORY,
    }
    return [
        {
            "title": title,
            "type": "link",
            "icon": "external link",
            "url": address,
            "targetBlank": True,
            "tags": [],
        }
        for title, address in pages.items()
    ]


def _annotations() -> list[dict[str, Any]]:
    by_version = f"count by (namespace, job, version) ({metric('info')}"
    return [
        {
            # Grafana's own: what people note on the dashboard.
            "name": "Annotations & Alerts",
            "type": "dashboard",
            "datasource": {"type": "grafana", "uid": "-- Grafana --"},
            "builtIn": 1,
            "enable": True,
            "hide": True,
            "iconColor": BLUE,
        },
        _annotation(
            "Restarts",
            f"changes({chosen('process_start_time_seconds')}[2m]) > 0",
            ORANGE,
            "Restarted",
            "{{instance}}",
        ),
        _annotation(
            "Deployments",
            f"{by_version}) unless {by_version} offset 2m)",
            BLUE,
            "Version {{version}}",
            "{{namespace}} {{job}}",
        ),
        _annotation("Alerts", ALERTS, RED, "{{alertname}}", "{{severity}}"),
    ]


def _annotation(name: str, query: str, color: str, title: str, text: str) -> dict[str, Any]:
    return {
        "name": name,
        "datasource": DATASOURCE,
        "enable": True,
        "hide": False,
        "iconColor": color,
        "expr": query,
        "step": "60s",
        "titleFormat": title,
        "textFormat": text,
        "tagKeys": "",
    }


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
    if panel.links and not any("${" in address for address in panel.links.values()):
        shown["links"] = _addresses(panel)
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
    if any("${" in address for address in panel.links.values()):
        defaults["links"] = _addresses(panel)  # one for each value
    if panel.kind == "timeseries":
        stacking = {"mode": "normal" if panel.stacked else "none", "group": "A"}
        fill = 30 if panel.stacked else 10
        defaults["custom"] = {"fillOpacity": fill, "stacking": stacking, "showPoints": "never"}
    return defaults


def _addresses(panel: Panel) -> list[dict[str, Any]]:
    return [
        {"title": title, "url": address, "targetBlank": True}
        for title, address in panel.links.items()
    ]


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
