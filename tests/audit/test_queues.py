"""The audit finds notifications in a real RabbitMQ, and takes, loses, doubles or moves none."""

import contextlib
import dataclasses
import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pika
import pytest

from cki_notifier.audit import queues
from cki_notifier.audit.queues import DEAD_LETTER, DELAYED, Waiting, look
from cki_notifier.audit.stages import Due
from cki_notifier.configuration.settings import RabbitMQConfig, read_operator_config
from cki_notifier.notification.errors import Unavailable
from cki_notifier.notification.models import Stage
from cki_notifier.rabbitmq.connection import close, connect, ensure_queue, of_quorum
from cki_notifier.rabbitmq.hand import Hand
from cki_notifier.rabbitmq.queues import retry_arguments
from tests.brokers.stage import Stage as Scene
from tests.brokers.stage import eventually
from tools.brokers.rabbitmq import RabbitMQ
from tools.notifier import complete

PRE, POST = Stage.PRE_TEST, Stage.POST_TEST
#: Enough for several batches.
MANY = 100

#: Holds all of a queue in flight, says so, and waits for its end.
HOLDER = """
import sys, time
from cki_notifier.configuration.settings import read_operator_config
from cki_notifier.rabbitmq.connection import connect
from cki_notifier.rabbitmq.hand import Hand
hand = Hand(connect(read_operator_config().rabbitmq, "test"), sys.argv[1], {})
print(len(list(hand.messages())), flush=True)
time.sleep(60)
"""

#: Looks, again and again.
LOOKER = """
from cki_notifier.audit.queues import look
from cki_notifier.configuration.settings import read_operator_config
print("begins", flush=True)
while True:
    look(read_operator_config().rabbitmq, 30)
"""


def config_of(stage: Scene) -> RabbitMQConfig:
    """Return RabbitMQ's configuration."""
    return read_operator_config(needed(stage)).rabbitmq


def needed(stage: Scene) -> dict[str, str]:
    """Return the variables of that configuration."""
    return {name: text for name, text in stage.environment.items() if "RABBITMQ" in name}


def declare(stage: Scene, kind: str = "quorum") -> None:
    """Declare all queues as the daemon does where there are quorum queues, or where not."""
    if kind == "classic":
        with stage.channel() as channel:
            for name, arguments in retry_arguments(stage.queue).items():
                channel.queue_declare(name, durable=True, arguments=arguments)
    connection = connect(config_of(stage), "test")
    for name, arguments in retry_arguments(stage.queue).items():
        ensure_queue(connection, name, arguments)
    ensure_queue(connection, stage.queue, {})
    close(connection)


def body(checkout_id: str, status: str = "build_setups_finished", **more: Any) -> bytes:
    """Return a notification."""
    return json.dumps(
        {"object_type": "checkout", "status": status, "id": checkout_id} | more
    ).encode()


def put(stage: Scene, queue: str, *bodies: bytes) -> None:
    """Put bodies into a queue."""
    with stage.channel() as channel:
        channel.confirm_delivery()
        for it in bodies:
            channel.basic_publish("", queue, it, pika.BasicProperties(delivery_mode=2))


def taken(stage: Scene, queue: str) -> list[bytes]:
    """Take all bodies out of a queue."""
    return [letter.body for letter in stage.take(queue, stage.waiting(queue))]


def where(waiting: Waiting, checkout_id: str) -> tuple[str, str]:
    """Return where a checkout's two stages wait."""
    return waiting.where(Due(checkout_id, PRE)), waiting.where(Due(checkout_id, POST))


@pytest.mark.parametrize("kind", ["quorum", "classic"])
def test_what_waits_is_found_by_checkout_and_stage(stage: Scene, kind: str) -> None:
    """In each retry queue and the dead-letter queue, which stay as they were."""
    declare(stage, kind)
    filled = {
        f"{stage.queue}.retry.30s": [body("redhat:1"), body("redhat:2", "ready_to_report")],
        f"{stage.queue}.retry.2m": [body("redhat:3", "unknown")],
        f"{stage.queue}.retry.10m": [
            body(
                "redhat:4",
                "checkout_issueoccurrences_changed",
                misc={"checkout_outcome_changed": True},
            )
        ],
        f"{stage.queue}.retry.1h": [body("redhat:ü\ud800"), b"\xff"],
        f"{stage.queue}.dead-letter": [
            body("redhat:1", "ready_to_report"),
            *(body(f"redhat:d{it}") for it in range(MANY)),
        ],
    }
    for queue, bodies in filled.items():
        put(stage, queue, *bodies)
    put(stage, stage.queue, body("redhat:5"), body("redhat:6"))
    for _ in range(3):
        waiting = look(config_of(stage), 30)
        assert (waiting.in_main, waiting.unseen) == (2, [])
        assert where(waiting, "redhat:1") == (DELAYED, DEAD_LETTER)
        assert where(waiting, "redhat:2") == ("", DELAYED)
        assert where(waiting, "redhat:3") == (DELAYED, DELAYED)
        assert where(waiting, "redhat:4") == ("", DELAYED)
        assert where(waiting, "redhat:ü\ufffd") == (DELAYED, "")
        assert where(waiting, f"redhat:d{MANY - 1}") == (DEAD_LETTER, "")
        assert where(waiting, "redhat:5") == ("", "")
    for queue, bodies in filled.items():
        assert taken(stage, queue) == bodies
    assert stage.waiting(stage.queue) == 2


