"""The whole audit, with real brokers: it names lost messages and no others."""

import json
import subprocess
import sys
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cki_notifier.configuration.settings import read_config
from cki_notifier.kafka.announcements import Announcements
from cki_notifier.workers.deadline import Deadline
from tests.brokers.stage import Stage, eventually
from tools.notifier import complete
from tools.stand_ins import Garbage, documents

NOW = datetime.now(UTC)
PRE, POST = "pre-test", "post-test"


def fill(stage: Stage, number: int, **changes: Any) -> dict[str, Any]:
    """Put a checkout of the last two days into DataWarehouse; return its notification.

    Odd numbers reached the second stage only, even ones the first only.
    """
    is_post = number % 2 == 1
    begin = NOW - timedelta(hours=47) + timedelta(minutes=9 * number)
    misc = {
        "ready_to_report": is_post,
        "notification_sent_build_setups_finished": not is_post,
    } | changes.pop("misc", {})
    valid_builds = changes.pop("builds_valid", True)
    checkout = documents.checkout(
        f"redhat:{number}", misc=misc, start_time=begin.isoformat(), **changes
    )
    build = documents.build(checkout, valid=valid_builds)
    stage.services.warehouse.add(documents.everything(checkout, [build]))
    status = "ready_to_report" if is_post else "build_setups_finished"
    return documents.notification(checkout, status)


def merge_request(stage: Stage, number: int, state: str) -> str:
    """Have a merge request in a state; return its address."""
    url = stage.services.gitlab.merge_request_url("group/project", number)
    stage.services.gitlab.add_merge_request(documents.merge_request(url, state=state))
    return url


def audit(stage: Stage, *arguments: str) -> tuple[int, dict[str, Any]]:
    """Run an audit of three days; return its exit code and its report."""
    result = stage.command("audit", "--since", "3d", "--json", *arguments)
    assert result.stdout, result.stderr
    report: dict[str, Any] = json.loads(result.stdout)
    return result.returncode, report


def named(report: dict[str, Any], verdict: str) -> set[str]:
    """Return the checkouts of a list."""
    return {it["checkout_id"] for it in report[verdict]}


def ids(*ranges: range) -> set[str]:
    """Return the ids of checkouts by their numbers."""
    return {f"redhat:{number}" for numbers in ranges for number in numbers}


def nothing_is_there_twice(stage: Stage, count: int) -> bool:
    """Tell whether the topic has this many records, each of another checkout."""
    kafka = read_config(stage.environment).kafka
    assert kafka is not None
    with closing(Announcements(kafka)) as announced:
        assert announced.read(NOW - timedelta(hours=1), Deadline(30)) == count
    return len({record.key for record in stage.records(count)}) == count


def kill_in_the_middle(stage: Stage, seconds: float) -> bool:
    """Kill an audit some seconds after its first message; tell whether it was still sending."""
    command = [sys.executable, "-m", "cki_notifier", "audit", "--since", "3d", "--send", "--yes"]
    process = subprocess.Popen(
        command,
        env=complete(stage.environment),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    while "sent" not in process.stderr.readline() and process.poll() is None:
        pass
    time.sleep(seconds)
    is_killed = process.poll() is None
    process.kill()
    process.wait()
    process.stderr.close()
    return is_killed


@pytest.fixture
def disaster(stage: Stage) -> Stage:
    """Return a stage on which two days went wrong in every way.

    Of 300 checkouts, 30 are lost: 0 to 19 in a purged queue, 20 to 29 by a missing binding. 30 to
    34 are delayed, 35 to 39 are dead letters. Rules ignore 40 to 79. The merge requests of 80 to 89
    were merged since. All others have messages.
    """
    warehouse = stage.services.warehouse
    notifications = {number: fill(stage, number) for number in (*range(40), *range(90, 300))}
    rules: list[dict[str, Any]] = [
        {"misc": {"retrigger": True}},
        {"valid": False},
        {"builds_valid": False},
        {"origin": "elsewhere"},
    ]
    ignored = [fill(stage, number, **rules[number % 4]) for number in range(40, 80)]
    for number in range(80, 90):
        fill(stage, number, merge_request=merge_request(stage, number, "merged"))

    daemon = stage.daemon()
    stage.publish(*ignored, *(notifications[number] for number in range(90, 300)))
    for number in range(35, 40):
        warehouse.answer(f"redhat%3A{number}", Garbage(b'{"id": 7}'))
    stage.publish(*(notifications[number] for number in range(35, 40)))
    assert len(stage.keys(210)) == 210
    eventually(lambda: stage.waiting(f"{stage.queue}.dead-letter") == 5)
    warehouse.clear()
    with stage.channel() as channel:
        channel.queue_unbind(stage.queue, stage.exchange, "datawarehouse.#")
        channel.queue_declare("elsewhere", exclusive=True)
        channel.queue_bind("elsewhere", stage.exchange, "datawarehouse.#")
        for number in range(20, 30):
            body = json.dumps(notifications[number]).encode()
            channel.basic_publish(stage.exchange, "datawarehouse.checkout.x", body)
    assert daemon.stop() == 0
    with stage.channel() as channel:
        channel.queue_bind(stage.queue, stage.exchange, "datawarehouse.#")
    stage.publish(*(notifications[number] for number in range(20)))
    with stage.channel() as channel:
        channel.confirm_delivery()
        channel.queue_purge(stage.queue)
        for number in range(30, 35):
            body = json.dumps(notifications[number]).encode()
            channel.basic_publish("", f"{stage.queue}.retry.1h", body, mandatory=True)
    return stage


def test_what_was_lost_is_named_and_sent(disaster: Stage) -> None:
    """Despite kills, it sends exactly the thirty, once each. Then nothing is missing."""
    stage = disaster
    code, report = audit(stage)
    assert named(report, "missing") == ids(range(30))
    assert {it["checkout_id"]: it["stage"] for it in report["missing"]} == {
        f"redhat:{number}": POST if number % 2 else PRE for number in range(30)
    }
    assert code == 1
    assert named(report, "waiting") == ids(range(30, 40))
    assert {it["reason"] for it in report["waiting"]} == {"delayed", "dead-letter"}
    ours = {number for number in range(40, 80) if number % 4 != 3}
    assert named(report, "ignored") == {f"redhat:{number}" for number in ours}
    assert {it["reason"] for it in report["ignored"]} == {"retriggered", "invalid", "no-builds"}
    assert named(report, "ignored_now") == ids(range(80, 90))
    assert named(report, "announced") == ids(range(90, 300))
    assert report["undecided"] == []
    assert report["sums"] == {
        "announced": 210,
        "ignored": 30,
        "missing": 30,
        "ignored_now": 10,
        "undecided": 0,
        "waiting": 10,
    }
    assert stage.waiting(f"{stage.queue}.retry.1h") == 5, "the queue is unchanged"
    assert stage.waiting(f"{stage.queue}.dead-letter") == 5
    killed = [kill_in_the_middle(stage, seconds) for seconds in (0.0, 0.1)]
    assert any(killed)
    code, _report = audit(stage, "--send", "--yes")
    assert code == 0
    assert nothing_is_there_twice(stage, 240)
    code, report = audit(stage)
    assert (code, report["missing"], report["sums"]["announced"]) == (0, [], 240)
