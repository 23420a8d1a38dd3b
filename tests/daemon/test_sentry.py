"""A daemon that reports its errors, with real brokers around it."""

from pathlib import Path

from tests.brokers.stage import Stage, eventually
from tools.stand_ins import Sentry, documents


def templates(sentry: Sentry) -> list[str]:
    """Return the template of each event."""
    return [event["logentry"]["message"] for event in sentry.events()]


def test_many_failures_are_one_event_of_each_kind(
    stage: Stage, sentry: Sentry, tmp_path: Path
) -> None:
    """A flood of malformed notifications and a token that is refused: two events, no body."""
    checkout = documents.checkout("redhat:1")
    stage.services.warehouse.add(documents.everything(checkout, [documents.build(checkout)]))
    stage.services.warehouse.token = "another"
    dsn = tmp_path / "dsn"
    dsn.write_text(f"{sentry.dsn}\n")
    daemon = stage.daemon(SENTRY_DSN_FILE=str(dsn))
    stage.publish(*(f"the-body-{number}".encode() for number in range(100)))
    eventually(lambda: stage.waiting(f"{stage.queue}.dead-letter") == 100)
    stage.publish(documents.notification(checkout, "build_setups_finished"))
    eventually(lambda: len(sentry.events()) == 2, what="two events")
    assert daemon.stop() == 0
    assert templates(sentry) == [
        "to be dead-lettered as %s: %s",
        "datawarehouse: refuses access: %s%s",
    ]
    assert {event["environment"] for event in sentry.events()} == {"staging"}
    for envelope in sentry.envelopes():
        assert "the-body" not in envelope
        assert stage.environment["DATAWAREHOUSE_TOKEN"] not in envelope


def test_a_sentry_that_is_down_does_not_keep_the_daemon_from_its_work(
    stage: Stage, sentry: Sentry
) -> None:
    """The daemon sends messages, logs errors, and ends as usual."""
    sentry.down()
    checkout = documents.checkout("redhat:1")
    stage.services.warehouse.add(documents.everything(checkout, [documents.build(checkout)]))
    daemon = stage.daemon(SENTRY_DSN=sentry.dsn)
    stage.publish(b"no json", documents.notification(checkout, "build_setups_finished"))
    assert stage.records(1)[0].key == "redhat:1"
    eventually(lambda: len(daemon.settled()) == 2)
    assert daemon.stop() == 0
