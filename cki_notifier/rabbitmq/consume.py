"""Consumes the main queue and acknowledges deliveries, in one thread.

The thread does nothing but I/O, so that heartbeats are never late. It passes deliveries on, and
other threads give acknowledgements back, which it batches. A connection number and a delivery tag
identify a delivery. After a reconnect RabbitMQ redelivers everything, so acknowledging a delivery
of an earlier connection does nothing.
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

#: The longest time between two rounds of the loop, in seconds.
TICK_SECONDS = 0.5
#: The interval of binding the queue again, in seconds: somebody may have deleted a binding.
_BIND_SECONDS = 30.0
#: The interval of reads while too much is in memory, in seconds, so that heartbeats go on.
_BRAKED_SECONDS = 1.0
#: RabbitMQ redelivers our notifications after we miss two heartbeats. After this long without data
#: from RabbitMQ, in seconds, we can't tell whether it is about to.
_FENCE_SECONDS = HEARTBEAT_SECONDS
#: A consumer that lasts this long counts as a success, in seconds.
_STEADY_SECONDS = 0.5
#: The time to finish the deliveries of a deleted queue, in seconds.
_ORPHANS_SECONDS = 60.0
#: The pauses between attempts to connect, in seconds; the last one is repeated.
_PAUSES = (0.5, 1, 2, 4, 8)
_AGAIN = "reconnecting until it is back"
_SILENT = f"no data for {_FENCE_SECONDS:g} s"


class Delivery(msgspec.Struct, frozen=True):
    """A notification as RabbitMQ delivered it.

    Attributes:
        connection: the number of our connection, counted from 1.
        tag: the delivery tag there.
        received: when, in the seconds of ``time.monotonic()``.
        redelivered: whether RabbitMQ delivered it before.
        identity: the checkout and the status, as far as known.
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
        """Its unique key."""
        return self.connection, self.tag


class SettledTags:
    """Collects the delivery tags of one channel, which RabbitMQ counts from 1.

    Tags come in nearly the order of the queue, so one acknowledgement mostly settles many. No tag
    waits for that.
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
        """Return the tags to acknowledge now, and count them as done.

        The first value is the tag to acknowledge with all before it (AMQP's ``multiple``), 0 for
        none. The second has further tags, to acknowledge one by one.
        """
        new, self._new = self._new, []
        self._beyond.update(new)
        while self._through + 1 in self._beyond:
            self._through += 1
            self._beyond.remove(self._through)
        # Only new tags: RabbitMQ closes a channel that names a settled one.
        through = max((tag for tag in new if tag <= self._through), default=0)
        return through, tuple(tag for tag in new if tag > self._through)


class Handler(Protocol):
    """Takes the deliveries; called in the I/O thread, so it must never wait."""

    def deliver(self, delivery: Delivery) -> None:
        """Take a delivery."""

    def lose(self) -> None:
        """Note that RabbitMQ redelivers all unsettled deliveries."""

    def look(self) -> None:
        """Do the periodic work, twice a second."""

    def is_overfull(self) -> bool:
        """Return whether too much is in memory to read more."""

    def has_emptied(self) -> bool:
        """Return whether all deliveries are handled."""

    def has_drained(self) -> bool:
        """Return whether the process can end, after the consumer has stopped."""


class Consumer:
    """Consumes a queue until it is told to stop, and reconnects whenever it has to.

    Args:
        connect: opens a connection; raises :class:`Unavailable`.
        queue: to consume.
        handler: takes the deliveries.
        prefetch: the most unsettled deliveries.
        liveness: gets the state of the loop.
        stopping: ends the consuming once it is set.
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
        #: When RabbitMQ last sent data, and how many bytes until then.
        self._heard_at, self._heard = 0.0, 0
        #: Whether RabbitMQ ended our consumer: its queue may be gone, and deliveries only here.
        self.has_orphans = False

    def run(self) -> None:
        """Consume until told to stop, then wait until the handler has drained."""
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
                logger.info("%s; reconnecting in %.1f s", error, pause)
                metrics.reconnects.labels("rabbitmq").inc()
                self._stopping.wait(pause)

    def acknowledge(self, delivery: Delivery) -> None:
        """Acknowledge a delivery; from any thread, never waits.

        It ignores a delivery of an earlier connection, which RabbitMQ redelivers.
        """
        with self._lock:
            if delivery.connection != self._number or self._channel is None:
                return
            if not self._settled.add(delivery.tag):
                return  # the pending flush takes this one along
            try:
                with translated():
                    self._channel.connection.add_callback_threadsafe(self._flush)
            except Unavailable as error:
                logger.debug("%s; RabbitMQ redelivers the notification", error)
            self._has_settled.set()

    def is_current(self, delivery: Delivery) -> bool:
        """Return whether a delivery can still be settled."""
        with self._lock:
            return self._channel is not None and delivery.connection == self._number

    def is_ours(self, delivery: Delivery) -> bool | None:
        """Return whether RabbitMQ still leaves a delivery to us, None when that is unknown."""
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
                self._liveness.tick()  # a slow RabbitMQ may take long for the declarations
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
        """Report a problem to the probes, the log and the status page; ``""`` for none."""
        self._liveness.missing = trouble and f"rabbitmq: {trouble}"
        if trouble:
            metrics.connected.fails("rabbitmq", Trouble(trouble, _AGAIN))
        else:
            metrics.connected.works("rabbitmq")

    def _pump(self, channel: BlockingChannel, queue: str) -> None:
        """Do I/O until told to stop, or until RabbitMQ ends the consumer.

        RabbitMQ ends the consumer of a deleted queue silently, and the connection stays open.

        Raises:
            Unavailable: RabbitMQ closed the channel, or sent unreadable data.
        """
        while channel.is_open and channel.consumer_tags and not self._stopping.is_set():
            self._go_round(channel.connection)
            if time.monotonic() > self._next_bind:
                self._bind_again(channel.connection, queue)
        if not channel.is_open:
            raise Unavailable("rabbitmq", "RabbitMQ closed the channel")

    def _go_round(self, connection: BlockingConnection, seconds: float = TICK_SECONDS) -> None:
        """Do I/O once, and the periodic work twice a second.

        Raises:
            Unavailable: the process stood still for so long that RabbitMQ may have redelivered our
                notifications.
        """
        if (seconds_lost := self._liveness.silent_for()) > _FENCE_SECONDS:
            raise Unavailable("rabbitmq", f"this process stood still for {seconds_lost:.0f} s")
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
        """Note how much RabbitMQ has sent by now, and report when it falls silent.

        A silent RabbitMQ may have redelivered our notifications, so we send no message meanwhile.
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
        """Bind the queue again, in case somebody deleted the exchange or a binding."""
        self._next_bind = time.monotonic() + _BIND_SECONDS
        try:
            with translated(), readable():
                self._queue.bind(connection, queue)
        except Unavailable as error:
            if not connection.is_open or isinstance(error.__cause__, UNREADABLE):
                raise
            logger.warning("can't bind the queue: %s", error)
        self._liveness.tick()

    def _finish_orphans(self, connection: BlockingConnection) -> None:
        """Finish the deliveries of an ended consumer, whose queue may be gone.

        Raises:
            Unavailable: RabbitMQ ended the consumer, and the process goes on.
        """
        self.has_orphans = True
        why = "RabbitMQ ended the consumer"
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
        """Acknowledge the deliveries settled since the last flush; in the I/O thread."""
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
    """Return a publisher's name as text; pika leaves one that is not UTF-8 as bytes."""
    return name.decode(errors="replace") if isinstance(name, bytes) else name or ""
