"""RabbitMQ: takes notifications from the queue and acknowledges them. The one thread that may.

The thread does nothing but I/O, so that heartbeats are never late. Deliveries are handed on, and
acknowledgements come back from other threads, gathered. What is in flight is known by connection
and delivery tag: after a reconnect the broker hands everything out again, so that settling a
delivery of an earlier connection is a no-op.
"""

import logging
import random
import threading
import time
from collections.abc import Callable
from math import inf
from typing import Protocol

import msgspec

from cki_notifier.notification.errors import Unavailable
from cki_notifier.notification.parse import Identity
from cki_notifier.rabbitmq.connection import (
    HEARTBEAT_SECONDS,
    UNREADABLE,
    Basic,
    BasicProperties,
    BlockingChannel,
    BlockingConnection,
    acknowledge,
    bytes_received,
    close,
    readable,
    translated,
)
from cki_notifier.rabbitmq.liveness import Liveness
from cki_notifier.rabbitmq.queues import MainQueue
from cki_notifier.telemetry import metrics
from cki_notifier.telemetry.connections import Trouble

logger = logging.getLogger(__name__)

#: The loop looks about at least so often, in seconds.
TICK_SECONDS = 0.5
#: What is bound may have come undone, so it is bound again so often, in seconds.
_BIND_SECONDS = 30.0
#: While too much is in memory, a little is read so often, in seconds, so that heartbeats go on.
_BRAKED_SECONDS = 1.0
#: The broker gives what we hold to somebody else when it hears nothing of us for two heartbeats.
#: When we have heard nothing of it for so long, in seconds, we can't tell whether it is about to.
_FENCE_SECONDS = HEARTBEAT_SECONDS
#: A consumer that was there for so long was no mere attempt, in seconds.
_STEADY_SECONDS = 0.5
#: For what a queue had handed out before it was deleted, in seconds.
_ORPHANS_SECONDS = 60.0
#: The pauses between attempts to connect, in seconds; the last one is repeated.
_PAUSES = (0.5, 1, 2, 4, 8)
_AGAIN = "connecting anew until it is back"
_SILENT = "it says nothing"


class Delivery(msgspec.Struct, frozen=True):
    """A notification as the broker handed it out.

    Attributes:
        connection: which of our connections it came by, counted from 1.
        tag: its number there.
        received: when, in the seconds of ``time.monotonic()``.
        redelivered: whether the broker handed it out before.
        identity: whom it is about, as far as whoever handles it knows.
    """

    connection: int
    tag: int
    received: float
    redelivered: bool
    body: bytes
    properties: BasicProperties
    exchange: str
    routing_key: str
    identity: Identity = Identity()

    @property
    def key(self) -> tuple[int, int]:
        """What tells it from all others."""
        return self.connection, self.tag


class SettledTags:
    """Collects the delivery tags of one channel, which the broker counts from 1.

    Tags are settled in nearly the order of the queue, so that mostly one acknowledgement does for
    many; nothing is held back for that.
    """

    def __init__(self) -> None:
        self._through = 0
        self._new: list[int] = []
        self._beyond: set[int] = set()

    def add(self, tag: int) -> bool:
        """Collect a tag; tell whether it is the first one since :meth:`take`."""
        self._new.append(tag)
        return len(self._new) == 1

    def take(self) -> tuple[int, tuple[int, ...]]:
        """Return what is to be acknowledged now, and count it as done.

        First the tag that is acknowledged together with all before it (AMQP's ``multiple``), 0 for
        none; then further tags, each by itself.
        """
        new, self._new = self._new, []
        self._beyond.update(new)
        while self._through + 1 in self._beyond:
            self._through += 1
            self._beyond.remove(self._through)
        # Not simply all: RabbitMQ closes a channel that names a tag it was told of before.
        through = max((tag for tag in new if tag <= self._through), default=0)
        return through, tuple(tag for tag in new if tag > self._through)


class Handler(Protocol):
    """Whoever takes the deliveries; called in the I/O thread, so it must never wait."""

    def deliver(self, delivery: Delivery) -> None:
        """Take a delivery."""

    def lose(self) -> None:
        """Note that the broker hands out again all that was delivered and is not settled."""

    def look(self) -> None:
        """Do what is to be done twice a second."""

    def is_overfull(self) -> bool:
        """Tell whether nothing more should be read for now."""

    def has_emptied(self) -> bool:
        """Tell whether all that was delivered is handled."""

    def has_drained(self) -> bool:
        """Tell, after the consuming was stopped, whether nothing is waited for any more."""


