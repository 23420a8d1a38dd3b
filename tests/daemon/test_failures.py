"""A failed notification is neither acknowledged nor lost; nothing spins or needs a restart."""

import time
from pathlib import Path

import pytest

from tests.brokers.stage import Stage, eventually
from tools.brokers.kafka import Kafka
from tools.brokers.proxy import Proxy
from tools.brokers.rabbitmq import RabbitMQ
from tools.stand_ins import Services, Status, documents


def fill(stage: Stage, *checkout_ids: str) -> list[dict[str, object]]:
    """Put checkouts into DataWarehouse; return a notification for each."""
    notifications = []
    for checkout_id in checkout_ids:
        checkout = documents.checkout(checkout_id)
        stage.services.warehouse.add(documents.everything(checkout, [documents.build(checkout)]))
        notifications.append(documents.notification(checkout, "build_setups_finished"))
    return notifications


def test_a_warehouse_that_is_down_delays_the_notification(stage: Stage) -> None:
    """While DataWarehouse refuses connections a notification waits; then its message is sent."""
    (notification,) = fill(stage, "redhat:1")
    warehouse = stage.services.warehouse
    warehouse.down()
    daemon = stage.daemon()
    stage.publish(notification)
    (line,) = eventually(daemon.settled)
    assert (line["outcome"], line["reason"]) == ("delayed", "unavailable")
    assert stage.waiting(f"{stage.queue}.retry.5s") == 1
    warehouse.up()
    (record,) = stage.records(1)
    assert record.key == "redhat:1"
    stage.finish(daemon)


def test_an_answer_of_500_is_tried_few_times_only(stage: Stage) -> None:
    """A warehouse that answers 500 gets a few requests, then the notification waits in a queue."""
    (notification,) = fill(stage, "redhat:1")
    warehouse = stage.services.warehouse
    warehouse.answer("/checkouts", Status(500))
    daemon = stage.daemon()
    stage.publish(notification)
    eventually(daemon.settled)
    time.sleep(1)
    assert len(warehouse.requests) <= 6, "three tries of two reads"
    letter = stage.take(f"{stage.queue}.retry.5s")[0]
    assert letter.headers["x-cki-attempts"] == 1
    assert "answered 500" in letter.headers["x-cki-error"]


def test_an_object_that_is_not_there_yet_is_found_later(stage: Stage) -> None:
    """A 404 may be a race: the daemon delays the notification and sends its message later."""
    (notification,) = fill(stage, "redhat:1")
    stage.services.warehouse.answer("/checkouts", Status(404), times=2)
    daemon = stage.daemon()
    stage.publish(notification)
    assert stage.records(1)[0].key == "redhat:1"
    eventually(lambda: len(daemon.settled()) == 2, what="two outcomes")
    assert [line["reason"] for line in daemon.settled()] == ["not-found", "pre-test"]


def test_a_new_token_needs_no_restart_of_the_warehouse_side(stage: Stage) -> None:
    """The log has an ERROR for a refused token, and the daemon delays the notification."""
    (notification,) = fill(stage, "redhat:1")
    stage.services.warehouse.token = "another"
    daemon = stage.daemon()
    stage.publish(notification)
    eventually(daemon.settled)
    errors = [line["message"] for line in daemon.lines() if line["level"] == "ERROR"]
    assert any("DATAWAREHOUSE_TOKEN" in error for error in errors)
    stage.services.warehouse.token = stage.environment["DATAWAREHOUSE_TOKEN"]
    assert stage.records(1)[0].key == "redhat:1"


def test_retries_end_in_the_dead_letter_queue(stage: Stage) -> None:
    """When the time for trying is over, the notification is dead-lettered with its history."""
    (notification,) = fill(stage, "redhat:1")
    stage.services.warehouse.answer("/checkouts", Status(503))
    stage.daemon(CKI_NOTIFIER_RETRY_HOURS="0.0005")
    stage.publish(notification, routing_key="datawarehouse.checkout.first")
    (letter,) = stage.dead_letters()
    assert letter.headers["x-cki-reason"] == "retries-exhausted"
    assert letter.headers["x-cki-attempts"] == 2
    assert letter.headers["x-cki-exchange"] == stage.exchange
    assert letter.headers["x-cki-routing-key"] == "datawarehouse.checkout.first"


