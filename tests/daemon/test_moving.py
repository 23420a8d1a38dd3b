"""RabbitMQ is changed for another as docs/move-brokers.md says; a virtual host stands for it."""

import json
from collections import defaultdict
from collections.abc import Iterator
from uuid import uuid4

import pika
import pytest

from tests.brokers.stage import Stage, eventually
from tools.brokers.rabbitmq import RabbitMQ
from tools.stand_ins import Status, documents


@pytest.fixture
def elsewhere(rabbitmq: RabbitMQ) -> Iterator[str]:
    """A virtual host with nothing in it."""
    name = uuid4().hex[:8]
    rabbitmq.ctl("add_vhost", name)
    rabbitmq.ctl("set_permissions", "--vhost", name, rabbitmq.user, ".*", ".*", ".*")
    yield name
    rabbitmq.ctl("delete_vhost", name)


def publish(stage: Stage, vhost: str, *bodies: bytes) -> None:
    """Publish to the exchange of another virtual host; each has to be routed and confirmed."""
    parameters = pika.ConnectionParameters(
        stage.rabbitmq.host, stage.rabbitmq.port, virtual_host=vhost
    )
    connection = pika.BlockingConnection(parameters)
    channel = connection.channel()
    channel.confirm_delivery()
    for body in bodies:
        channel.basic_publish(stage.exchange, "datawarehouse.checkout.any", body, mandatory=True)
    connection.close()


def test_nothing_is_lost_and_a_notification_at_both_places_is_one_event(
    stage: Stage, elsewhere: str
) -> None:
    """The old daemon runs dry, with what it had delayed, while the new one is at work already."""
    checkouts = [documents.checkout(f"redhat:{number}") for number in range(4)]
    for checkout in checkouts:
        stage.services.warehouse.add(documents.everything(checkout, [documents.build(checkout)]))
    stage.services.warehouse.answer("redhat%3A0", Status(404), times=2)
    delayed, before, during, after = (
        json.dumps(documents.notification(it, "build_setups_finished")).encode() for it in checkouts
    )
    old = stage.daemon()
    stage.publish(delayed, before, b"no json")
    eventually(lambda: len(old.settled()) == 3, what="three settled")
    letter = json.loads(stage.command("dead-letters", "list", "--json").stdout)
    assert letter["reason"] == "malformed"

    new = stage.daemon(RABBITMQ_VIRTUAL_HOST=elsewhere)
    stage.publish(during)
    publish(stage, elsewhere, during, after)
    assert stage.keys(4) == {checkout["id"] for checkout in checkouts}
    eventually(lambda: len(new.settled()) == 2, what="two settled by the new one")
    assert stage.command("dead-letters", "discard", letter["id"], "--yes").returncode == 0
    stage.finish(old)
    assert not stage.waiting(f"{stage.queue}.retry.5s")
    assert not stage.waiting(f"{stage.queue}.dead-letter")

    ids = defaultdict(list)
    for record in stage.records(5):
        ids[record.key].append(record.headers["ce_id"])
    assert {key: len(found) for key, found in ids.items()} == {
        "redhat:0": 1,
        "redhat:1": 1,
        "redhat:2": 2,
        "redhat:3": 1,
    }
    assert len(set(ids["redhat:2"])) == 1
