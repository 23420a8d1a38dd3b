"""One checkout by hand, with a real Kafka."""

import json
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cki_notifier.notification.command_words import run_told_by
from tests.brokers.stage import Stage
from tools.brokers.kafka import Kafka, read_topic
from tools.notifier import complete
from tools.stand_ins import documents


def fill(stage: Stage) -> None:
    """Put a checkout into DataWarehouse."""
    checkout = documents.checkout("redhat:1")
    stage.services.warehouse.add(documents.everything(checkout, [documents.build(checkout)]))


def test_a_manual_run_sends_and_shows_the_message(stage: Stage) -> None:
    """The message goes to Kafka and to standard output, the decision to standard error."""
    fill(stage)
    environment = {name: text for name, text in stage.environment.items() if "RABBIT" not in name}
    run = stage.command(
        "--status", "ready_to_report", "--checkout-id", "redhat:1", environment=environment
    )
    assert run.returncode == 0, run.stderr
    assert "sent: a post-test message" in run.stderr
    (record,) = stage.records(1)
    assert json.loads(run.stdout) == json.loads(record.value)


def test_two_manual_runs_are_two_events(stage: Stage) -> None:
    """Two runs are two events: consumers that drop duplicates see two ids."""
    fill(stage)
    for _ in range(2):
        run = stage.command("--status", "unknown", "--checkout-id", "redhat:1")
        assert run.returncode == 0, run.stderr
    assert len({record.headers["ce_id"] for record in stage.records(2)}) == 2


def test_what_kafka_confirms_too_late_is_not_sent_again(stage: Stage, kafka: Kafka) -> None:
    """A retry looks up the message in the topic first."""
    fill(stage)
    settings = stage.folder / "client.properties"
    settings.write_text("delivery.timeout.ms=2000\n")
    environment = stage.environment | {"KAFKA_CONFIG_FILE": str(settings)}
    run = stage.command("--status", "unknown", "--checkout-id", "redhat:1", environment=environment)
    assert run.returncode == 0, run.stderr
    with ThreadPoolExecutor() as pool:
        kafka.freeze()
        try:
            running = pool.submit(
                stage.command,
                "--status=ready_to_report",
                "--checkout-id=redhat:1",
                environment=environment,
            )
            time.sleep(8)
        finally:
            kafka.thaw()
        run = running.result()
    assert run.returncode == 0, run.stderr
    assert "retrying: " in run.stderr
    assert len(stage.records(2)) == 2


def test_the_iid_names_a_checkout_too(stage: Stage) -> None:
    """DataWarehouse takes the iid as well; the message has the KCIDB id."""
    checkout = documents.checkout("redhat:1", misc={"iid": 4711})
    stage.services.warehouse.add(documents.everything(checkout, [documents.build(checkout)]))
    run = stage.command("--status", "unknown", "--checkout-id", "4711", "--dry-run")
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["checkout_id"] == "redhat:1"


def test_an_ignored_checkout_ends_with_three(stage: Stage) -> None:
    """A rule that ignores the checkout is an outcome of its own, with its reason."""
    fill(stage)
    run = stage.command(
        "--status", "checkout_issueoccurrences_changed", "--checkout-id", "redhat:1"
    )
    assert run.returncode == 3
    assert "ignored (outcome-unchanged)" in run.stderr
    assert not run.stdout


def test_a_checkout_nobody_knows_ends_with_one(stage: Stage) -> None:
    """The error says why."""
    run = stage.command("--status", "unknown", "--checkout-id", "redhat:unknown")
    assert run.returncode == 1
    assert "not sent: datawarehouse: no such checkout: redhat:unknown\n" in run.stderr
    assert (
        "check the checkout in DataWarehouse: --checkout-id takes a KCIDB id, an iid" in run.stderr
    )


def test_a_dry_run_needs_neither_broker_and_explains_itself(stage: Stage) -> None:
    """It lists each rule in order and sends nothing."""
    fill(stage)
    environment = {
        name: text
        for name, text in stage.environment.items()
        if not name.startswith(("RABBIT", "KAFKA"))
    }
    run = stage.command(
        "--status=unknown", "--checkout-id=redhat:1", "--dry-run", environment=environment
    )
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["checkout_id"] == "redhat:1"
    rules = [line.split()[1] for line in run.stderr.splitlines() if line.startswith("pass")]
    assert rules == [
        "object-type",
        "status",
        "retriggered",
        "origin",
        "invalid",
        "outcome-unchanged",
        "retriggered",
        "origin",
        "invalid",
        "no-builds",
        "merge-request-merged",
        "superseded",
        "route",
    ]
    assert "would be sent" in run.stderr