class Consumer:
    """Consumes a queue until it is told to stop, and connects anew whenever it has to.

    Args:
        connect: opens a connection; raises :class:`Unavailable`.
        queue: is consumed.
        handler: takes the deliveries.
        prefetch: how many deliveries the broker hands out unsettled.
        liveness: is told how the loop does.
        stopping: once it is set, nothing more is consumed.
    """

    def __init__(  # noqa: PLR0913  # all by name
        self,
        *,
        connect: Callable[[], BlockingConnection],
        queue: MainQueue,
        handler: Handler,
        prefetch: int,
        liveness: Liveness,
        stopping: threading.Event,
    ) -> None:
        self._connect = connect
        self._queue = queue
        self._handler = handler
        self._prefetch = prefetch
        self._liveness = liveness
        self._stopping = stopping
        self._lock = threading.Lock()
        self._channel: BlockingChannel | None = None
        self._number = 0
        self._settled = SettledTags()
        self._has_settled = threading.Event()
        self._steady_at = inf
        self._next_look = self._next_bind = 0.0
        #: When the broker sent us something, and how much it had sent until then.
        self._heard_at, self._heard = 0.0, 0
        #: Whether the broker ended our consumer: then what it handed out is nowhere else any more.
        self.has_orphans = False

    def run(self) -> None:
        """Consume until the end, and then until the handler has drained."""
        failures = 0
        while not self._stopping.is_set():
            self._liveness.tick()
            try:
                self._consume()
            except Unavailable as error:
                failures = 0 if time.monotonic() > self._steady_at else failures + 1
                self._forget()
                self._tell(str(error).removeprefix("rabbitmq: "))
                pause = _PAUSES[min(failures, len(_PAUSES) - 1)] * random.uniform(0.8, 1.2)  # noqa: S311  # jitter
                logger.info("%s; connecting anew in %.1f s", error, pause)
                metrics.reconnects.labels("rabbitmq").inc()
                self._stopping.wait(pause)

    def acknowledge(self, delivery: Delivery) -> None:
        """Tell the broker that a delivery is settled; from any thread, and never waiting.

        A delivery of an earlier connection is left alone: the broker hands it out again.
        """
        with self._lock:
            if delivery.connection != self._number or self._channel is None:
                return
            if not self._settled.add(delivery.tag):
                return  # the flush that is under way takes this one along
            try:
                with translated():
                    self._channel.connection.add_callback_threadsafe(self._flush)
            except Unavailable as error:
                logger.debug("%s; the broker hands it out again", error)
            self._has_settled.set()

    def is_current(self, delivery: Delivery) -> bool:
        """Tell whether a delivery can still be settled."""
        with self._lock:
            return self._channel is not None and delivery.connection == self._number

    def is_ours(self, delivery: Delivery) -> bool | None:
        """Tell whether the broker still counts on us for a delivery, None when nobody can know."""
        if not self.is_current(delivery):
            return False
        return True if time.monotonic() - self._heard_at < _FENCE_SECONDS else None

    def _consume(self) -> None:
        with translated():
            connection = self._connect()
            try:
                queue = self._queue.declare(connection)
                self._next_bind = time.monotonic() + _BIND_SECONDS
                channel = connection.channel()
                channel.basic_qos(prefetch_count=self._prefetch)
                self._begin(channel)
                tag = channel.basic_consume(queue, self._on_message)
                logger.info("consuming %s", queue)
                self._steady_at = time.monotonic() + _STEADY_SECONDS
                self._liveness.tick()  # a slow broker may have taken long to declare all that
                self._tell("")
                self._pump(channel, queue)
                self._liveness.missing = "rabbitmq: the process is stopping"
                if channel.consumer_tags:
                    channel.basic_cancel(tag)
                else:
                    self._finish_orphans(connection)
                self._pump_until(connection, self._handler.has_drained)
                self._flush()
            finally:
                close(connection)

    def _begin(self, channel: BlockingChannel) -> None:
        with self._lock:
            self._channel = channel
            self._number += 1
            self._settled = SettledTags()
            self._heard_at, self._heard = time.monotonic(), 0

    def _forget(self) -> None:
        with self._lock:
            self._channel = None
        self.has_orphans = False
        self._steady_at = inf
        self._handler.lose()

    def _tell(self, trouble: str) -> None:
        """Tell the probes, the log and the status page what is wrong; ``""`` for nothing."""
        self._liveness.missing = trouble and f"rabbitmq: {trouble}"
        if trouble:
            metrics.connected.fails("rabbitmq", Trouble(trouble, _AGAIN))
        else:
            metrics.connected.works("rabbitmq")

    def _pump(self, channel: BlockingChannel, queue: str) -> None:
        """Do I/O until told to stop, or until the broker ends the consumer.

        A queue that is deleted ends its consumer without a word while the connection stays open.

        Raises:
            Unavailable: the broker closed the channel, or can't be understood.
        """
        while channel.is_open and channel.consumer_tags and not self._stopping.is_set():
            self._go_round(channel.connection)
            if time.monotonic() > self._next_bind:
                self._bind_again(channel.connection, queue)
        if not channel.is_open:
            raise Unavailable("rabbitmq", "the broker closed our channel")

    def _go_round(self, connection: BlockingConnection, seconds: float = TICK_SECONDS) -> None:
        """Do I/O once, and look about twice a second.

        Raises:
            Unavailable: the process stood still for so long that the broker may have given what we
                hold to somebody else.
        """
        if (seconds_lost := self._liveness.silent_for()) > _FENCE_SECONDS:
            raise Unavailable("rabbitmq", f"we stood still for {seconds_lost:.0f} s")
        self._liveness.tick()
        if time.monotonic() > self._next_look:
            self._handler.look()
            self._next_look = time.monotonic() + TICK_SECONDS
        if self._handler.is_overfull():
            self._has_settled.wait(_BRAKED_SECONDS)
            seconds = 0
        self._has_settled.clear()
        with readable():
            connection.process_data_events(seconds)
        self._listen(bytes_received(connection))

    def _listen(self, heard: int) -> None:
        """Note how much the broker has sent by now, and tell when it falls silent.

        Silent it may have given what we hold to somebody else: nothing of it is sent meanwhile.
        """
        if heard != self._heard:
            if self._liveness.missing == f"rabbitmq: {_SILENT}":
                self._tell("")
            self._heard_at, self._heard = time.monotonic(), heard
        elif not self._liveness.missing and time.monotonic() - self._heard_at > _FENCE_SECONDS:
            self._tell(_SILENT)

    def _pump_until(self, connection: BlockingConnection, done: Callable[[], bool]) -> None:
        while not done():
            self._go_round(connection, TICK_SECONDS / 10)

    def _bind_again(self, connection: BlockingConnection, queue: str) -> None:
        """Bind the queue, in case that somebody deleted the exchange or the bindings."""
        self._next_bind = time.monotonic() + _BIND_SECONDS
        try:
            with translated(), readable():
                self._queue.bind(connection, queue)
        except Unavailable as error:
            if not connection.is_open or isinstance(error.__cause__, UNREADABLE):
                raise
            logger.warning("the queue can't be bound: %s", error)
        self._liveness.tick()

    def _finish_orphans(self, connection: BlockingConnection) -> None:
        """Finish what the consumer was handed: after its queue was deleted it is nowhere else.

        Raises:
            Unavailable: the broker ended the consumer, and the process goes on.
        """
        self.has_orphans = True
        why = "the broker ended our consumer"
        self._tell(why)
        end = time.monotonic() + _ORPHANS_SECONDS
        self._pump_until(
            connection,
            lambda: (
                self._handler.has_emptied() or self._stopping.is_set() or time.monotonic() > end
            ),
        )
        if not self._stopping.is_set():
            raise Unavailable("rabbitmq", why)

    def _on_message(
        self,
        _channel: BlockingChannel,
        method: Basic.Deliver,
        properties: BasicProperties,
        body: bytes,
    ) -> None:
        self._handler.deliver(
            Delivery(
                self._number,
                method.delivery_tag or 0,
                time.monotonic(),
                method.redelivered is True,
                body,
                properties,
                _text(method.exchange),
                _text(method.routing_key),
            )
        )

    def _flush(self) -> None:
        """Acknowledge what was settled since the last time; in the I/O thread."""
        with self._lock:
            through, singly = self._settled.take()
            channel = self._channel
        if channel is None:
            return
        if through:
            acknowledge(channel, through, multiple=True)
        for tag in singly:
            acknowledge(channel, tag)


def _text(name: str | bytes | None) -> str:
    """Return a name that a publisher chose; pika leaves one that is not UTF-8 as bytes."""
    return name.decode(errors="replace") if isinstance(name, bytes) else name or ""
