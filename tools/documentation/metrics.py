"""The tables of docs/metrics.md: every metric, as the code declares it."""

from collections.abc import Iterable, Iterator

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics import MetricWrapperBase

from cki_notifier.audit import push
from cki_notifier.notification.models import Stage, Status
from cki_notifier.notification.reasons import DeadLetterReason, DelayReason, IgnoreReason
from cki_notifier.telemetry import metrics
from cki_notifier.telemetry.unsettled import Unsettled
from cki_notifier.web.metrics import Metrics
from tools.documentation.markdown import code, table

_HEAD = ("metric", "type", "labels", "meaning")


def part() -> str:
    """Return the table of the daemon's metrics, their labels' values, and the audit's metrics."""
    rows = table(_HEAD, sorted(_rows()))
    labels = table(("label", "values"), _labels())
    pushed = table(_HEAD, sorted(_of_audit()))
    return f"{rows}\n\n## The labels\n\n{labels}\n\n## What the audit pushes\n\n{pushed}"


def _rows() -> Iterator[tuple[str, str, str, str]]:
    labels = {next(iter(it.describe())).name: _names(it) for it in _counted()}
    for metric in Metrics(dict, Unsettled()).collect():
        if not metric.name.startswith("cki_notifier_"):
            continue  # the client library's own
        if isinstance(metric, GaugeMetricFamily) and metric.name not in labels:
            labels[metric.name] = _names(metric)
        yield _row(metric, labels[metric.name])


def _of_audit() -> Iterator[tuple[str, str, str, str]]:
    for metric in push.registry({}, 0.0).collect():
        yield _row(metric, ("job", "environment"))  # of the push as a whole


def _row(metric: Metric, labels: Iterable[str]) -> tuple[str, str, str, str]:
    suffix = "_total" if metric.type == "counter" else ""
    return (
        code(f"{metric.name}{suffix}"),
        metric.type,
        ", ".join(map(code, labels)),
        metric.documentation,
    )


def _counted() -> list[MetricWrapperBase]:
    return [it for it in vars(metrics).values() if isinstance(it, MetricWrapperBase)]


def _names(metric: MetricWrapperBase | GaugeMetricFamily) -> tuple[str, ...]:
    # The library shows a metric's labels nowhere else before there is a sample.
    return tuple(metric._labelnames)  # noqa: SLF001  # see above


def _labels() -> Iterator[tuple[str, str]]:
    services = ["datawarehouse", "gitlab", "jira"]
    reasons = [*Stage, *IgnoreReason, *DelayReason, *DeadLetterReason]
    for label, values in {
        "code": ["200", "404", "…", "none"],
        "dependency": ["rabbitmq", "kafka", *services],
        "environment": ["production", "…", "none"],
        "outcome": ["sent", "ignored", "delayed", "dead-lettered", "failed"],
        "host": ["gitlab.com", "…"],
        "queue": ["main", "delay", "dead-letter", "…"],
        "reason": dict.fromkeys(str(reason) for reason in reasons),
        "service": services,
        "stage": list(Stage),
        "state": ["in_hand", "delayed"],
        "status": [*Status, "other"],
        "version": ["0.1.0", "…"],
    }.items():
        yield code(label), ", ".join("…" if value == "…" else code(value) for value in values)
