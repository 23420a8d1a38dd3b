"""Copies by queue: a queue that refuses copies blocks no other, and no copy is lost."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from pika.spec import BasicProperties

from cki_notifier.notification.errors import Malformed, Unavailable
from cki_notifier.notification.parse import Identity
from cki_notifier.rabbitmq import republish
from cki_notifier.rabbitmq.acceptance import acceptance
from cki_notifier.rabbitmq.connection import Blocked, Refused
from cki_notifier.rabbitmq.consume import Delivery
from cki_notifier.rabbitmq.queues import DELAYS, dead_letter_queue, delay_queue, retry_arguments
from cki_notifier.rabbitmq.republish import Republisher
from cki_notifier.rabbitmq.retries import Destination, destination_of, history_of
from cki_notifier.telemetry import metrics
from tests.brokers.stage import eventually

QUEUE = "q"
DEAD_LETTERS, SOON, LATER = dead_letter_queue(QUEUE), delay_queue(QUEUE, 5), delay_queue(QUEUE, 30)
NOW = datetime(2026, 11, 20, tzinfo=UTC)
SHARE = 3


class Connection:
    """Is open, and its own channel."""

    is_open = True

    def channel(self) -> "Connection":
        """Return one."""
        return self

    def confirm_delivery(self) -> None:
        """Be asked for confirms."""

    def process_data_events(self, _seconds: float) -> None:
        """Serve no heartbeats."""

    def close(self) -> None:
        """End."""


@dataclass
class Broker:
    """Takes messages, and refuses what a test wants it to.

    Attributes:
        taken: the bodies by queue.
        tried: how often something was published to a queue.
        connects: how often somebody connected.
        answers: called with the body before a queue takes it; may raise, or not return.
    """

    taken: dict[str, list[bytes]] = field(default_factory=dict)
    tried: dict[str, int] = field(default_factory=dict)
    connects: int = 0
    answers: dict[str, Callable[[bytes], None]] = field(default_factory=dict)

    def connect(self) -> Any:
        """Open a connection."""
        self.connects += 1
        connection: Any = Connection()
        return connection

    def publish(self, _channel: Any, queue: str, body: bytes, _properties: Any) -> None:
        """Stand in for publish_to_queue."""
        self.tried[queue] = self.tried.get(queue, 0) + 1
        if queue in self.answers:
            self.answers[queue](body)
        self.taken.setdefault(queue, []).append(body)


def refuses(body: bytes = b"") -> None:
    """Be a queue that is full."""
    raise Refused(f"the queue takes no more messages, {len(body)} bytes", alone=False)


@pytest.fixture(name="broker")
def _broker(monkeypatch: pytest.MonkeyPatch) -> Broker:
    """A broker, and pauses that are short."""
    broker = Broker()
    monkeypatch.setattr(republish, "publish_to_queue", broker.publish)
    monkeypatch.setattr(republish, "most_properties", lambda _channel: 10_000)
    monkeypatch.setattr(republish, "ensure_queue", lambda *_: None)
    monkeypatch.setattr(republish, "_PAUSES", (0.05, 0.1, 0.2))
    monkeypatch.setattr(republish, "_IDLE_SECONDS", 0.02)
    monkeypatch.setattr(republish, "_STUCK_SECONDS", 0.3)
    return broker


@dataclass
class Copies:
    """A republisher, and what is known to be safe."""

    republisher: Republisher
    safe: list[tuple[bytes, Destination]] = field(default_factory=list)

    def put(self, error: Exception, *bodies: bytes, attempts: int = 0) -> None:
        """Have copies of notifications published that failed for a reason, after attempts."""
        for number, body in enumerate(bodies):
            delivery = Delivery(
                connection=1,
                tag=number,
                received=0.0,
                redelivered=False,
                body=body,
                properties=BasicProperties(),
                exchange="",
                routing_key="",
                identity=Identity("redhat:1", "new"),
            )
            headers = {"x-cki-attempts": attempts}
            history = history_of(headers, exchange="e", routing_key="k", now=NOW)
            destination = destination_of(
                error, history, queue=QUEUE, retry_for=timedelta(hours=1), now=NOW
            )
            self.republisher.put(delivery, destination, partial(self.note, body))

    def note(self, body: bytes, destination: Destination) -> None:
        """Be told that a copy is safe."""
        self.safe.append((body, destination))

    def outcomes(self) -> dict[str, int]:
        """Return how many are safe by outcome."""
        found = [it.outcome for _, it in self.safe]
        return {outcome: found.count(outcome) for outcome in set(found)}


@pytest.fixture(name="is_current")
def _is_current() -> list[bool]:
    """Whether the deliveries can still be settled."""
    return [True]


@pytest.fixture(name="copies")
def _copies(broker: Broker, is_current: list[bool]) -> Iterator[Copies]:
    """A republisher with room for three copies before a queue that takes nothing."""
    copies = Copies(Republisher(broker.connect, QUEUE, lambda _: is_current[0], SHARE))
    yield copies
    broker.answers.clear()
    is_current[0] = False  # its threads go on, and shall have nothing to do in the next test
    eventually(lambda: not copies.republisher.waiting)


BAD, DOWN = Malformed("no notification"), Unavailable("datawarehouse", "it answered 500")


def held(queue: str) -> float | None:
    """Return what the metric says of a queue."""
    return metrics.REGISTRY.get_sample_value("cki_notifier_parking_held", {"queue": queue})


def test_a_full_queue_holds_up_no_other(broker: Broker, copies: Copies) -> None:
    """Copies for the retry queue go on while the dead-letter queue refuses them."""
    broker.answers[DEAD_LETTERS] = refuses
    copies.put(BAD, *(b"bad %d" % number for number in range(10)))
    eventually(lambda: copies.republisher.held == 10)
    copies.put(DOWN, b"good")
    eventually(lambda: broker.taken.get(SOON) == [b"good"])
    assert (held(DEAD_LETTERS), held(SOON)) == (10, 0)
    (trouble,) = copies.republisher.troubles
    assert trouble.startswith(f"rabbitmq: 10 copies wait for the queue {DEAD_LETTERS}: ")
    assert "takes no more messages" in trouble


def test_what_a_queue_refuses_is_tried_on_the_same_connection_with_growing_pauses(
    broker: Broker, copies: Copies
) -> None:
    """A refusal is an answer: it causes no reconnect, and nothing spins."""
    broker.answers[DEAD_LETTERS] = refuses
    copies.put(BAD, b"bad")
    eventually(lambda: broker.tried.get(DEAD_LETTERS, 0) >= 4)
    assert broker.connects == 1
    assert broker.tried[DEAD_LETTERS] <= 6
    broker.answers.clear()
    eventually(lambda: broker.taken == {DEAD_LETTERS: [b"bad"]})
    assert (copies.republisher.held, copies.republisher.waiting) == (0, 0)
    assert held(DEAD_LETTERS) == 0


def test_what_is_beyond_the_share_goes_to_a_delay_queue(broker: Broker, copies: Copies) -> None:
    """Nothing is lost: some wait for the queue, the others come back from a delay."""
    broker.answers[DEAD_LETTERS] = refuses
    bodies = [b"bad %d" % number for number in range(10)]
    copies.put(BAD, *bodies)
    eventually(lambda: copies.republisher.held == 10)
    copies.republisher.relieve()
    eventually(lambda: len(copies.safe) == 7)
    assert copies.outcomes() == {"delayed": 7}
    assert sorted(broker.taken[SOON]) == bodies[3:]
    assert "x-cki-reason" not in copies.safe[0][1].headers
    assert copies.safe[0][1].headers["x-cki-attempts"] == 1
    assert copies.republisher.held == SHARE
    broker.answers.clear()
    eventually(lambda: len(copies.safe) == 10)
    assert broker.taken[DEAD_LETTERS] == bodies[:3]


def test_large_copies_that_wait_are_bounded_in_bytes(broker: Broker, copies: Copies) -> None:
    """Two of five megabytes are too much, though they are only two."""
    broker.answers[DEAD_LETTERS] = refuses
    copies.put(BAD, bytes(5 * 1024 * 1024), bytes(5 * 1024 * 1024))
    eventually(lambda: copies.republisher.held == 2)
    assert copies.republisher.bytes == 10 * 1024 * 1024
    copies.republisher.relieve()
    eventually(lambda: copies.outcomes() == {"delayed": 1})
    assert copies.republisher.bytes == 5 * 1024 * 1024


def test_a_full_delay_queue_is_passed_over(broker: Broker, copies: Copies) -> None:
    """The next longer delay takes what it does not."""
    broker.answers[SOON] = refuses
    copies.put(DOWN, *(b"%d" % number for number in range(5)))
    eventually(lambda: copies.republisher.held == 5)
    copies.republisher.relieve()
    eventually(lambda: len(broker.taken.get(LATER, [])) == 2)


def test_when_no_queue_takes_anything_all_is_held(broker: Broker, copies: Copies) -> None:
    """Nobody has a better place, so the notifications stay unacknowledged."""
    for name in retry_arguments(QUEUE):
        broker.answers[name] = refuses
        copies.put(DOWN if name != DEAD_LETTERS else BAD, b"x", b"y", b"z", b"a")
    for _ in range(10):
        copies.republisher.relieve()
        threading.Event().wait(0.05)
    assert copies.safe == []
    assert copies.republisher.waiting == 4 * len(retry_arguments(QUEUE))


def test_when_no_delay_queue_takes_anything_all_is_held(broker: Broker, copies: Copies) -> None:
    """The dead-letter queue is no place to wait, though it takes what belongs there."""
    delays = [name for name in retry_arguments(QUEUE) if name != DEAD_LETTERS]
    for name in delays:
        broker.answers[name] = refuses
    copies.put(DOWN, *(b"%d" % number for number in range(SHARE * len(delays) + 1)))
    for _ in range(10):
        eventually(lambda: copies.republisher.idle)
        copies.republisher.relieve()
    copies.put(BAD, b"bad")
    eventually(lambda: copies.outcomes() == {"dead-lettered": 1})
    assert copies.republisher.held == SHARE * len(delays) + 1


def test_a_confirm_that_never_comes_holds_up_only_its_queue(broker: Broker, copies: Copies) -> None:
    """As that of a quorum queue without a majority; what waits behind it is bounded, too."""
    go_on = threading.Event()

    def wait(_body: bytes) -> None:
        go_on.wait(30)

    broker.answers[DEAD_LETTERS] = wait
    copies.put(BAD, *(b"bad %d" % number for number in range(6)))
    eventually(lambda: copies.republisher.held == 6)
    (trouble,) = copies.republisher.troubles
    assert "RabbitMQ confirms no copy" in trouble
    copies.republisher.relieve()
    eventually(lambda: copies.outcomes() == {"delayed": 3})
    go_on.set()
    eventually(lambda: copies.outcomes() == {"delayed": 3, "dead-lettered": 3})
    assert not copies.republisher.troubles


def test_while_the_broker_accepts_nothing_all_is_held_at_once(
    broker: Broker,
    copies: Copies,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One sentence and one line for all queues, and no pause before it is said; nothing moves."""
    alarm, go_on = Connection(), threading.Event()

    def wait(_body: bytes) -> None:
        acceptance.blocked(alarm, "low on memory")
        go_on.wait(30)
        raise Blocked("rabbitmq", acceptance.refusal)

    monkeypatch.setattr(republish, "_STUCK_SECONDS", 30.0)
    broker.answers[DEAD_LETTERS] = broker.answers[SOON] = wait
    copies.put(BAD, *(b"bad %d" % number for number in range(6)))
    copies.put(DOWN, b"good")
    eventually(lambda: copies.republisher.held == 7)
    refusal = "RabbitMQ accepts no messages: low on memory"
    assert copies.republisher.troubles == [f"rabbitmq: {refusal}; 7 copies wait"]
    copies.republisher.relieve()
    copies.republisher.relieve()
    go_on.set()
    eventually(lambda: broker.connects > 2, what="tried again")
    assert caplog.messages == [f"{refusal}; failed notifications stay in the main queue"]
    acceptance.unblocked(alarm)
    broker.answers.clear()
    eventually(lambda: not copies.republisher.waiting)
    assert copies.outcomes() == {"delayed": 1, "dead-lettered": 6}, "where they belong"
    copies.republisher.relieve()
    assert caplog.messages[1:] == ["RabbitMQ accepts messages again after 0 s"]
    assert copies.republisher.troubles == []


