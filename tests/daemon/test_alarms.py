"""RabbitMQ short of memory or disk accepts no messages: all say so at once, and nothing is lost."""

import json
import time
import urllib.request
from typing import Any

from tests.brokers.stage import Stage, eventually
from tests.daemon.test_failures import fill
from tests.daemon.test_metrics import scrape, value
from tools.notifier import Notifier
from tools.processes import free_port

REFUSAL = "RabbitMQ accepts no messages: low on "
#: In seconds: for saying so at once, on a slow machine; and where nothing is published.
AT_ONCE, LATER = 10.0, 25.0


class Watched:
    """A daemon with its port."""

    def __init__(self, stage: Stage) -> None:
        self._port = free_port()
        settings = {"CKI_METRICS_ENABLED": "true", "CKI_METRICS_PORT": str(self._port)}
        self.daemon: Notifier = stage.daemon(settings, CKI_LOGGING_LEVEL="INFO")

    def blocked(self, resource: str) -> float:
        """Return the metric."""
        return value(scrape(self._port), "rabbitmq_blocked", resource=resource)

    def get(self, path: str) -> Any:
        """Return what a path shows as JSON."""
        address = f"http://127.0.0.1:{self._port}{path}"
        with urllib.request.urlopen(address, timeout=10) as answer:
            return json.load(answer)

    def problem(self) -> str:
        """Return what the page says of copies."""
        rows = self.get("/outcomes.json")["connections"]
        return "".join(row.get("problem", "") for row in rows if row["id"] == "copies")

    def said(self, text: str) -> list[str]:
        """Return the messages of the log that have a text, at WARN and above."""
        lines = [it for it in self.daemon.lines() if it["level"] in {"WARNING", "ERROR"}]
        return [it["message"] for it in lines if text in it["message"]]


def test_a_memory_alarm_is_told_of_at_once(stage: Stage) -> None:
    """Copies are held, what needs none goes on, the process is ready; then all is as before.

    Log, metric and page have RabbitMQ's own reason; the log has it once, for any number of copies.
    """
    later = fill(stage, "redhat:good")
    stage.daemon().stop()  # which declares the queues
    stage.publish(b"no json", b"no json either", *later)
    with stage.rabbitmq.alarm():
        watched = Watched(stage)
        eventually(lambda: watched.said(REFUSAL), seconds=AT_ONCE)
        eventually(lambda: "2 copies wait" in watched.problem(), seconds=AT_ONCE)
        assert watched.problem().startswith(f"{REFUSAL}memory; 2 copies wait")
        assert (watched.blocked("memory"), watched.blocked("disk")) == (1, 0)
        assert stage.keys(1) == {"redhat:good"}, "what is sent needs no copy"
        assert watched.get("/ready") == {"ready": True, "missing": []}
        assert not stage.waiting(f"{stage.queue}.dead-letter")
    letters = stage.dead_letters(2)
    assert {it.body for it in letters} == {b"no json", b"no json either"}
    eventually(lambda: watched.said("RabbitMQ accepts messages again after"))
    assert watched.said(REFUSAL) == [
        f"{REFUSAL}memory; failed notifications stay in the main queue"
    ]
    assert (watched.blocked("memory"), watched.problem()) == (0, "")
    stage.finish(watched.daemon)


def test_a_disk_alarm_is_seen_while_nothing_is_published(stage: Stage) -> None:
    """The daemon sees begin and end of the alarm without any copy; SIGTERM ends it."""
    watched = Watched(stage)
    with stage.rabbitmq.alarm("disk"):
        eventually(lambda: watched.blocked("disk"), seconds=LATER)
        eventually(lambda: f"{REFUSAL}disk" in watched.problem(), seconds=AT_ONCE)
        assert watched.blocked("memory") == 0
        queues = {"main": 0, "delay": 0, "dead-letter": 0}
        assert watched.get("/outcomes.json")["waiting"] == queues, "they are counted all the same"
    eventually(lambda: not watched.blocked("disk"), seconds=LATER)
    eventually(lambda: watched.said("RabbitMQ accepts messages again after"))
    assert not watched.problem()
    with stage.rabbitmq.alarm("disk"):
        eventually(lambda: watched.blocked("disk"), seconds=LATER)
        started = time.monotonic()
        assert watched.daemon.stop() == 0
        assert time.monotonic() - started < AT_ONCE
