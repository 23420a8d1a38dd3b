"""Every route from AMQP bytes to a Kafka record, through a daemon in a process of its own."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from cki_notifier.message.contract import schema
from tests.brokers.stage import Stage, eventually
from tools.brokers.kafka import Record
from tools.stand_ins import documents

PROJECT = "redhat/centos-stream/src/kernel/centos-stream-9"


def sample(name: str) -> Any:
    """Read a sample document."""
    return json.loads((documents.SAMPLES / name).read_text())


def fill(stage: Stage, checkout_id: str, **misc: object) -> dict[str, Any]:
    """Put a checkout with a build, a failed test and its triage into DataWarehouse; return it."""
    checkout = documents.checkout(checkout_id, misc=misc)
    build = documents.build(checkout, id=f"{checkout_id}-x86_64")
    failed = documents.test(build, "ltp", "FAIL", id=f"{checkout_id}-ltp")
    stage.services.warehouse.add(
        documents.everything(
            checkout, [build], [failed], occurrences=[documents.issueoccurrence(test=failed)]
        )
    )
    return checkout


def headers_of(record: Record) -> Mapping[str, str]:
    """Return a record's headers."""
    return record.headers


@pytest.mark.parametrize(
    ("status", "misc", "notification_misc", "finished"),
    [
        ("build_setups_finished", {"ready_to_report": False}, {}, False),
        ("ready_to_report", {"ready_to_report": False}, {}, True),
        ("unknown", {"ready_to_report": True}, {}, True),
        (
            "unknown",
            {"ready_to_report": False, "notification_sent_build_setups_finished": True},
            {},
            False,
        ),
        (
            "checkout_issueoccurrences_changed",
            {"ready_to_report": True},
            {"checkout_outcome_changed": True},
            True,
        ),
    ],
)
def test_route_ends_in_a_record(
    stage: Stage,
    status: str,
    misc: Mapping[str, object],
    notification_misc: Mapping[str, object],
    finished: bool,  # noqa: FBT001  # a parameter of the case
) -> None:
    """Each route leads to one record with key, headers and the right stage."""
    checkout = fill(stage, "redhat:1", **misc)
    notification = documents.notification(checkout, status, misc=notification_misc)
    daemon = stage.daemon()
    stage.publish(notification)
    (record,) = stage.records(1)
    message = json.loads(record.value)
    assert record.key == message["checkout_id"] == "redhat:1"
    assert message["cki_finished"] is finished
    assert message.get("status") == ("success" if finished else None)
    assert set(message) - {"status"} == set(schema()["required"])
    headers = headers_of(record)
    assert headers["content-type"] == "application/json"
    assert headers["ce_specversion"] == "1.0"
    assert headers["ce_source"] == stage.services.warehouse.url
    assert headers["ce_type"].endswith(".post" if finished else ".pre")
    assert headers["ce_subject"] == "redhat:1"
    assert headers["ce_id"]
    assert headers["ce_time"] == notification["timestamp"]
    (line,) = eventually(daemon.settled)
    assert line["outcome"] == "sent"
    assert line["reason"] == ("post-test" if finished else "pre-test")
    stage.finish(daemon)


def test_samples_come_out_as_the_sample_messages(stage: Stage) -> None:
    """The sample checkout gives exactly the two sample messages, ``generated_at`` aside."""
    gitlab = stage.services.gitlab
    here = f"{gitlab.url}/{PROJECT}/-/merge_requests/5021"
    there = sample("merge-request.json")["web_url"]

    def moved(document: Any) -> Any:
        return json.loads(json.dumps(document).replace(there, here))

    stage.services.warehouse.add(moved(sample("checkout-all.json")))
    gitlab.add_merge_request(sample("merge-request.json"), bridges=sample("pipeline-bridges.json"))
    for issue in sample("jira-search.json")["issues"]:
        stage.services.jira.add_issue(issue)
    ready = moved(sample("notification-ready-to-report.json"))
    stage.daemon()
    stage.publish(ready | {"status": "build_setups_finished"}, ready)
    messages = stage.messages(2)
    for message, name in zip(messages, ("pre", "post"), strict=True):
        expected = moved(sample(f"message-{name}-test.json"))
        assert message | {"generated_at": ""} == expected | {"generated_at": ""}


def test_ignored_notifications_leave_only_a_log_line(stage: Stage) -> None:
    """The daemon acknowledges an ignored notification with its reason, and sends nothing."""
    retriggered = documents.checkout("redhat:retriggered", misc={"retrigger": True})
    foreign = documents.checkout("syzbot:1", origin="syzbot")
    unfinished = fill(
        stage,
        "redhat:unfinished",
        ready_to_report=False,
        notification_sent_build_setups_finished=False,
    )
    last = fill(stage, "redhat:last")
    daemon = stage.daemon()
    stage.publish(
        documents.notification(last, object_type="build"),
        documents.notification(last, "needs_triage"),
        documents.notification(retriggered),
        documents.notification(foreign),
        documents.notification(unfinished, "unknown"),
        documents.notification(last, "checkout_issueoccurrences_changed"),
        documents.notification(last),
    )
    (message,) = stage.messages(1)
    assert message["checkout_id"] == "redhat:last"
    lines = eventually(lambda: len(daemon.settled()) == 7 and daemon.settled())
    assert lines
    assert {line["reason"] for line in lines} == {
        "object-type",
        "status",
        "retriggered",
        "origin",
        "stage-not-reached",
        "outcome-unchanged",
        "post-test",
    }


def test_messages_of_one_checkout_keep_their_order(stage: Stage) -> None:
    """The notifications of one checkout come out in their order, however many are in flight."""
    checkouts = [fill(stage, f"redhat:{number}") for number in range(5)]
    stage.services.warehouse.latency = 0.02
    stage.daemon()
    stages = ["build_setups_finished", "ready_to_report"] * 4
    stage.publish(
        *(
            documents.notification(checkout, status, timestamp=f"2026-11-20T10:00:{number:02}Z")
            for number, status in enumerate(stages)
            for checkout in checkouts
        )
    )
    records = stage.records(len(stages) * len(checkouts))
    for checkout in checkouts:
        own = sorted(
            (record for record in records if record.key == checkout["id"]),
            key=lambda record: record.offset,
        )
        assert [record.headers["ce_time"][:19] for record in own] == [
            f"2026-11-20T10:00:{number:02}" for number in range(len(stages))
        ]


def test_a_notification_with_nothing_but_an_id_is_enough(stage: Stage) -> None:
    """A notification with neither object nor time leads to requests, which decide."""
    fill(stage, "redhat:thin")
    stage.daemon()
    stage.publish({"object_type": "checkout", "status": "unknown", "id": "redhat:thin"})
    (message,) = stage.messages(1)
    assert message["checkout_id"] == "redhat:thin"
