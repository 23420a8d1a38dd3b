"""The dashboard, the alerts and the pages use only metrics that a running daemon has."""

import re
import urllib.request
from collections.abc import Iterable

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from cki_notifier.audit import push
from cki_notifier.notification.reasons import DeadLetterReason, DelayReason
from tests.brokers.stage import Stage, eventually
from tests.deploy.monitoring.files import (
    Documented,
    alerts,
    annotations,
    documented,
    documented_of_audit,
    documented_values,
    panel_queries,
    panels,
    variable_queries,
)
from tests.deploy.monitoring.promql import TARGET_LABELS, groupings, uses
from tools.processes import free_port
from tools.stand_ins import Status, documents

#: The metrics that an audit pushes, with the labels of the push. No daemon has them.
_PUSHED = {
    f"cki_notifier_audit_{name}": frozenset({"job", "environment"})
    for name in ("missing", "undecided", "compared", "last_success_timestamp_seconds")
}
_QUEUES = {"main", "delay", "dead-letter"}
Labels = dict[str, frozenset[str]]
#: The metrics of Prometheus itself.
_ITS_OWN: Labels = {
    "ALERTS": frozenset({"alertname", "alertstate", "severity", "environment"}),
    "up": frozenset(),
}


def scrape(port: int) -> list[Metric]:
    """Read the metrics as Prometheus does."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    return list(text_string_to_metric_families(text))


def of_a_day(stage: Stage) -> list[Metric]:
    """Let a daemon send, ignore, dead-letter and delay a notification; return its metrics."""
    url = stage.services.gitlab.merge_request_url("group/kernel", 1)
    stage.services.gitlab.add_merge_request(documents.merge_request(url))
    checkouts = [documents.checkout(f"redhat:{number}", merge_request=url) for number in (1, 2)]
    for checkout in checkouts:
        stage.services.warehouse.add(documents.everything(checkout, [documents.build(checkout)]))
    stage.services.warehouse.answer("redhat%3A2", Status(404))
    sent, delayed = (
        documents.notification(checkout, "build_setups_finished") for checkout in checkouts
    )
    port = free_port()
    daemon = stage.daemon(CKI_METRICS_ENABLED="true", CKI_METRICS_PORT=str(port))
    ignored = documents.notification(checkouts[0], "no-concern")
    stage.publish(sent, ignored, delayed, b"no json")
    outcomes = {"sent", "ignored", "delayed", "dead-lettered"}
    eventually(lambda: {line["outcome"] for line in daemon.settled()} == outcomes)
    return eventually(lambda: _complete(scrape(port)), what="the lengths of all queues")


def _complete(families: list[Metric]) -> list[Metric]:
    """Return the metrics once they have all queues, until then nothing."""
    known = {
        sample.labels["queue"]
        for family in families
        if family.name == "cki_notifier_queue_messages"
        for sample in family.samples
    }
    return families if known == _QUEUES else []


def labels_of(families: Iterable[Metric]) -> Labels:
    """Return the labels of each sample's name."""
    found: Labels = {}
    for family in families:
        for sample in family.samples:
            found[sample.name] = found.get(sample.name, frozenset()) | sample.labels.keys()
    return found


def unknown(query: str, shown: Labels, more: Iterable[str] = ()) -> set[str]:
    """Return the metrics and labels of a query that no daemon shows.

    Args:
        query: in PromQL.
        shown: what a daemon shows.
        more: labels that are expected of the result, as legends and texts name them.
    """
    strange = set()
    at_hand = set(TARGET_LABELS)
    for metric, labels in uses(query):
        if metric not in shown:
            strange.add(metric)
            continue
        strange |= labels - shown[metric] - TARGET_LABELS
        at_hand |= shown[metric]
    return strange | ((groupings(query) | set(more)) - at_hand)


def test_dashboard_and_alerts_ask_for_what_a_daemon_shows(stage: Stage) -> None:
    """Every metric and label in a query, a legend or an alert's text is there in a scrape.

    Or in what an audit pushes.
    """
    shown = labels_of(of_a_day(stage)) | _ITS_OWN | _PUSHED
    for mark in annotations():
        named = re.findall(r"\{\{(\w+)\}\}", mark["titleFormat"] + mark["textFormat"])
        assert unknown(mark["expr"], shown, named) == set(), mark["expr"]
    for query in (*panel_queries(), *variable_queries()):
        assert uses(query), query
        assert unknown(query, shown) == set(), query
    for panel in panels():
        for target in panel["targets"]:
            legend = re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])
            assert unknown(target["expr"], shown, legend) == set(), target["expr"]
    for alert in alerts():
        texts = " ".join(alert["annotations"].values())
        labels = re.findall(r"\$labels\.(\w+)", texts)
        assert unknown(alert["expr"], shown, labels) == set(), alert["alert"]


def test_what_no_daemon_shows_is_noticed() -> None:
    """The check finds a wrong metric, and a wrong label in a selector or a grouping."""
    shown = {"cki_notifier_in_flight": frozenset({"lane"})}
    assert unknown("cki_notifier_inflight", shown) == {"cki_notifier_inflight"}
    assert unknown('cki_notifier_in_flight{lane="1", job="a", way="b"}', shown) == {"way"}
    assert unknown("sum by (lane, way) (cki_notifier_in_flight)", shown) == {"way"}
    assert unknown("cki_notifier_in_flight", shown, ["way"]) == {"way"}


def test_the_table_of_metrics_is_what_a_daemon_shows(stage: Stage) -> None:
    """docs/metrics.md has each metric with its type and labels, no other, and labels' values."""
    families = of_a_day(stage)
    shown = {
        Documented(
            f"{family.name}_total" if family.type == "counter" else family.name,
            family.type,
            frozenset(label for sample in family.samples for label in sample.labels) - {"le"},
        )
        for family in families
        if family.name.startswith("cki_notifier_")
    }
    assert documented() == shown
    others = {family.name for family in families if not family.name.startswith("cki_notifier_")}
    assert {name.partition("_")[0] for name in others} == {"process", "python"}
    values = documented_values()
    assert values.keys() >= {"outcome", "reason", "status", "stage", "dependency", "service"}
    for family in families:
        for sample in family.samples:
            for label in sample.labels.keys() & values.keys():
                assert sample.labels[label] in values[label], sample


def test_the_audit_s_table_is_what_it_pushes() -> None:
    """docs/metrics.md has each of its metrics with its type, and no other."""
    pushed = list(push.registry({}, 1.0).collect())
    assert {it.name for it in pushed} == _PUSHED.keys()
    assert documented_of_audit() == {
        Documented(it.name, it.type, _PUSHED[it.name]) for it in pushed
    }


def test_what_is_rare_begins_at_0(stage: Stage) -> None:
    """Counters have a 0 first: Prometheus sees no increase in a first sample."""
    port = free_port()
    stage.daemon(CKI_METRICS_ENABLED="true", CKI_METRICS_PORT=str(port))
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in scrape(port)
        for sample in family.samples
    }
    for reason in DeadLetterReason:
        assert samples["cki_notifier_dead_letters_total", reason.value] == 0
    for delay in DelayReason:
        assert samples["cki_notifier_retries_total", delay.value] == 0
    for name in ("pre-test", "post-test"):
        assert samples["cki_notifier_messages_sent_total", name] == 0
    assert samples["cki_notifier_kafka_failures_total",] == 0
    assert samples["cki_notifier_enrichment_failures_total", "jira"] == 0
    for name in ("datawarehouse", "gitlab", "jira"):
        assert samples["cki_notifier_token_refusals_total", name] == 0