def explanation(stage: Stage, *arguments: str) -> tuple[int, dict[str, Any]]:
    """Return the exit code of a dry run, and the one JSON object it printed."""
    run = stage.command("--dry-run", "--json", *arguments)
    return run.returncode, json.loads(run.stdout)


def test_a_dry_run_explains_itself_to_programs(stage: Stage) -> None:
    """Standard output holds one object with everything: the rules, the stage, the message."""
    fill(stage)
    code, told = explanation(stage, "--checkout-id=redhat:1", "--status=ready_to_report")
    steps = told.pop("steps")
    message = told.pop("message")
    assert code == 0
    assert told == {
        "checkout_id": "redhat:1",
        "status": "ready_to_report",
        "outcome": "sent",
        "reason": None,
        "stage": "post-test",
        "not_looked_at": [],
        "error": None,
    }
    assert steps[0] == {"rule": "object-type", "saw": "object_type 'checkout'", "result": "pass"}
    assert steps[-1]["rule"] == "route"
    assert {step["result"] for step in steps} == {"pass"}
    assert (message["checkout_id"], message["cki_finished"]) == ("redhat:1", True)


def test_an_ignored_checkout_is_explained_to_programs(stage: Stage) -> None:
    """The reason comes with its sentence; the rule that stopped is the last step."""
    checkout = documents.checkout("redhat:1", valid=False)
    stage.services.warehouse.add(documents.everything(checkout, [documents.build(checkout)]))
    code, told = explanation(stage, "--checkout-id=redhat:1", "--status=build_setups_finished")
    assert code == 3
    assert (told["outcome"], told["stage"], told["message"]) == ("ignored", None, None)
    assert told["reason"] == {
        "code": "invalid",
        "sentence": "the checkout is broken: its patches do not apply",
    }
    assert told["steps"][-1] == {
        "rule": "invalid",
        "saw": "checkout's valid false",
        "result": "stop",
    }
    assert "superseded" in told["not_looked_at"]
    assert "origin" not in told["not_looked_at"]


def test_a_failure_is_explained_to_programs(stage: Stage) -> None:
    """The error names the missing object, and the earlier rules are listed."""
    code, told = explanation(stage, "--checkout-id=redhat:unknown")
    assert code == 1
    assert (told["outcome"], told["reason"], told["message"]) == ("failed", None, None)
    assert told["error"] == "datawarehouse: no such checkout: redhat:unknown"
    assert told["steps"][-1]["rule"] == "outcome-unchanged"
    assert "no-builds" in told["not_looked_at"]


def test_a_dry_run_without_a_status_asks_what_the_checkout_is_ready_for(stage: Stage) -> None:
    """It is the same as with the status unknown, for people and for programs."""
    fill(stage)
    code, told = explanation(stage, "--checkout-id=redhat:1")
    assert (code, told["status"]) == (0, "unknown")
    short = stage.command("--checkout-id=redhat:1", "--dry-run")
    long = stage.command("--checkout-id=redhat:1", "--dry-run", "--status=unknown")
    assert short.returncode == long.returncode == 0
    assert decisions(short.stderr) == decisions(long.stderr)
    assert "redhat:1 unknown: would be sent" in short.stderr


def decisions(text: str) -> list[str]:
    """Return the output for people, without the log."""
    return [line for line in text.splitlines() if not line.startswith("{")]


def test_outside_production_a_manual_run_sends_nothing(stage: Stage) -> None:
    """On a laptop the run only shows the message, even with Kafka configured."""
    fill(stage)
    run = stage.command(
        "--status=unknown",
        "--checkout-id=redhat:1",
        environment=stage.environment | {"CKI_DEPLOYMENT_ENVIRONMENT": ""},
    )
    assert run.returncode == 0, run.stderr
    assert "would be sent" in run.stderr


