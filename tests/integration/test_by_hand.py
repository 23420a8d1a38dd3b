"""One checkout by hand, with a real Kafka."""

import json

from sandbox import documents
from tests.integration.stage import Stage


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