def test_kafka_that_is_killed_loses_nothing(
    rabbitmq: RabbitMQ, services: Services, tmp_path: Path
) -> None:
    """Notifications that arrive while Kafka is dead are sent when it is back."""
    with (
        Kafka(tmp_path / "kafka") as kafka,
        Stage(rabbitmq, kafka.bootstrap, services, tmp_path) as stage,
    ):
        kafka.create_topic(stage.topic)
        first, *others = fill(stage, *(f"redhat:{number}" for number in range(5)))
        daemon = stage.daemon()
        stage.publish(first)
        eventually(daemon.settled)
        kafka.kill()
        stage.publish(*others)
        time.sleep(2)
        assert len(daemon.settled()) == 1, "nothing is settled that Kafka does not have"
        kafka.start()
        assert {record.key for record in stage.records(5)} == {
            f"redhat:{number}" for number in range(5)
        }
        stage.finish(daemon)


def test_kafka_and_the_warehouse_may_start_after_the_daemon(
    rabbitmq: RabbitMQ, services: Services, tmp_path: Path
) -> None:
    """A daemon that starts while both are down says so, waits for them, and needs no restart."""
    kafka = Kafka(tmp_path / "kafka")
    with Stage(rabbitmq, kafka.bootstrap, services, tmp_path) as stage:
        (notification,) = fill(stage, "redhat:1")
        services.warehouse.down()
        daemon = stage.daemon()
        stage.publish(notification)
        eventually(lambda: "datawarehouse: down" in daemon.text())
        eventually(lambda: "kafka: " in daemon.text())
        services.warehouse.up()
        with kafka:
            kafka.create_topic(stage.topic)
            assert stage.records(1)[0].key == "redhat:1"
            stage.finish(daemon)


def test_a_cut_connection_is_made_anew(stage: Stage) -> None:
    """When the connection to RabbitMQ is reset the daemon connects again and goes on."""
    notifications = fill(stage, *(f"redhat:{number}" for number in range(20)))
    stage.services.warehouse.latency = 0.3
    with Proxy(stage.rabbitmq.port) as proxy:
        daemon = stage.daemon(RABBITMQ_PORT=str(proxy.port))
        stage.publish(*notifications)
        eventually(lambda: stage.services.warehouse.requests)
        proxy.cut()
        assert stage.keys(20) == {f"redhat:{number}" for number in range(20)}
        stage.finish(daemon)
        assert len(stage.records(20)) == 20, "what Kafka had already was not sent again"


def test_a_deleted_queue_is_noticed_and_made_again(stage: Stage) -> None:
    """A queue that somebody deletes ends the consumer silently; the daemon notices and goes on."""
    (notification,) = fill(stage, "redhat:1")
    daemon = stage.daemon()
    with stage.channel() as channel:
        channel.queue_delete(stage.queue)
    eventually(lambda: daemon.text().count('"consuming ') == 2, what="a second consumer")
    stage.publish(notification)
    assert stage.records(1)[0].key == "redhat:1"


def test_what_a_deleted_queue_had_handed_out_is_finished(stage: Stage) -> None:
    """The deliveries are nowhere else, so the daemon handles or delays all of them."""
    bad, *good = fill(stage, *(f"redhat:{number}" for number in range(8)))
    stage.services.warehouse.answer("redhat%3A0", Status(404))
    stage.services.warehouse.latency = 0.5
    daemon = stage.daemon(CKI_NOTIFIER_IN_FLIGHT="4")
    stage.publish(bad, *good)
    eventually(lambda: len(stage.services.warehouse.requests) >= 4)
    with stage.channel() as channel:
        channel.queue_delete(stage.queue)
    assert stage.keys(7) == {f"redhat:{number}" for number in range(1, 8)}
    assert stage.take(f"{stage.queue}.retry.5s")[0].headers["x-cki-attempts"] == 1
    eventually(lambda: daemon.text().count('"consuming ') == 2, what="a second consumer")


def test_the_broker_may_start_after_the_daemon(
    kafka: Kafka, services: Services, tmp_path: Path
) -> None:
    """A daemon that starts while RabbitMQ is down waits for it, says so, and needs no restart."""
    broker = RabbitMQ(tmp_path / "rabbitmq")
    stage = Stage(broker, kafka.bootstrap, services, tmp_path)
    kafka.create_topic(stage.topic)
    (notification,) = fill(stage, "redhat:1")
    daemon = stage.daemon(waits=False)
    eventually(lambda: "can't connect" in daemon.text())
    with broker:
        eventually(lambda: '"consuming ' in daemon.text(), what="a consumer")
        stage.publish(notification)
        assert stage.records(1)[0].key == "redhat:1"
        assert daemon.stop() == 0