def test_what_announces_nothing_does_not_wait(stage: Scene) -> None:
    """An unreadable body, another object, or one that the body alone rules out."""
    declare(stage)
    put(
        stage,
        f"{stage.queue}.dead-letter",
        b"no json",
        json.dumps({"status": "unknown", "id": "redhat:1"}).encode(),
        body("redhat:1", "new"),
        body("redhat:1").replace(b'"checkout"', b'"build"'),
        body("redhat:1", object={"misc": {"retrigger": True}}),
        body("redhat:1", "checkout_issueoccurrences_changed"),
    )
    waiting = look(config_of(stage), 30)
    assert where(waiting, "redhat:1") == ("", "")
    assert waiting.unseen == []


def test_queues_that_are_not_there_are_empty(stage: Scene) -> None:
    """A look declares no queue. Without a main queue, the backlog is unknown."""
    waiting = look(config_of(stage), 30)
    assert (waiting.in_main, waiting.unseen) == (None, [])
    with stage.channel() as channel, pytest.raises(pika.exceptions.ChannelClosedByBroker):
        channel.queue_declare(f"{stage.queue}.retry.5s", passive=True)


def test_a_queue_that_would_be_worn_out_is_named(stage: Scene) -> None:
    """It skips a queue declared otherwise, and reads the others."""
    declare(stage)
    worn = {f"{stage.queue}.retry.2m": {"x-message-ttl": 120_000}, f"{stage.queue}.dead-letter": {}}
    with stage.channel() as channel:
        for queue, arguments in worn.items():
            channel.queue_delete(queue)
            quorum: dict[str, Any] = {"x-queue-type": "quorum"} | arguments
            channel.queue_declare(queue, durable=True, arguments=quorum)
    for queue in (*worn, f"{stage.queue}.retry.1h"):
        put(stage, queue, body(queue))
    waiting = look(config_of(stage), 30)
    assert waiting.unseen == [
        f"{it}: it may drop notifications after many deliveries" for it in worn
    ]
    assert where(waiting, f"{stage.queue}.retry.1h") == (DELAYED, "")
    for queue in worn:
        (letter,) = stage.take(queue)
        assert not letter.headers.get("x-delivery-count")


def test_who_may_not_read_is_told_which_queues(stage: Scene, rabbitmq: RabbitMQ) -> None:
    """The rights of a user are by a queue's name."""
    declare(stage)
    put(stage, f"{stage.queue}.retry.1h", body("redhat:1"))
    put(stage, f"{stage.queue}.dead-letter", body("redhat:2"))
    rabbitmq.ctl("add_user", stage.queue, "secret")
    try:
        letters = rf"{stage.queue}\.dead-letter"
        rabbitmq.ctl("set_permissions", stage.queue, ".*", ".*", letters)
        stage.environment |= {"RABBITMQ_USER": stage.queue, "RABBITMQ_PASSWORD": "secret"}
        waiting = look(config_of(stage), 30)
    finally:
        rabbitmq.ctl("delete_user", stage.queue)
    (unseen,) = waiting.unseen
    assert unseen.startswith(f"{stage.queue}.retry.1h: rabbitmq: ")
    assert "ACCESS_REFUSED" in unseen or "access" in unseen
    assert where(waiting, "redhat:2") == (DEAD_LETTER, "")


