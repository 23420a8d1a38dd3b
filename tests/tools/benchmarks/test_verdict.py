"""Whether a program did what it should."""

import json
from typing import Any

import pytest

from tools.benchmarks.verdict import NOTHING_WRONG, Verdict, judge
from tools.benchmarks.workload import Kind, Notification, Workload
from tools.brokers.kafka import Record

NOTIFICATIONS = Workload("http://127.0.0.1:1").take(5)


def record(notification: Notification, **changes: Any) -> Record:
    """Return the record that has to come of a notification, or one with changes to its value."""
    number = notification.checkout_id.partition(":")[2]
    is_finished = notification.kind is Kind.POST_TEST
    value = {
        "checkout_id": notification.checkout_id,
        "build_info": [{"build_id": f"{notification.checkout_id}-{each}"} for each in range(8)],
        "pipelineid": int(number),
        "cki_finished": is_finished,
        "merge_request": {"merge_request_url": "", "subsystems": []},
        **({"status": "success"} if is_finished else {}),
        **changes,
    }
    return Record(
        key=notification.checkout_id,
        value=json.dumps(value).encode(),
        headers={"ce_subject": notification.checkout_id},
        partition=0,
        offset=0,
        timestamp_ms=0,
    )


def records() -> list[Record]:
    """Return a record for each notification but the noise."""
    return [record(it) for it in NOTIFICATIONS if it.kind is not Kind.NOISE]


def test_everything_once_is_good() -> None:
    """The noise has no message."""
    verdict = judge(NOTIFICATIONS, records(), left=0)

    assert verdict == NOTHING_WRONG
    assert verdict.is_good


@pytest.mark.parametrize(
    ("seen", "left", "expected"),
    [
        (records()[1:], 0, Verdict(lost=1, repeated=0, unexpected=0, wrong=0, left=0)),
        ([*records(), records()[0]], 0, Verdict(0, 1, 0, 0, 0)),
        ([*records(), record(NOTIFICATIONS[4])], 0, Verdict(0, 0, 1, 0, 0)),
        ([*records()[1:], record(NOTIFICATIONS[0], build_info=[])], 0, Verdict(0, 0, 0, 1, 0)),
        ([*records()[1:], record(NOTIFICATIONS[0], pipelineid=0)], 0, Verdict(0, 0, 0, 1, 0)),
        ([*records()[1:], record(NOTIFICATIONS[0], status="fail")], 0, Verdict(0, 0, 0, 1, 0)),
        (records(), 1, Verdict(0, 0, 0, 0, 1)),
    ],
    ids=["lost", "repeated", "unexpected", "builds", "pipeline", "status", "left"],
)
def test_anything_else_is_not(seen: list[Record], left: int, expected: Verdict) -> None:
    """What is wrong is counted."""
    verdict = judge(NOTIFICATIONS, seen, left)

    assert verdict == expected
    assert not verdict.is_good
