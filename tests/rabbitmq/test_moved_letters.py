"""Dead letters that somebody else than our command moves back, as a shovel does: as they are."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pika
import pytest

from tests.brokers.stage import Letter, Stage, eventually
from tools.notifier import Notifier
from tools.stand_ins import Status, documents

#: The headers of a copy that came back from a retry queue for the last time.
OLD: dict[str, Any] = {
    "x-cki-attempts": 70,
    "x-cki-held": 60,
    "x-cki-first-seen": (datetime.now(UTC) - timedelta(hours=80)).isoformat(),
    "x-cki-error": "datawarehouse: GET / answered 503",
    "x-cki-exchange": "cki.exchange.webhooks",
    "x-cki-routing-key": "datawarehouse.checkout.new",
    "kept": "yes",
}
PROPERTIES = pika.BasicProperties(headers=OLD, message_id="m-1", timestamp=1_763_633_700)


@pytest.fixture(name="daemon")
def _daemon(stage: Stage) -> Notifier:
    """A daemon whose warehouse does not know the checkout."""
    checkout = documents.checkout("redhat:1")
    stage.services.warehouse.add(documents.everything(checkout, [documents.build(checkout)]))
    stage.services.warehouse.answer("", Status(404))
    return stage.daemon()


def put(stage: Stage, letter: Letter) -> None:
    """Publish a letter to the main queue by its name, with the properties as they are."""
    with stage.channel() as channel:
        channel.confirm_delivery()
        channel.basic_publish("", stage.queue, letter.body, letter.properties, mandatory=True)


def notification() -> bytes:
    """Return a notification about the checkout."""
    return b'{"object_type": "checkout", "status": "build_setups_finished", "id": "redhat:1"}'


def begins_anew(stage: Stage, letter: Letter) -> None:
    """Move a letter back, and see that its attempts start again at one, for this once."""
    put(stage, letter)
    again = stage.take(f"{stage.queue}.retry.5s")[0]
    assert (again.body, again.properties.message_id) == (letter.body, "m-1")
    assert again.headers["x-cki-attempts"] == 1
    seen = datetime.fromisoformat(again.headers["x-cki-first-seen"])
    assert datetime.now(UTC) - seen < timedelta(minutes=5)
    assert "no such checkout" in again.headers["x-cki-error"]
    kept = {name: again.headers.get(name) for name in OLD}
    for name in ("x-cki-exchange", "x-cki-routing-key", "kept"):
        assert kept[name] == OLD[name]
    assert not {"x-cki-reason", "x-cki-held", "x-death"} & again.headers.keys()
    put(stage, again)
    third = stage.take(f"{stage.queue}.retry.30s")[0]
    assert third.headers["x-cki-attempts"] == 2
    assert third.headers["x-cki-first-seen"] == again.headers["x-cki-first-seen"]


@pytest.mark.usefixtures("daemon")
def test_a_letter_of_ours_that_is_moved_back_begins_anew(stage: Stage) -> None:
    """Else one bad minute would make it a dead letter again, as exhausted as before."""
    stage.publish(notification(), properties=PROPERTIES)
    letter = stage.dead_letters()[0]
    assert letter.headers["x-cki-reason"] == "not-found"
    assert letter.headers["x-cki-attempts"] == 71
    begins_anew(stage, letter)


def test_a_letter_of_the_brokers_that_is_moved_back_begins_anew(
    stage: Stage, daemon: Notifier
) -> None:
    """A message at the delivery limit has no reason, but its last death was in the main queue."""
    daemon.stop()
    stage.publish(notification(), properties=PROPERTIES)
    with stage.channel() as channel:
        method, _, _ = channel.basic_get(stage.queue)
        assert method is not None
        channel.basic_nack(method.delivery_tag or 0, requeue=False)
        eventually(lambda: stage.waiting(f"{stage.queue}.dead-letter"))
    letter = stage.dead_letters()[0]
    assert letter.headers["x-death"][0]["queue"] == stage.queue
    assert "x-cki-reason" not in letter.headers
    daemon.start()
    begins_anew(stage, letter)


def test_what_comes_back_from_a_delay_queue_does_not_begin_anew(
    stage: Stage, daemon: Notifier
) -> None:
    """RabbitMQ's own way back: its last death is in the retry queue, and its attempts go on."""
    young = {**OLD, "x-cki-attempts": 1, "x-cki-held": 0}
    young["x-cki-first-seen"] = datetime.now(UTC).isoformat()
    with stage.channel() as channel:
        channel.confirm_delivery()
        properties = pika.BasicProperties(headers=young, expiration="1")
        channel.basic_publish("", f"{stage.queue}.retry.5s", notification(), properties)
    letter = stage.take(f"{stage.queue}.retry.30s")[0]
    assert letter.headers["x-cki-attempts"] == 2
    assert letter.headers["x-cki-first-seen"] == young["x-cki-first-seen"]
    assert daemon.settled()[0]["reason"] == "not-found"