def test_only_so_many_are_looked_at(stage: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """The look has limits. The report notes the unread rest, and all goes back."""
    declare(stage)
    letters = [body(f"redhat:{it}") for it in range(9)]
    put(stage, f"{stage.queue}.retry.1h", *letters[:4])
    put(stage, f"{stage.queue}.dead-letter", *letters)
    monkeypatch.setattr(queues, "_MOST", 6)
    waiting = look(config_of(stage), 30)
    text = f"{stage.queue}.dead-letter: the limit is reached after 2 of 9 notifications"
    assert waiting.unseen == [text]
    assert where(waiting, "redhat:3") == (DELAYED, "")
    waiting = look(config_of(stage), 0)
    assert (
        waiting.unseen[0] == f"{stage.queue}.retry.1h: the time is over after 1 of 4 notifications"
    )
    assert sorted(taken(stage, f"{stage.queue}.dead-letter")) == sorted(letters)
    assert stage.waiting(f"{stage.queue}.retry.1h") == 4


def test_without_a_broker_nothing_is_known(stage: Scene) -> None:
    """An error, and not an empty result."""
    with pytest.raises(Unavailable, match="can't connect"):
        look(dataclasses.replace(config_of(stage), port=1), 30)


#: The delay of a short retry queue, in milliseconds.
_SHORT = 400


@contextlib.contextmanager
def short_lived(stage: Scene, kind: str) -> Iterator[tuple[str, list[bytes]]]:
    """Yield a retry queue with a short delay, and the bodies in it."""
    ensure = of_quorum if kind == "quorum" else dict
    arguments = retry_arguments(stage.queue)[f"{stage.queue}.retry.5s"] | {"x-message-ttl": _SHORT}
    queue = f"{stage.queue}.short"
    with stage.channel() as channel:
        channel.queue_declare(queue, durable=True, arguments=ensure(arguments))
        channel.queue_declare(stage.queue, durable=True)
    bodies = [body(f"redhat:{it}") for it in range(MANY)]
    put(stage, queue, *bodies)
    yield queue, bodies


def held(stage: Scene, queue: str) -> subprocess.Popen[str]:
    """Have another process hold all of a queue in flight."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, queue],
        env=complete(needed(stage)),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip().isdecimal()
    return process


@pytest.mark.parametrize("kind", ["quorum", "classic"])
def test_what_expires_in_the_hand_goes_on_when_it_is_given_back(stage: Scene, kind: str) -> None:
    """To the main queue, each once, from a classic queue also in order, but none in flight."""
    with short_lived(stage, kind) as (queue, bodies):
        connection = connect(config_of(stage), "test")
        hand = Hand(connection, queue, {})
        seen = [it for _, _, it in hand.messages()]
        time.sleep(2 * _SHORT / 1000)
        expired = stage.waiting(stage.queue)
        assert len(seen) + expired == MANY, "those that were not in the hand yet"
        hand.give_back()
        close(connection)
        eventually(lambda: stage.waiting(stage.queue) == MANY)
        assert stage.waiting(queue) == 0
        arrived = taken(stage, stage.queue)
        assert Counter(arrived) == Counter(bodies)
        assert kind == "quorum" or arrived == bodies
        assert stage.waiting(stage.queue) == 0


@pytest.mark.parametrize("kind", ["quorum", "classic"])
def test_a_killed_look_loses_nothing(stage: Scene, kind: str) -> None:
    """Notifications in flight go on as if the audit had returned them."""
    with short_lived(stage, kind) as (queue, bodies):
        process = held(stage, queue)
        time.sleep(2 * _SHORT / 1000)
        process.kill()
        process.communicate()
        eventually(lambda: stage.waiting(stage.queue) == MANY)
        assert stage.waiting(queue) == 0
        assert Counter(taken(stage, stage.queue)) == Counter(bodies)


@pytest.mark.parametrize("kind", ["quorum", "classic"])
def test_looks_that_are_killed_again_and_again_lose_nothing(stage: Scene, kind: str) -> None:
    """Killed audits double nothing, at any moment. A daemon still looks up each notification."""
    declare(stage, kind)
    bodies = [body(f"redhat:{it}") for it in range(MANY)]
    for queue in (f"{stage.queue}.retry.1h", f"{stage.queue}.dead-letter"):
        put(stage, queue, *bodies)
    for seconds in (0.05, 0.1, 0.2, 0.4):
        process = subprocess.Popen(
            [sys.executable, "-c", LOOKER],
            env=complete(needed(stage)),
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    for queue in (f"{stage.queue}.retry.1h", f"{stage.queue}.dead-letter"):
        eventually(lambda queue=queue: stage.waiting(queue) == MANY)  # type: ignore[misc]  # no type
        assert Counter(taken(stage, queue)) == Counter(bodies)
