"""One checkout by hand, with a real Kafka."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.brokers.stage import Stage
from tools.brokers.kafka import Kafka
from tools.stand_ins import documents


def fill(stage: Stage) -> None:
    """Put a checkout into the warehouse."""
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
    """Who triggers twice means it: consumers that drop repeats see two ids."""
    fill(stage)
    for _ in range(2):
        run = stage.command("--status", "unknown", "--checkout-id", "redhat:1")
        assert run.returncode == 0, run.stderr
    assert len({record.headers["ce_id"] for record in stage.records(2)}) == 2


def test_what_kafka_confirms_too_late_is_not_sent_again(stage: Stage, kafka: Kafka) -> None:
    """A further try looks first whether the message is in the topic by now."""
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
    assert "trying again" in run.stderr
    assert len(stage.records(2)) == 2


def test_the_iid_names_a_checkout_too(stage: Stage) -> None:
    """The warehouse takes the iid as well; the message has the KCIDB id."""
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
    """What can't be sent says why."""
    run = stage.command("--status", "unknown", "--checkout-id", "redhat:unknown")
    assert run.returncode == 1
    assert "datawarehouse" in run.stderr
    assert "404" in run.stderr


def test_a_dry_run_needs_neither_broker_and_explains_itself(stage: Stage) -> None:
    """Every rule is listed in order with what it saw; nothing is sent."""
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
        "sentence": "the checkout itself is broken: its patches do not apply",
    }
    assert told["steps"][-1] == {
        "rule": "invalid",
        "saw": "checkout's valid false",
        "result": "stop",
    }
    assert "superseded" in told["not_looked_at"]
    assert "origin" not in told["not_looked_at"]


def test_a_failure_is_explained_to_programs(stage: Stage) -> None:
    """What could not be had is the error; the rules before it are there all the same."""
    code, told = explanation(stage, "--checkout-id=redhat:unknown")
    assert code == 1
    assert (told["outcome"], told["reason"], told["message"]) == ("failed", None, None)
    assert "404" in told["error"]
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
    """Return what was said to a person, without the log."""
    return [line for line in text.splitlines() if not line.startswith("{")]


def test_outside_production_a_manual_run_sends_nothing(stage: Stage) -> None:
    """On a laptop the message is shown only, whatever Kafka is configured."""
    fill(stage)
    run = stage.command(
        "--status=unknown",
        "--checkout-id=redhat:1",
        environment=stage.environment | {"CKI_DEPLOYMENT_ENVIRONMENT": ""},
    )
    assert run.returncode == 0, run.stderr
    assert "would be sent" in run.stderr
