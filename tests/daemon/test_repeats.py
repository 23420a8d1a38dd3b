"""No message is sent twice: the daemon looks up a possible repeat in the topic first."""

import time
from collections import Counter
from typing import Any

import pika
import pytest

from tests.brokers.stage import Stage, eventually
from tests.daemon.test_failures import fill
from tools.brokers.kafka import Kafka
from tools.brokers.proxy import Proxy
from tools.notifier import Notifier

THIN = {"object_type": "checkout", "status": "unknown", "id": "redhat:1"}


def told(daemon: Notifier) -> int:
    """Return how many messages the daemon found in the topic."""
    return sum(line.get("was_there", False) for line in daemon.settled())


def lose_acknowledgements(stage: Stage, proxy: Proxy, daemon: Notifier, count: int) -> None:
    """Kill a daemon when Kafka has its messages and RabbitMQ has no acknowledgement."""
    proxy.swallow()
    eventually(lambda: len(stage.keys(count)) == count, what="messages")
    daemon.kill()
    proxy.resume()


def test_what_kafka_has_is_not_sent_again_after_a_crash(stage: Stage) -> None:
    """RabbitMQ redelivers it to any process, which finds the message in the topic."""
    notifications = fill(stage, *(f"redhat:{number}" for number in range(20)))
    stage.services.warehouse.latency = 1.0
    with Proxy(stage.rabbitmq.port) as proxy:
        daemon = stage.daemon(RABBITMQ_PORT=str(proxy.port))
        stage.publish(*notifications)
        eventually(lambda: len(stage.services.warehouse.requests) >= 20)
        lose_acknowledgements(stage, proxy, daemon, 20)
        another = stage.daemon(RABBITMQ_PORT=str(proxy.port))
        eventually(lambda: len(another.settled()) == 20)
        assert told(another) == 20
        outcomes = Counter((line["outcome"], line["reason"]) for line in another.settled())
        assert outcomes == {("sent", "pre-test"): 20}
        stage.finish(another)
    assert len(stage.records(20)) == 20


def test_what_was_lost_in_a_crash_is_sent(stage: Stage) -> None:
    """A redelivered notification without a message in the topic leads to one."""
    notifications = fill(stage, *(f"redhat:{number}" for number in range(20)))
    stage.services.warehouse.latency = 1.0
    daemon = stage.daemon()
    stage.publish(*notifications)
    eventually(lambda: len(stage.services.warehouse.requests) >= 20)
    daemon.kill()
    stage.services.warehouse.latency = 0.0
    another = stage.daemon()
    assert len(stage.keys(20)) == 20
    eventually(lambda: len(another.settled()) == 20)
    assert told(another) == 0
    stage.finish(another)
    assert len(stage.records(20)) == 20


def test_what_nothing_tells_from_another_event_is_never_held_to_be_a_repeat(stage: Stage) -> None:
    """Twice the same bytes without a time or a name are two events, also after a lost connection.

    As when a merge request leaves draft twice.
    """
    fill(stage, "redhat:1")
    with Proxy(stage.rabbitmq.port) as proxy:
        daemon = stage.daemon(RABBITMQ_PORT=str(proxy.port))
        stage.publish(THIN)
        stage.records(1)
        eventually(daemon.settled)
        stage.services.warehouse.latency = 1.0
        before = len(stage.services.warehouse.requests)
        stage.publish(THIN)
        eventually(lambda: len(stage.services.warehouse.requests) > before)
        daemon.kill()
        proxy.cut()
        stage.services.warehouse.latency = 0.0
        another = stage.daemon(RABBITMQ_PORT=str(proxy.port))
        first, second = stage.records(2)
        assert first.key == second.key == "redhat:1"
        assert first.headers["ce_id"] != second.headers["ce_id"]
        stage.finish(another)
    assert told(another) == 0


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (pika.BasicProperties(message_id="1"), pika.BasicProperties(message_id="2")),
        (pika.BasicProperties(timestamp=1795169700), pika.BasicProperties(timestamp=1795169701)),
    ],
    ids=["message_id", "timestamp"],
)
def test_properties_tell_equal_bodies_apart(
    stage: Stage, first: pika.BasicProperties, second: pika.BasicProperties
) -> None:
    """They are two events, and each of them is known again when it comes once more."""
    fill(stage, "redhat:1")
    daemon = stage.daemon()
    stage.publish(THIN, properties=first)
    stage.publish(THIN, properties=second)
    ids = [record.headers["ce_id"] for record in stage.records(2)]
    assert len(set(ids)) == 2
    for properties in (first, second):
        properties.headers = {"x-cki-attempts": 1}
        stage.publish(THIN, properties=properties)
    eventually(lambda: told(daemon) == 2, what="two repeats")
    stage.finish(daemon)
    assert [record.headers["ce_id"] for record in stage.records(2)] == ids


@pytest.mark.parametrize(
    "headers",
    [
        {"x-cki-attempts": 3, "x-cki-first-seen": "2026-11-20T10:15:00+00:00"},
        {"x-cki-exchange": "webhooks", "x-cki-routing-key": "datawarehouse.checkout.new"},
        {"x-death": [{"queue": "any", "reason": "expired", "count": 1}]},
    ],
    ids=["delayed", "put back", "moved by the broker"],
)
def test_what_comes_back_by_another_queue_is_looked_up(
    stage: Stage, headers: dict[str, Any]
) -> None:
    """From a retry queue or the dead letters: a message in the topic is not sent again."""
    was_sent, was_not = fill(stage, "redhat:1", "redhat:2")
    daemon = stage.daemon()
    stage.publish(was_sent)
    stage.records(1)
    properties = pika.BasicProperties(headers=headers)
    stage.publish(was_sent, was_not, properties=properties)
    assert stage.keys(2) == {"redhat:1", "redhat:2"}
    eventually(lambda: len(daemon.settled()) == 3)
    assert told(daemon) == 1
    stage.finish(daemon)
    assert len(stage.records(2)) == 2


def test_what_is_in_the_topic_needs_no_services(stage: Stage) -> None:
    """The lookup comes before any request, so an outage neither delays nor dead-letters it."""
    (notification,) = fill(stage, "redhat:1")
    daemon = stage.daemon()
    stage.publish(notification)
    stage.records(1)
    eventually(daemon.settled)
    stage.services.warehouse.down()
    stage.publish(notification, properties=pika.BasicProperties(headers={"x-cki-attempts": 1}))
    eventually(lambda: told(daemon) == 1)
    stage.finish(daemon)


def test_a_look_up_waits_for_a_kafka_that_is_away(stage: Stage, kafka: Kafka) -> None:
    """A lookup waits as sending does; no message is sent twice."""
    (notification,) = fill(stage, "redhat:1")
    daemon = stage.daemon()
    stage.publish(notification)
    stage.records(1)
    eventually(daemon.settled)
    kafka.freeze()
    try:
        again = pika.BasicProperties(headers={"x-cki-attempts": 1})
        stage.publish(notification, properties=again)
        time.sleep(3)
        assert len(daemon.settled()) == 1
    finally:
        kafka.thaw()
    eventually(lambda: told(daemon) == 1)
    stage.finish(daemon)
    assert len(stage.records(1)) == 1
