"""Consuming a queue of a real RabbitMQ: repairs after deletions, and limits of memory."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from cki_notifier.configuration.settings import RabbitMQConfig, read_config
from cki_notifier.kafka.client import setting_faults
from cki_notifier.rabbitmq import consume
from cki_notifier.rabbitmq.connection import connect
from cki_notifier.rabbitmq.consume import Consumer, Delivery
from cki_notifier.rabbitmq.liveness import Liveness
from cki_notifier.rabbitmq.queues import MainQueue
from tests.brokers.stage import PATIENCE, Stage, eventually
from tests.factories.website import connected
from tools.brokers.proxy import Proxy


class Handler:
    """Keeps the deliveries; acknowledges none by itself."""

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []
        self.overfull = False
        self.looks = 0
        self.liveness = Liveness()

    def deliver(self, delivery: Delivery) -> None:
        """Keep it."""
        self.deliveries.append(delivery)

    def lose(self) -> None:
        """Note that the deliveries are handed out again."""

    def look(self) -> None:
        """Count."""
        self.looks += 1

    def is_overfull(self) -> bool:
        """Tell what the test wants."""
        return self.overfull

    def has_emptied(self) -> bool:
        """Wait for nothing."""
        return True

    def has_drained(self) -> bool:
        """Wait for nothing."""
        return True


@pytest.fixture(name="config")
def _config(stage: Stage) -> RabbitMQConfig:
    """How to reach the stage's broker."""
    config = read_config(
        stage.environment, needs_rabbitmq=True, needs_kafka=True, check_kafka=setting_faults
    )
    assert config.rabbitmq is not None
    return config.rabbitmq


@pytest.fixture(name="handler")
def _handler() -> Handler:
    """A handler that takes the deliveries."""
    return Handler()


@contextmanager
def consuming(config: RabbitMQConfig, handler: Handler, prefetch: int = 100) -> Iterator[Consumer]:
    """Consume in a thread, for as long as the context lasts."""
    liveness, stopping = handler.liveness, threading.Event()
    consumer = Consumer(
        connect=lambda: connect(config, "test"),
        queue=MainQueue(config, is_temporary=False),
        handler=handler,
        prefetch=prefetch,
        liveness=liveness,
        stopping=stopping,
    )
    thread = threading.Thread(target=consumer.run)
    thread.start()
    try:
        eventually(lambda: not liveness.missing, what="a consumer")
        yield consumer
    finally:
        stopping.set()
        thread.join(PATIENCE)
        assert not thread.is_alive()


def _gone(stage: Stage) -> None:
    with stage.channel() as channel:
        channel.exchange_delete(stage.exchange)


def _made_again(stage: Stage) -> None:
    with stage.channel() as channel:
        channel.exchange_delete(stage.exchange)
        channel.exchange_declare(stage.exchange, "topic", durable=True)


def _unbound(stage: Stage) -> None:
    with stage.channel() as channel:
        channel.queue_unbind(stage.queue, stage.exchange, "datawarehouse.#")


@pytest.mark.parametrize("undo", [_gone, _made_again, _unbound])
def test_what_came_undone_is_bound_again(
    stage: Stage,
    config: RabbitMQConfig,
    handler: Handler,
    monkeypatch: pytest.MonkeyPatch,
    undo: Callable[[Stage], None],
) -> None:
    """After somebody deleted them, the daemon soon recreates the exchange and the bindings."""
    monkeypatch.setattr(consume, "_BIND_SECONDS", 0.5)
    with consuming(config, handler):
        undo(stage)

        def arrives() -> bool:
            with stage.channel() as channel:
                channel.exchange_declare(stage.exchange, "topic", durable=True)
                channel.basic_publish(stage.exchange, "datawarehouse.checkout.new", b"after")
            return bool(handler.deliveries)

        eventually(arrives, what="a delivery")
    assert handler.looks


