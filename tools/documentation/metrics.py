"""The tables of docs/metrics.md: every metric, as the code declares it."""

from collections.abc import Iterator

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics import MetricWrapperBase

from cki_notifier import __version__
from cki_notifier.audit import push
from cki_notifier.notification.models import Stage, Status
from cki_notifier.notification.reasons import DeadLetterReason, DelayReason, IgnoreReason
from cki_notifier.telemetry import metrics
from cki_notifier.telemetry.unsettled import Unsettled
from cki_notifier.web.metrics import Metrics
from tools.documentation.markdown import code, table

_SERVICES = ("datawarehouse", "gitlab", "jira")
_MORE = "…"
#: What each label can be; a label without an entry is an error.
_VALUES = {
    "code": ["200", "404", _MORE, "none"],
    "dependency": ["rabbitmq", "kafka", *_SERVICES],
    "environment": ["production", _MORE, "none"],
    "host": ["gitlab.com", _MORE],
    "outcome": ["sent", "ignored", "delayed", "dead-lettered", "failed"],
    "queue": ["main", "delay", "dead-letter", _MORE],
    "reason": [*dict.fromkeys([*Stage, *IgnoreReason, *DelayReason, *DeadLetterReason])],
    "resource": ["memory", "disk", "other"],
    "result": ["found", "absent", "forbidden"],
    "service": _SERVICES,
    "stage": list(Stage),
    "state": ["in_hand", "delayed"],
    "status": [*Status, "other"],
    "version": [__version__, _MORE],
}


def part() -> str:
    """Return the table of the daemon's metrics, their labels' values, and the audit's metrics."""
    labels = _labels()
    ours = [
        it for it in Metrics(dict, Unsettled()).collect() if it.name.startswith("cki_notifier_")
    ]
    rows = _table((metric, labels[metric.name]) for metric in ours)
    values = table(
        ("label", "values"),
        (
            (code(it), ", ".join(value if value == _MORE else code(value) for value in _VALUES[it]))
            for it in sorted({label for metric in ours for label in labels[metric.name]})
        ),
    )
    # The labels are those of the push as a whole.
    pushed = _table((it, ("job", "environment")) for it in push.registry({}, 0.0).collect())
    return f"{rows}\n\n## The labels\n\n{values}\n\n## What the audit pushes\n\n{pushed}"


def _labels() -> dict[str, tuple[str, ...]]:
    """Return each metric's labels; the library shows them nowhere else before it has samples."""
    counted = [it for it in vars(metrics).values() if isinstance(it, MetricWrapperBase)]
    asked = [it for it in Metrics(dict, Unsettled()).collect() if isinstance(it, GaugeMetricFamily)]
    named = [(it.name, it) for it in asked] + [
        (next(iter(it.describe())).name, it) for it in counted
    ]
    return {name: tuple(it._labelnames) for name, it in named}  # noqa: SLF001  # see above


def _table(metrics_: Iterator[tuple[Metric, tuple[str, ...]]]) -> str:
    rows = (
        (
            code(f"{it.name}{'_total' if it.type == 'counter' else ''}"),
            it.type,
            ", ".join(map(code, labels)),
            it.documentation,
        )
        for it, labels in metrics_
    )
    return table(("metric", "type", "labels", "meaning"), sorted(rows))