def test_a_queue_declared_otherwise_is_used_as_it_is(stage: Stage) -> None:
    """A classic queue that was there before, bound or not, is consumed as it is."""
    with stage.channel() as channel:
        channel.queue_declare(stage.queue, durable=True, arguments={"x-max-length": 100})
    (notification,) = fill(stage, "redhat:1")
    stage.daemon()
    stage.publish(notification)
    assert stage.records(1)[0].key == "redhat:1"


def test_our_queues_are_durable_and_quorum(stage: Stage) -> None:
    """Main, delay and dead-letter queues survive a restart of the broker, replicated if it can."""
    (notification,) = fill(stage, "redhat:1")
    stage.services.warehouse.answer("/checkouts", Status(503), times=6)
    stage.daemon()
    stage.publish(notification)
    stage.records(1)
    rows = stage.rabbitmq.ctl("list_queues", "name", "type", "durable").splitlines()
    own = [row.split("\t") for row in rows if row.startswith(stage.queue)]
    assert sorted(name.removeprefix(stage.queue) for name, _, _ in own) == [
        "",
        ".dead-letter",
        ".retry.10m",
        ".retry.1h",
        ".retry.2m",
        ".retry.30s",
        ".retry.5s",
    ]
    assert {(kind, durable) for _, kind, durable in own} == {("quorum", "true")}


def test_sigterm_finishes_what_is_in_flight(stage: Stage) -> None:
    """At SIGTERM the work in flight is finished, the rest goes back to the queue, exit code 0."""
    notifications = fill(stage, *(f"redhat:{number}" for number in range(12)))
    stage.services.warehouse.latency = 0.5
    daemon = stage.daemon(CKI_NOTIFIER_IN_FLIGHT="4")
    stage.publish(*notifications)
    eventually(lambda: len(stage.services.warehouse.requests) >= 8, what="four at work")
    assert daemon.stop() == 0
    sent = len(daemon.settled())
    assert 4 <= sent < 12
    assert len(stage.records(sent)) == sent, "RabbitMQ redelivers no sent one"
    eventually(lambda: stage.waiting(stage.queue) == 12 - sent, what="the rest in the queue")
    stage.services.warehouse.latency = 0
    again = stage.daemon()
    assert sorted(record.key for record in stage.records(12)) == sorted(
        str(notification["id"]) for notification in notifications
    )
    stage.finish(again)


def test_work_that_takes_too_long_does_not_hold_up_the_end(stage: Stage) -> None:
    """After the time for finishing, the process ends all the same and the broker has the rest."""
    (notification,) = fill(stage, "redhat:1")
    stage.services.warehouse.latency = 20
    daemon = stage.daemon(CKI_NOTIFIER_SHUTDOWN_SECONDS="1")
    stage.publish(notification)
    eventually(lambda: stage.services.warehouse.requests)
    assert daemon.stop(seconds=10) == 0
    eventually(lambda: stage.waiting(stage.queue) == 1, what="it is back in the queue")


def test_kill_nine_gives_everything_back(stage: Stage) -> None:
    """A process that is killed loses nothing: the broker hands out again what was not settled."""
    notifications = fill(stage, *(f"redhat:{number}" for number in range(10)))
    stage.services.warehouse.latency = 0.3
    daemon = stage.daemon()
    stage.publish(*notifications)
    eventually(lambda: stage.services.warehouse.requests)
    daemon.kill()
    stage.services.warehouse.latency = 0
    again = stage.daemon()
    assert stage.keys(10) == {f"redhat:{number}" for number in range(10)}
    stage.finish(again)


@pytest.mark.parametrize("broken", ["warehouse", "gitlab"])
def test_one_bad_checkout_does_not_hold_up_the_others(stage: Stage, broken: str) -> None:
    """While one checkout can't be had, the others pass."""
    bad, *good = fill(stage, *(f"redhat:{number}" for number in range(10)))
    if broken == "gitlab":
        url = stage.services.gitlab.merge_request_url("group/project", 1)
        checkout = documents.checkout("redhat:0", merge_request=url)
        stage.services.warehouse.add(documents.everything(checkout, [documents.build(checkout)]))
        stage.services.gitlab.answer("/", Status(502))
    else:
        stage.services.warehouse.answer("redhat%3A0", Status(500))
    stage.daemon()
    stage.publish(bad, *good)
    assert {record.key for record in stage.records(9)} == {
        f"redhat:{number}" for number in range(1, 10)
    }
    assert stage.take(f"{stage.queue}.retry.5s")[0].body