def test_a_delivery_is_ours_while_the_broker_is_heard(
    stage: Stage, config: RabbitMQConfig, handler: Handler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In silence nobody can tell, and the probes say so; at the end of its connection it is not."""
    monkeypatch.setattr(consume, "_FENCE_SECONDS", 2.0)
    with (
        Proxy(config.port) as proxy,
        consuming(replace(config, port=proxy.port), handler) as consumer,
    ):
        stage.publish(b"first")
        first = eventually(lambda: handler.deliveries)[0]
        assert consumer.is_ours(first) is not False
        eventually(lambda: consumer.is_ours(first) is None, what="silence")
        eventually(lambda: handler.liveness.missing == "rabbitmq: no data for 10 s")
        assert connected("rabbitmq") == 0
        stage.publish(b"second")
        eventually(lambda: consumer.is_ours(first) is True, what="a delivery, or a heartbeat")
        eventually(lambda: not handler.liveness.missing)
        assert connected("rabbitmq") == 1
        proxy.cut()
        eventually(lambda: consumer.is_ours(first) is False, what="the end of the connection")


def test_who_stood_still_for_long_connects_anew(
    stage: Stage, config: RabbitMQConfig, handler: Handler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RabbitMQ may have redelivered its notifications, and the first data do not tell."""
    monkeypatch.setattr(consume, "_FENCE_SECONDS", 1.0)
    with consuming(config, handler) as consumer:
        stage.publish(b"held")
        held = eventually(lambda: handler.deliveries)[0]
        monkeypatch.setattr(handler, "look", lambda: time.sleep(1.5))
        eventually(lambda: consumer.is_ours(held) is False, what="another connection")
        monkeypatch.setattr(handler, "look", lambda: None)
        eventually(lambda: len(handler.deliveries) > 1, what="the delivery once more")
        assert handler.deliveries[-1].redelivered


def test_a_binding_that_is_refused_is_no_end_of_the_consuming(
    stage: Stage,
    config: RabbitMQConfig,
    handler: Handler,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """With an exchange of another kind, for example, it logs, retries and goes on consuming."""
    monkeypatch.setattr(consume, "_BIND_SECONDS", 0.2)
    with consuming(config, handler):
        first = len(handler.deliveries)

        def refuse(*_arguments: object) -> None:
            with stage.channel() as channel:
                channel.queue_bind(stage.queue, "no such exchange", "x")

        monkeypatch.setattr(MainQueue, "bind", refuse)
        eventually(lambda: "can't bind the queue" in caplog.text)
        stage.publish(b"still here")
        eventually(lambda: len(handler.deliveries) > first)


def test_a_routing_key_that_is_no_text_becomes_one(
    stage: Stage, config: RabbitMQConfig, handler: Handler
) -> None:
    """It is kept in a header of the copies, which holds text alone."""
    key: Any = b"datawarehouse.\xff"
    with consuming(config, handler):
        with stage.channel() as channel:
            channel.basic_publish(stage.exchange, key, b"odd")
        eventually(lambda: handler.deliveries)
    assert handler.deliveries[0].routing_key == "datawarehouse.\ufffd"


def test_while_memory_is_full_little_is_read_and_the_connection_lives(
    stage: Stage, config: RabbitMQConfig, handler: Handler
) -> None:
    """Of twenty megabytes some hundred kilobytes a second come in; then all the rest."""
    handler.overfull = True
    with consuming(config, handler) as consumer:
        stage.publish(*(bytes(1024 * 1024) for _ in range(20)))
        threading.Event().wait(3)
        assert sum(len(it.body) for it in handler.deliveries) < 4 * 1024 * 1024
        handler.overfull = False
        eventually(lambda: len(handler.deliveries) == 20)
        for delivery in handler.deliveries:
            assert consumer.is_current(delivery)
            consumer.acknowledge(delivery)
        eventually(lambda: stage.waiting(stage.queue) == 0)
    assert stage.waiting(stage.queue) == 0, "all were acknowledged, on the first connection"