def test_an_alarm_is_told_of_while_nothing_is_held(copies: Copies) -> None:
    """Somebody else learned of it."""
    alarm = Connection()
    acceptance.blocked(alarm, "low on disk")
    assert copies.republisher.troubles == ["rabbitmq: RabbitMQ accepts no messages: low on disk"]
    assert copies.republisher.held == 0
    acceptance.unblocked(alarm)
    assert copies.republisher.troubles == []


def test_one_copy_that_is_refused_does_not_hold_up_those_behind_it(
    broker: Broker, copies: Copies
) -> None:
    """One that is too large for the broker; and it goes nowhere else, where it would not fit."""

    def takes_small_ones(body: bytes) -> None:
        if len(body) > 100:
            raise Refused("message size 101 is larger than configured max size 100", alone=True)

    broker.answers[DEAD_LETTERS] = takes_small_ones
    copies.put(BAD, bytes(101), *(b"%d" % number for number in range(9)))
    eventually(lambda: len(broker.taken.get(DEAD_LETTERS, [])) == 9)
    copies.republisher.relieve()
    assert copies.republisher.held == 1
    assert "larger than configured max size" in copies.republisher.troubles[0]
    broker.answers.clear()
    eventually(lambda: len(copies.safe) == 10)
    assert copies.republisher.troubles == []


