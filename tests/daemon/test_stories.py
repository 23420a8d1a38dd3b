"""The log of a daemon at its default level: an outage is one story on one screen."""

import json
import re
import time
from pathlib import Path

import pytest

from tests.brokers.stage import Stage, eventually
from tools.brokers.kafka import Kafka
from tools.brokers.rabbitmq import RabbitMQ
from tools.notifier import Notifier
from tools.stand_ins import Services, Status, documents

#: As many notifications as an outage was once seen to make lines of.
MANY = 44
STARTS = r"WARNING cki_notifier.cli: cki-notifier \S+ starts: environment staging; from queue"
STOPS = "WARNING cki_notifier.cli: stopping"


def fill(stage: Stage, count: int) -> list[dict[str, object]]:
    """Put checkouts into DataWarehouse; return a notification for each."""
    notifications = []
    for number in range(count):
        checkout = documents.checkout(f"redhat:{number}")
        stage.services.warehouse.add(documents.everything(checkout, [documents.build(checkout)]))
        notifications.append(documents.notification(checkout, "build_setups_finished"))
    return notifications


def started(stage: Stage, form: str = "text") -> Notifier:
    """Start a daemon with the default level; return it when it consumes."""
    daemon = stage.daemon(CKI_LOGGING_LEVEL="WARN", CKI_LOGGING_FORMAT=form, waits=False)
    consumers = ("list_consumers", "queue_name", "--silent")
    eventually(lambda: stage.queue in stage.rabbitmq.ctl(*consumers), what="a consumer")
    return daemon


def story(daemon: Notifier) -> list[str]:
    """Stop a daemon; return what it told between its start and its end, without the times."""
    assert daemon.stop() == 0
    lines = [line.partition(" ")[2] for line in daemon.text().splitlines()]
    assert re.match(STARTS, lines[0])
    assert lines[-1].startswith(STOPS)
    return [line.replace("cki_notifier.telemetry.connections", "") for line in lines[1:-1]]


def matches(lines: list[str], *patterns: str) -> None:
    """Make sure that each line is as it should be, and that there is no other one."""
    assert len(lines) == len(patterns), lines
    for line, pattern in zip(lines, patterns, strict=True):
        assert re.search(pattern, line), line


def test_a_service_that_is_down(stage: Stage) -> None:
    """It begins with what was answered, and ends with the sum."""
    daemon = started(stage)
    notifications = fill(stage, MANY)
    stage.services.warehouse.answer("/checkouts", Status(503))
    stage.publish(*notifications)
    time.sleep(5)
    stage.services.warehouse.clear()
    assert len(stage.keys(MANY)) == MANY
    matches(
        story(daemon),
        r"^WARNING : datawarehouse: down: GET \S+ answered 503; retried about once a second",
        r"^WARNING : datawarehouse: back after \S+ s; notifications delayed: \d+$",
    )


def test_a_token_that_is_refused(stage: Stage) -> None:
    """That is no outage: it says what to do, once."""
    daemon = started(stage)
    notifications = fill(stage, MANY)
    warehouse = stage.services.warehouse
    good, warehouse.token = warehouse.token, "another"
    stage.publish(*notifications)
    time.sleep(5)
    warehouse.token = good
    assert len(stage.keys(MANY)) == MANY
    matches(
        story(daemon),
        r"^ERROR   : datawarehouse: refuses access: GET \S+ answered 401; "
        r"check the token in DATAWAREHOUSE_TOKEN; retried about once a second",
        r"^WARNING : datawarehouse: back after \S+ s; notifications delayed: [1-9]",
    )


def test_a_kafka_that_is_killed(rabbitmq: RabbitMQ, services: Services, tmp_path: Path) -> None:
    """The cause is on the first line, however many messages wait for it."""
    with (
        Kafka(tmp_path / "kafka") as kafka,
        Stage(rabbitmq, kafka.bootstrap, services, tmp_path) as stage,
    ):
        kafka.create_topic(stage.topic)
        daemon = started(stage)
        first, *others = fill(stage, MANY)
        stage.publish(first)
        stage.records(1)
        kafka.kill()
        stage.publish(*others)
        time.sleep(5)
        kafka.start()
        assert len(stage.keys(MANY)) == MANY
        matches(
            story(daemon),
            r"^WARNING : kafka: down: .*[Cc]onnection refused.*until it is back$",
            r"^WARNING : kafka: back after \S+ s; notifications delayed: 0$",
        )


def test_a_rabbitmq_that_is_stopped(kafka: Kafka, services: Services, tmp_path: Path) -> None:
    """Its return is told as its going is."""
    with (
        RabbitMQ(tmp_path / "rabbitmq") as broker,
        Stage(broker, kafka.bootstrap, services, tmp_path) as stage,
    ):
        kafka.create_topic(stage.topic)
        daemon = started(stage)
        broker.stop()
        time.sleep(5)
        broker.start()
        (notification,) = fill(stage, 1)
        eventually(lambda: " back after " in daemon.text())
        stage.publish(notification)
        stage.records(1)
        matches(
            story(daemon),
            r"^WARNING : rabbitmq: down: .*; reconnecting until it is back$",
            r"^WARNING : rabbitmq: back after \S+ s; notifications delayed: 0$",
        )


@pytest.mark.parametrize("form", ["text", "json"])
def test_what_can_never_be_sent(stage: Stage, form: str) -> None:
    """Each is an error of its own, which tells where it lies; an unreadable one has no name."""
    daemon = started(stage, form)
    (notification,) = fill(stage, 1)
    stage.services.warehouse.answer("/builds", Status(200, b'{"results": [{"id": 7}]}'))
    stage.publish(b"no json", notification)
    eventually(lambda: stage.waiting(f"{stage.queue}.dead-letter") == 2)
    assert daemon.stop() == 0
    if form == "text":
        lines = [line.partition("cki_notifier.daemon: ")[2] for line in daemon.text().splitlines()]
        matches(
            sorted(filter(None, lines)),
            r"^a notification without an id: to be dead-lettered as \w{12}: the body is not JSON",
            r"^redhat:0: to be dead-lettered as \w{12}: datawarehouse: .*can't be used",
        )
        return
    told = [json.loads(line) for line in daemon.text().splitlines()]
    errors = {line["reason"]: line for line in told if line["level"] == "ERROR"}
    assert set(errors) == {"malformed", "invalid-document"}
    assert errors["malformed"]["checkout"] is None
    assert errors["invalid-document"]["checkout"] == "redhat:0"
    assert errors["invalid-document"]["status"] == "build_setups_finished"
    assert {line["outcome"] for line in errors.values()} == {"dead-lettered"}
    assert {line["attempt"] for line in errors.values()} == {1}
    assert all(len(line["event"]) == 36 for line in errors.values())
    letters = stage.command("dead-letters", "list", "--json").stdout.splitlines()
    assert {json.loads(it)["id"] for it in letters} == {it["letter"] for it in errors.values()}
