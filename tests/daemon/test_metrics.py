"""The metrics of a running daemon, as Prometheus scrapes them."""

import time
import urllib.request

from prometheus_client.parser import text_string_to_metric_families

from tests.brokers.stage import Stage, eventually
from tools.processes import free_port
from tools.stand_ins import documents

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scrape(port: int) -> Samples:
    """Read the metrics as Prometheus does."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    """Return a sample's value, 0 when there is none."""
    return samples.get((f"cki_notifier_{name}", frozenset(labels.items())), 0)


def test_metrics_tell_what_became_of_the_notifications(stage: Stage) -> None:
    """Each settled notification is counted by status, outcome and reason; odd statuses as other."""
    checkout = documents.checkout("redhat:1")
    stage.services.warehouse.add(documents.everything(checkout, [documents.build(checkout)]))
    port = free_port()
    daemon = stage.daemon(CKI_METRICS_ENABLED="true", CKI_METRICS_PORT=str(port))
    stage.publish(
        documents.notification(checkout, "build_setups_finished"),
        documents.notification(checkout, "any-thing-at-all"),
        b"no json",
    )
    eventually(lambda: len(daemon.settled()) == 3)
    samples = scrape(port)
    total = "notifications_total"
    sent = {"status": "build_setups_finished", "outcome": "sent", "reason": "pre-test"}
    assert value(samples, total, **sent) == 1
    assert value(samples, total, status="other", outcome="ignored", reason="status") == 1
    assert value(samples, total, status="other", outcome="dead-lettered", reason="malformed") == 1
    assert value(samples, "messages_sent_total", stage="pre-test") == 1
    assert value(samples, "processing_seconds_count", outcome="sent") == 1
    assert value(samples, "in_flight") == 0
    assert value(samples, "request_seconds_count", service="datawarehouse", code="200") == 2
    assert value(samples, "kafka_delivery_seconds_count") == 1
    assert value(samples, "dead_letters_total", reason="malformed") == 1
    assert time.time() - 300 < value(samples, "last_sent_timestamp_seconds", stage="pre-test")
    for dependency in ("rabbitmq", "kafka", "datawarehouse"):
        assert value(samples, "connected", dependency=dependency) == 1


def test_dead_letters_that_were_taken_out_are_counted(stage: Stage) -> None:
    """The command says so through the main queue, where the word itself is ignored."""
    port = free_port()
    daemon = stage.daemon(CKI_METRICS_ENABLED="true", CKI_METRICS_PORT=str(port))
    assert ("cki_notifier_dead_letters_taken_total", frozenset()) in scrape(port), "at the start"
    stage.publish(b"no json", b"no json either", b"none of it")
    eventually(lambda: stage.waiting(f"{stage.queue}.dead-letter") == 3)
    assert stage.command("dead-letters", "discard", "--all", "--yes").returncode == 0
    eventually(lambda: value(scrape(port), "dead_letters_taken_total") == 3)
    evil = {"object_type": "cki-notifier", "status": "dead-letters-taken", "id": "x", "count": -9}
    stage.publish(evil)
    eventually(lambda: len(daemon.settled()) == 5)
    samples = scrape(port)
    assert value(samples, "dead_letters_taken_total") == 3
    ignored = {"status": "other", "outcome": "ignored", "reason": "object-type"}
    assert value(samples, "notifications_total", **ignored) == 2


def test_runs_by_hand_are_counted(stage: Stage) -> None:
    """They say so through the main queue, where the word itself is ignored."""
    port = free_port()
    daemon = stage.daemon(CKI_METRICS_ENABLED="true", CKI_METRICS_PORT=str(port))
    assert value(scrape(port), "manual_runs_total", outcome="sent") == 0, "at the start"
    checkout = documents.checkout("redhat:1")
    stage.services.warehouse.add(documents.everything(checkout, [documents.build(checkout)]))
    for status, checkout_id in (("unknown", "redhat:1"), ("unknown", "redhat:2")):
        stage.command("--status", status, "--checkout-id", checkout_id)
    eventually(lambda: value(scrape(port), "manual_runs_total", outcome="sent") == 1)
    eventually(lambda: value(scrape(port), "manual_runs_total", outcome="failed") == 1)
    evil = {"object_type": "cki-notifier", "status": "manual-run", "id": "x", "run": {"who": 5}}
    stage.publish(evil)
    eventually(lambda: len(daemon.settled()) == 3)
    assert value(scrape(port), "manual_runs_total", outcome="ignored") == 0


def test_a_port_in_use_is_a_fault_of_the_configuration(stage: Stage) -> None:
    """The second process on a port says so and ends with exit code 2."""
    port = str(free_port())
    settings = {"CKI_METRICS_ENABLED": "true", "CKI_METRICS_PORT": port}
    stage.daemon(settings)
    second = stage.command(environment=stage.environment | settings)
    assert second.returncode == 2
    assert "CKI_METRICS_PORT" in second.stderr
    assert port in second.stderr