def test_the_warehouses_address_and_a_merge_request_name_a_checkout_too(stage: Stage) -> None:
    """As the status page's search takes them; of a merge request, the newest checkout is taken."""
    stage.environment["CKI_LOGGING_LEVEL"] = "WARNING"
    url = stage.services.gitlab.merge_request_url("group/kernel", 12)
    stage.services.gitlab.add_merge_request(documents.merge_request(url))
    for name in ("redhat:1", "redhat:2"):
        checkout = documents.checkout(name, merge_request=url)
        stage.services.warehouse.add(documents.everything(checkout, [documents.build(checkout)]))
    newer = documents.checkout("redhat:3")
    stage.services.warehouse.add(documents.everything(newer, [documents.build(newer)]))
    page = f"{stage.services.warehouse.url}/kcidb/checkouts/redhat%3A1/?tab=builds#top"
    for name, checkout_id in {
        page: "redhat:1",
        "kernel!12": "redhat:2",
        "group/kernel!12": "redhat:2",
        f"{url}/diffs?view=inline": "redhat:2",
    }.items():
        run = stage.command("--dry-run", "--checkout-id", name)
        assert run.returncode == 0, run.stderr
        assert json.loads(run.stdout)["checkout_id"] == checkout_id
        is_found = f"{name}: the newest checkout is redhat:2\n" in run.stderr
        assert is_found is (name != page)
    nobody = stage.command("--dry-run", "--checkout-id", "kernel!13")
    assert (nobody.returncode, nobody.stdout) == (1, "")
    assert nobody.stderr.startswith("kernel!13: no recent checkout belongs to this merge")
    wrong = stage.command("--dry-run", "--checkout-id", "https://other.example/kcidb/checkouts/1")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "is at another DataWarehouse than DATAWAREHOUSE_URL, http://" in wrong.stderr


def test_a_short_name_of_two_merge_requests_is_no_name(stage: Stage) -> None:
    """The error names both."""
    stage.environment["CKI_LOGGING_LEVEL"] = "WARNING"
    for number, project in enumerate(("a/kernel", "b/kernel")):
        url = stage.services.gitlab.merge_request_url(project, 12)
        checkout = documents.checkout(f"redhat:{number}", merge_request=url)
        stage.services.warehouse.add(documents.everything(checkout))
    run = stage.command("--dry-run", "--checkout-id", "kernel!12")
    assert (run.returncode, run.stdout) == (1, "")
    host = stage.services.gitlab.url
    assert run.stderr == (
        f"kernel!12: several merge requests match: {host}/a/kernel/-/merge_requests/12, "
        f"{host}/b/kernel/-/merge_requests/12\n"
    )


def explain(
    stage: Stage, body: bytes, *arguments: str, name: str = "-"
) -> subprocess.CompletedProcess[bytes]:
    """Explain a body, which comes by standard input, without brokers."""
    needed = {it: text for it, text in stage.environment.items() if not it.startswith("RABBIT")}
    return subprocess.run(
        [sys.executable, "-m", "cki_notifier", "explain", name, *arguments],
        env=complete(needed),
        input=body,
        capture_output=True,
        check=False,
        timeout=90,
    )


def test_any_body_is_explained_and_nothing_is_sent(stage: Stage, tmp_path: Path) -> None:
    """By all rules, also those on the notification, from a file or a pipe."""
    fill(stage)
    stage.environment["CKI_LOGGING_LEVEL"] = "WARNING"
    body = json.dumps(documents.notification(documents.checkout("redhat:1"))).encode()
    file = tmp_path / "body"
    file.write_bytes(b"\xef\xbb\xbf" + body + b"\n")
    for run in (explain(stage, body), explain(stage, b"", name=str(file))):
        assert run.returncode == 0, run.stderr
        assert json.loads(run.stdout)["checkout_id"] == "redhat:1"
        lines = run.stderr.decode().splitlines()
        assert lines[0] == "pass  object-type           object_type 'checkout'"
        assert lines[3] == "pass  origin                notification's origin redhat"
        assert lines[-1].endswith("ready_to_report: would be sent: a post-test message")
    told = json.loads(explain(stage, body, "--json").stdout)
    assert (told["outcome"], told["stage"]) == ("sent", "post-test")
    assert read_topic(stage.bootstrap, stage.topic, seconds=1, until=bool) == []


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"object_type": "build", "status": "new", "id": "x"}, "object-type"),
        ({"object_type": "checkout", "status": "new", "id": "x"}, "status"),
        (
            {
                "object_type": "checkout",
                "status": "unknown",
                "id": "x",
                "object": {"misc": {"retrigger": True}},
            },
            "retriggered",
        ),
    ],
)
def test_a_body_that_is_ignored_needs_no_service(
    stage: Stage, body: dict[str, Any], reason: str
) -> None:
    """It ends as a dry run does: with three, and with the rule."""
    run = explain(stage, json.dumps(body).encode())
    assert (run.returncode, run.stdout) == (3, b"")
    assert f"ignored ({reason})" in run.stderr.decode()
    assert not stage.services.warehouse.requests


