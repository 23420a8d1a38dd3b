"""The audit command: wrong usage, notes and undecided stages."""

import json
from typing import Any

import pytest

from cki_notifier import cli
from cki_notifier.audit import command
from tests.audit.test_whole import fill
from tests.brokers.stage import Stage, eventually
from tools.processes import free_port
from tools.stand_ins import Status


def report_of(stage: Stage, **changes: str) -> tuple[int, dict[str, Any]]:
    """Audit with changes to the environment; return the exit code and the report."""
    result = stage.command("audit", "--json", environment=stage.environment | changes)
    report: dict[str, Any] = json.loads(result.stdout)
    return result.returncode, report


@pytest.mark.parametrize(
    ("arguments", "changes", "text"),
    [
        (
            (),
            {"CKI_DEPLOYMENT_ENVIRONMENT": ""},
            "CKI_DEPLOYMENT_ENVIRONMENT: must be production or",
        ),
        (("--send",), {}, "standard input is not a terminal: add --yes"),
        (("--send", "--yes"), {"RABBITMQ_HOST": ""}, "set RABBITMQ_HOST"),
        (("--yes",), {}, "--yes needs --send"),
        (("--since", "1h", "--until", "2h"), {}, "is not before --until"),
        (("--push", "gateway"), {}, "not an address like"),
    ],
)
def test_wrong_usage_is_told(
    stage: Stage, arguments: tuple[str, ...], changes: dict[str, str], text: str
) -> None:
    """The error says what to do, and the audit reads nothing."""
    result = stage.command("audit", *arguments, environment=stage.environment | changes)
    assert result.returncode == 2
    assert text in result.stderr
    assert not stage.services.warehouse.requests


def test_a_rabbitmq_that_is_away_leaves_it_undecided(stage: Stage) -> None:
    """A message missing from the topic may wait in a queue."""
    fill(stage, 290)
    code, report = report_of(stage, RABBITMQ_PORT=str(free_port()))
    (undecided,) = report["undecided"]
    assert (code, report["missing"]) == (3, [])
    assert "the retry and dead-letter queues can't be read" in undecided["error"]


def test_without_rabbitmq_a_note_says_what_that_means(stage: Stage) -> None:
    """An audit from elsewhere may have no access to RabbitMQ."""
    fill(stage, 290)
    code, report = report_of(stage, RABBITMQ_HOST="")
    assert (code, len(report["missing"])) == (1, 1)
    assert report["notes"] == [
        "RABBITMQ_HOST is not set: notifications of missing messages may wait in a queue"
    ]


def test_a_service_that_fails_leaves_it_undecided(stage: Stage) -> None:
    """The audit names the unreadable checkout and judges the others."""
    fill(stage, 290)
    fill(stage, 292)
    stage.services.warehouse.answer("redhat%3A290", Status(500))
    code, report = report_of(stage)
    assert code == 1
    assert [it["checkout_id"] for it in report["missing"]] == ["redhat:292"]
    assert [it["checkout_id"] for it in report["undecided"]] == ["redhat:290"]
    assert "answered 500" in report["undecided"][0]["error"]


def test_what_waits_in_the_main_queue_is_noted(stage: Stage) -> None:
    """The missing one may be among them."""
    daemon = stage.daemon()
    assert daemon.stop() == 0
    stage.publish(fill(stage, 290))
    eventually(lambda: stage.waiting(stage.queue) == 1)
    _code, report = report_of(stage)
    assert [it for it in report["notes"] if "1 notifications wait in the main queue" in it]


def test_a_list_that_can_not_be_read_is_exit_code_3(stage: Stage) -> None:
    """Without the list there is no report."""
    stage.services.warehouse.answer("/checkouts?", Status(503))
    result = stage.command("audit")
    assert result.returncode == 3
    assert "cki-notifier audit: no result: datawarehouse: GET" in result.stderr
    assert result.stdout == ""


def test_a_kafka_that_is_away_is_exit_code_3(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The audit waits for Kafka, but not for ever."""
    monkeypatch.setattr(command, "_TOPIC_SECONDS", 0.5)
    monkeypatch.setattr(
        "cki_notifier.telemetry.log.set_up", lambda *_: None
    )  # which is for a process as a whole
    for name, value in stage.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", f"127.0.0.1:{free_port()}")
    assert cli.main(["audit"]) == 3
    assert "no result: kafka: " in capsys.readouterr().err
