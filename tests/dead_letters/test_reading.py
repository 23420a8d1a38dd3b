"""Dead letters read for the status page, on a real RabbitMQ, without a loss."""

import dataclasses
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from cki_notifier.dead_letters import reading
from cki_notifier.dead_letters.reading import read_letters
from cki_notifier.notification.errors import Unavailable
from cki_notifier.web.letters import Letter, Reading
from tests.brokers.stage import Stage, eventually
from tests.dead_letters.letters import (
    BEGAN,
    about,
    bodies,
    dead_letter,
    declare,
    invalid,
    operator_config,
)


def dead(stage: Stage) -> str:
    """Return the name of the dead-letter queue."""
    return f"{stage.queue}.dead-letter"


def read(stage: Stage, most: int = 200) -> Reading:
    """Read as the page does."""
    return read_letters(operator_config(stage).rabbitmq, most)


def test_letters_are_read_and_all_given_back(stage: Stage) -> None:
    """Each has the list's fields and its body; the oldest come first."""
    declare(stage)
    dead_letter(stage, [about("redhat:2")], invalid(), began=BEGAN + timedelta(hours=1))
    dead_letter(stage, [about("redhat:1", text="é")])
    found = read(stage)
    assert (found.count, found.seen) == (2, 2)
    assert [letter.checkout_id for letter in found.letters] == ["redhat:1", "redhat:2"]
    first = found.letters[0]
    assert first == Letter(
        id=first.id,
        checkout_id="redhat:1",
        status="build_setups_finished",
        reason="malformed",
        sentence="the body is not a valid notification",
        error="the body is no notification",
        attempts=1,
        first_seen=BEGAN,
        exchange=stage.exchange,
        routing_key="datawarehouse.checkout.any",
        bytes=len(about("redhat:1", text="é")),
        body=about("redhat:1", text="é").decode(),
    )
    eventually(lambda: stage.waiting(dead(stage)) == 2)
    assert read(stage) == found
    assert sorted(bodies(stage, dead(stage))) == sorted(
        [about("redhat:1", text="é"), about("redhat:2")]
    )


def test_only_so_much_is_kept(stage: Stage) -> None:
    """The oldest of many, and the beginning of a large body."""
    declare(stage)
    dead_letter(stage, [about(f"redhat:{it}") for it in range(30)][::-1])
    found = read(stage, 5)
    assert (found.count, found.seen, len(found.letters)) == (30, 30, 5)
    assert found.letters[0].checkout_id == "redhat:29"
    dead_letter(stage, [b"\xff" * 100_000], began=BEGAN - timedelta(days=1))
    (large,) = read(stage, 1).letters
    assert (large.bytes, large.body) == (100_000, r"\xff" * 16 * 1024)


def test_more_bytes_than_there_is_memory_for_are_not_looked_at(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The result has the number of letters, and of those seen."""
    monkeypatch.setattr(reading, "_MOST_BYTES", 1000)
    declare(stage)
    dead_letter(stage, [b"x" * 600] * 9)
    found = read(stage)
    assert (found.count, found.seen, len(found.letters)) == (9, 2, 2)
    eventually(lambda: stage.waiting(dead(stage)) == 9)


@pytest.mark.parametrize(
    "arguments",
    [{}, {"x-delivery-limit": 20}, {"x-max-length": 10, "x-overflow": "reject-publish"}],
)
def test_what_would_be_worn_out_is_not_looked_at(stage: Stage, arguments: dict[str, Any]) -> None:
    """A quorum queue declared otherwise may drop letters. The error names the command."""
    declare(stage)
    with stage.channel() as channel:
        channel.queue_delete(dead(stage))
        quorum = {"x-queue-type": "quorum"} | arguments
        channel.queue_declare(dead(stage), durable=True, arguments=quorum)
    dead_letter(stage, [about("redhat:1")])
    with pytest.raises(Unavailable, match=r"may drop letters .* cki-notifier dead-letters list"):
        read(stage)
    (letter,) = stage.take(dead(stage))
    assert not letter.headers.get("x-delivery-count")
    assert read(stage).letters == (), "nothing there can be dropped"


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"x-queue-type": "classic"},
        {"x-max-length": 10, "x-message-ttl": 900_000, "x-overflow": "reject-publish"},
        {"x-dead-letter-exchange": "", "x-expires": 900_000, "x-max-priority": 3},
        {"x-queue-mode": "lazy"},
    ],
)
@pytest.mark.parametrize("durable", [True, False])
def test_a_classic_queue_drops_nothing(
    stage: Stage, arguments: dict[str, Any], *, durable: bool
) -> None:
    """A classic queue does not count deliveries."""
    declare(stage)
    with stage.channel() as channel:
        channel.queue_delete(dead(stage))
        channel.queue_declare(dead(stage), durable=durable, arguments=arguments)
    dead_letter(stage, [about("redhat:1")])
    assert len(read(stage).letters) == 1


def test_who_looks_too_often_is_told(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The broker counts on quorum queues, which a program could drive up."""
    monkeypatch.setattr(reading, "_MOST_LOOKS", 2)
    declare(stage)
    dead_letter(stage, [about("redhat:1")])
    for _ in range(2):
        read(stage)
        eventually(lambda: stage.waiting(dead(stage)) == 1)
    with pytest.raises(Unavailable, match="were delivered 2 times"):
        read(stage)
    eventually(lambda: stage.waiting(dead(stage)) == 1)


def test_there_may_be_no_queue_yet(stage: Stage) -> None:
    """No dead letter ever is fine."""
    with stage.channel() as channel:
        channel.queue_declare(stage.queue)
    assert read(stage) == Reading((), 0, 0)


@pytest.fixture(name="silent")
def _silent() -> Iterator[socket.socket]:
    """A broker that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def test_a_silent_broker_is_not_waited_for(stage: Stage, silent: socket.socket) -> None:
    """Further requests fail instead of piling up."""
    port = silent.getsockname()[1]
    config = dataclasses.replace(operator_config(stage).rabbitmq, hosts=("127.0.0.1",), port=port)
    started = time.monotonic()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(read_letters, config, 10, 1.0)
        eventually(lambda: "dead letters" in {it.name for it in threading.enumerate()})
        with pytest.raises(Unavailable, match="another request is reading"):
            read_letters(config, 10)
        with pytest.raises(Unavailable, match="no answer within 1 s"):
            waiting.result()
    assert time.monotonic() - started < 20
    silent.close()
    eventually(lambda: "dead letters" not in {it.name for it in threading.enumerate()})