def test_a_malformed_body_is_explained_too(stage: Stage) -> None:
    """With what is wrong, and the reason that a dead letter would have."""
    run = explain(stage, b'{"object_type": "checkout", "status": "new"}')
    assert (run.returncode, run.stdout) == (1, b"")
    assert run.stderr.decode().splitlines()[-1] == (
        "not sent (malformed): the body has no id: neither `id` nor `object.id` is a non-empty "
        "string"
    )
    run = explain(stage, b"\xff", "--json")
    told = json.loads(run.stdout)
    assert (run.returncode, told["outcome"], told["steps"]) == (1, "failed", [])
    assert told["reason"]["code"] == "malformed"
    assert told["error"].startswith("the body is not UTF-8")
    assert (told["checkout_id"], told["status"]) == ("", "")


def test_what_can_not_be_read_is_wrong_usage(stage: Stage, tmp_path: Path) -> None:
    """A file that is not there, or larger than any notification."""
    missing = explain(stage, b"", name=str(tmp_path / "missing"))
    assert (missing.returncode, missing.stdout) == (2, b"")
    assert b"missing can't be read: " in missing.stderr
    large = explain(stage, b" " * (16 * 1024 * 1024 + 1))
    assert (large.returncode, large.stdout) == (2, b"")
    assert b": - can't be read: the body is larger than the limit of 16 MiB\n" in large.stderr
    most = explain(stage, b'{"object_type": "build", "status": "x", "id": "x"}'.ljust(2**24))
    assert most.returncode == 3


def test_a_run_that_sends_is_logged_and_the_daemons_are_told(stage: Stage) -> None:
    """The log names user, checkout, time and event. A daemon counts the run."""
    fill(stage)
    with stage.channel() as channel:
        channel.queue_declare(stage.queue, durable=True)
    run = stage.command("--status", "unknown", "--checkout-id", "redhat:1")
    assert run.returncode == 0, run.stderr
    (record,) = stage.records(1)
    (word,) = stage.take(stage.queue)
    told = run_told_by(word.body)
    assert told is not None
    assert (told.checkout_id, told.status, told.outcome) == ("redhat:1", "unknown", "sent")
    assert (told.reason, told.event_id) == ("post-test", record.headers["ce_id"])
    assert told.who.endswith(f"@{socket.gethostname()}")
    assert abs(datetime.now(UTC) - told.when) < timedelta(minutes=5)
    assert word.properties.delivery_mode == 2
    line = next(it for it in run.stderr.splitlines() if "manual run by" in it)
    for text in ("redhat:1", "unknown", "sent", "post-test", told.who, told.event_id, "WARN"):
        assert text in line
    stage.command("--status", "unknown", "--checkout-id", "redhat:nobody")
    failed = run_told_by(stage.take(stage.queue)[0].body)
    assert failed is not None
    assert (failed.outcome, failed.reason) == ("failed", "not-found")


def test_what_sends_nothing_is_not_told_of(stage: Stage) -> None:
    """A dry run, and a run where nothing is sent."""
    fill(stage)
    with stage.channel() as channel:
        channel.queue_declare(stage.queue, durable=True)
    dry = stage.command("--dry-run", "--checkout-id", "redhat:1")
    environment = stage.environment | {"CKI_DEPLOYMENT_ENVIRONMENT": "test"}
    del environment["KAFKA_BOOTSTRAP_SERVERS"]
    nowhere = stage.command("--status=unknown", "--checkout-id=redhat:1", environment=environment)
    assert dry.returncode == nowhere.returncode == 0
    assert "manual run by" not in dry.stderr + nowhere.stderr
    assert stage.waiting(stage.queue) == 0


def test_daemons_that_can_not_be_told_cost_a_line_and_five_seconds(stage: Stage) -> None:
    """The run still sends the message, also if RabbitMQ accepts connections but stays silent."""
    fill(stage)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = str(silent.getsockname()[1])
        environment = stage.environment | {"RABBITMQ_PORT": port}
        started = time.monotonic()
        run = stage.command("--status=unknown", "--checkout-id=redhat:1", environment=environment)
    assert run.returncode == 0
    assert time.monotonic() - started < 30
    last = run.stderr.splitlines()[-1]
    assert last.startswith("cki_notifier_manual_runs_total lacks this run: ")
    assert len(stage.records(1)) == 1
