"""Makes the tables of docs/metrics.md from the metrics in the code."""

from collections.abc import Iterable, Iterator

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
#: The values of each label; a label without an entry is an error.
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
    ours = list(_ours())
    values = (
        (code(it), ", ".join(value if value == _MORE else code(value) for value in _VALUES[it]))
        for it in sorted({label for _, labels in ours for label in labels})
    )
    # The push as a whole has these labels.
    pushed = [(it, ("job", "environment")) for it in push.registry({}, 0.0).collect()]
    labels = f"## The labels\n\n{table(('label', 'values'), values)}"
    return f"{_table(ours)}\n\n{labels}\n\n## What the audit pushes\n\n{_table(pushed)}"


def _ours() -> Iterator[tuple[Metric, tuple[str, ...]]]:
    """Yield each metric with its labels, which the library only shows with samples."""
    for it in vars(metrics).values():
        if isinstance(it, MetricWrapperBase):
            yield next(iter(it.describe())), tuple(it._labelnames)  # noqa: SLF001  # see above
    for it in Metrics(dict, Unsettled()).collect():
        if isinstance(it, GaugeMetricFamily) and it.name.startswith("cki_notifier_"):
            yield it, tuple(it._labelnames)  # noqa: SLF001  # see above


def _table(shown: Iterable[tuple[Metric, tuple[str, ...]]]) -> str:
    rows = (
        (
            code(f"{it.name}{'_total' if it.type == 'counter' else ''}"),
            it.type,
            ", ".join(map(code, labels)),
            it.documentation,
        )
        for it, labels in shown
    )
    return table(("metric", "type", "labels", "meaning"), sorted(rows))
