"""Several daemons on one queue: RabbitMQ shares the work out, and nobody gets it twice."""

import json
from collections import Counter, defaultdict
from typing import Any

from tests.brokers.stage import Stage, eventually
from tools.brokers.kafka import Record
from tools.stand_ins import documents

CHECKOUTS = [f"redhat:{number}" for number in range(25)]


def fill(stage: Stage) -> list[dict[str, Any]]:
    """Put checkouts into DataWarehouse; return two notifications of each, the stages in order."""
    notifications = []
    for checkout_id in CHECKOUTS:
        checkout = documents.checkout(checkout_id)
        stage.services.warehouse.add(documents.everything(checkout, [documents.build(checkout)]))
        notifications += [
            documents.notification(checkout, status)
            for status in ("build_setups_finished", "ready_to_report")
        ]
    return notifications


def declare(stage: Stage, **arguments: object) -> None:
    """Declare the queue before any daemon does, as an operator may."""
    with stage.channel() as channel:
        channel.queue_declare(
            stage.queue, durable=True, arguments={"x-queue-type": "quorum", **arguments}
        )


def event(record: Record) -> tuple[str, bool]:
    """Return what tells a message from others: its checkout, and whether that is tested."""
    return record.key, bool(json.loads(record.value)["cki_finished"])


def stages(stage: Stage, count: int) -> dict[str, list[bool]]:
    """Read the topic until there are this many different messages, without duplicates.

    Return for each checkout whether its messages say that it is tested, in their order.
    """
    seen = defaultdict(list)
    found = stage.records_until(lambda records: len(set(map(event, records))) >= count)
    for checkout_id, is_tested in map(event, found):
        seen[checkout_id].append(is_tested)
    return seen


def test_two_replicas_share_the_work(stage: Stage) -> None:
    """Each notification leads to one message, and both processes are busy."""
    stage.services.warehouse.latency = 0.2
    notifications = fill(stage)
    replicas = [stage.daemon(CKI_NOTIFIER_IN_FLIGHT="2") for _ in range(2)]
    stage.publish(*notifications)

    sent = stages(stage, len(notifications))
    eventually(lambda: sum(len(it.settled()) for it in replicas) == len(notifications))
    assert {key: Counter(finished) for key, finished in sent.items()} == {
        checkout_id: Counter([False, True]) for checkout_id in CHECKOUTS
    }
    assert all(it.settled() for it in replicas)


def test_a_single_active_consumer_keeps_the_order_through_a_crash(stage: Stage) -> None:
    """A replica that stands by takes over; nothing is lost, and no stage comes before its time."""
    declare(stage, **{"x-single-active-consumer": True})
    stage.services.warehouse.latency = 0.2
    notifications = fill(stage)
    active, standby = (stage.daemon(CKI_NOTIFIER_IN_FLIGHT="4") for _ in range(2))
    stage.publish(*notifications)
    eventually(lambda: len(active.settled()) >= 10)
    assert standby.settled() == []
    active.kill()

    eventually(lambda: not stage.waiting(stage.queue) and standby.settled())
    sent = stages(stage, len(notifications))
    stage.finish(standby)
    assert set(sent) == set(CHECKOUTS)
    for finished in sent.values():
        # A crash may repeat a message; it doesn't put one stage's first message before the other's.
        assert list(dict.fromkeys(finished)) == [False, True]