def test_a_copy_that_can_not_be_encoded_is_no_end_of_the_process(
    broker: Broker, copies: Copies, caplog: pytest.LogCaptureFixture
) -> None:
    """After any exception the others go on, and the log has it."""

    def chokes(body: bytes) -> None:
        if body == b"strange":
            raise ValueError("no such type")

    broker.answers[DEAD_LETTERS] = chokes
    copies.put(BAD, b"strange", b"plain")
    eventually(lambda: broker.taken == {DEAD_LETTERS: [b"plain"]})
    assert "a bug" in caplog.text
    assert copies.republisher.held == 1


def test_what_the_broker_hands_out_again_is_forgotten(
    broker: Broker, copies: Copies, is_current: list[bool]
) -> None:
    """After the consumer's connection is lost, a copy would double the notification."""
    broker.answers[DEAD_LETTERS] = refuses
    copies.put(BAD, b"1", b"2")
    eventually(lambda: copies.republisher.held == 2)
    is_current[0] = False
    eventually(lambda: not copies.republisher.waiting)
    assert copies.safe == []


def test_a_lost_connection_is_made_anew(broker: Broker, copies: Copies) -> None:
    """And what was under way is published again."""
    failures = [Unavailable("rabbitmq", "the connection is lost")] * 2

    def loses(_body: bytes) -> None:
        if failures:
            raise failures.pop()

    broker.answers[DEAD_LETTERS] = loses
    copies.put(BAD, b"1", b"2")
    eventually(lambda: not copies.republisher.waiting)
    assert broker.taken == {DEAD_LETTERS: [b"1", b"2"]}
    assert broker.connects == 3


def test_without_threads_copies_wait_until_there_are_some(
    broker: Broker, copies: Copies, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a thread for any queue, the republisher holds copies and publishes them later."""
    with monkeypatch.context() as without:

        def refuse(_self: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        without.setattr(threading.Thread, "start", refuse)
        copies.put(BAD, b"bad")
        for attempts in range(len(DELAYS)):
            copies.put(DOWN, b"down", attempts=attempts)
        assert all("can't start new thread" in it for it in copies.republisher.troubles)
        assert copies.republisher.held == 1 + len(DELAYS)
        copies.republisher.relieve()
    copies.republisher.relieve()
    eventually(lambda: broker.taken.keys() == retry_arguments(QUEUE).keys())
    eventually(lambda: not copies.republisher.troubles)
