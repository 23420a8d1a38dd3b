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

import msgspec

from cki_notifier.notification.errors import Unavailable
from cki_notifier.notification.parse import Identity, identify
from cki_notifier.rabbitmq.acknowledgements import SettledTags
from cki_notifier.rabbitmq.connection import (
    UNREADABLE,
    Basic,
    BasicProperties,
    BlockingChannel,
    BlockingConnection,
    acknowledge,
    close,
    translated,
)
from cki_notifier.rabbitmq.liveness import Liveness
from cki_notifier.telemetry import metrics

logger = logging.getLogger(__name__)

#: The loop looks about at least so often, in seconds.
TICK_SECONDS = 0.5
#: For what a queue had handed out before it was deleted, in seconds.
_ORPHANS_SECONDS = 60.0
#: The pauses between attempts to connect, in seconds; the last one is repeated.
_PAUSES = (0.5, 1, 2, 4, 8)


class Delivery(msgspec.Struct, frozen=True):
    """A notification as the broker handed it out.

    Attributes:
        connection: which of our connections it came by, counted from 1.
        tag: its number there.
        redelivered: whether the broker handed it out before.
        identity: whom it is about.
    """

    connection: int
    tag: int
    redelivered: bool
    body: bytes
    properties: BasicProperties
    exchange: str
    routing_key: str
    identity: Identity


class Consumer:
    """Consumes a queue until it is told to stop, and connects anew whenever it has to.

    Args:
        connect: opens a connection; raises :class:`Unavailable`.
        declare: makes sure that what is to be consumed is there; returns the queue's name.
        prefetch: how many deliveries the broker hands out unsettled.
        deliver: takes each delivery; called in the I/O thread, so it must not wait.
        liveness: is told how the loop does.
    """

    def __init__(
        self,
        connect: Callable[[], BlockingConnection],
        declare: Callable[[BlockingConnection], str],
        prefetch: int,
        deliver: Callable[[Delivery], None],
        liveness: Liveness,
    ) -> None:
        self._connect = connect
        self._declare = declare
        self._prefetch = prefetch
        self._deliver = deliver
        self._liveness = liveness
        self._lock = threading.Lock()
        self._connection: BlockingConnection | None = None
        self._channel: BlockingChannel | None = None
        self._number = 0
        self._settled = SettledTags()

    def run(
        self, stopping: threading.Event, drain: Callable[[], bool], emptied: Callable[[], bool]
    ) -> None:
        """Consume until ``stopping`` is set, then settle what ``drain`` still waits for.

        Args:
            stopping: ends the consuming.
            drain: called again and again after that, until it returns True.
            emptied: whether all that was handed out is handled.
        """
        failures = 0
        while not stopping.is_set():
            self._liveness.tick()
            try:
                self._consume(stopping, drain, emptied)
            except Unavailable as error:
                self._liveness.missing = str(error)
                failures = 0 if self._was_live() else failures + 1
                self._forget()
                pause = _PAUSES[min(failures, len(_PAUSES) - 1)] * random.uniform(0.8, 1.2)  # noqa: S311  # jitter
                logger.warning("%s; connecting anew in %.1f s", error, pause)
                metrics.reconnects.labels("rabbitmq").inc()
                stopping.wait(pause)

    def acknowledge(self, delivery: Delivery) -> None:
        """Tell the broker that a delivery is settled; from any thread, and never waiting.

        A delivery of an earlier connection is left alone: the broker hands it out again.
        """
        with self._lock:
            if delivery.connection != self._number or self._connection is None:
                return
            if not self._settled.add(delivery.tag):
                return  # the flush that is under way takes this one along
            try:
                with translated():
                    self._connection.add_callback_threadsafe(self._flush)
            except Unavailable as error:
                logger.debug("%s; the broker hands it out again", error)

    def is_current(self, delivery: Delivery) -> bool:
        """Tell whether a delivery can still be settled."""
        with self._lock:
            return self._connection is not None and delivery.connection == self._number

    def _consume(
        self, stopping: threading.Event, drain: Callable[[], bool], emptied: Callable[[], bool]
    ) -> None:
        with translated():
            connection = self._connect()
            try:
                queue = self._declare(connection)
                channel = connection.channel()
                channel.basic_qos(prefetch_count=self._prefetch)
                self._begin(connection, channel)
                tag = channel.basic_consume(queue, self._on_message)
                logger.info("consuming %s", queue)
                metrics.connected.labels("rabbitmq").set(1)
                self._liveness.missing = ""
                self._pump(connection, channel, stopping, emptied)
                self._liveness.missing = "rabbitmq: the process is stopping"
                channel.basic_cancel(tag)
                while not drain():
                    self._liveness.tick()
                    connection.process_data_events(TICK_SECONDS / 10)
                self._flush()
            finally:
                close(connection)

    def _begin(self, connection: BlockingConnection, channel: BlockingChannel) -> None:
        with self._lock:
            self._connection = connection
            self._channel = channel
            self._number += 1
            self._settled = SettledTags()

    def _forget(self) -> None:
        with self._lock:
            self._connection = None
        metrics.connected.labels("rabbitmq").set(0)

    def _was_live(self) -> bool:
        with self._lock:
            return self._connection is not None

    def _pump(
        self,
        connection: BlockingConnection,
        channel: BlockingChannel,
        stopping: threading.Event,
        emptied: Callable[[], bool],
    ) -> None:
        """Do I/O until told to stop.

        A queue that is deleted ends its consumer without a word while the connection stays open,
        so a consumer that is gone without our doing is an error. What it was handed before is
        nowhere else any more, so that is finished first.

        Raises:
            Unavailable: the broker ended the consumer.
        """
        while not stopping.is_set():
            self._liveness.tick()
            try:
                connection.process_data_events(TICK_SECONDS)
            except UNREADABLE as error:
                text = f"a frame can't be decoded, {type(error).__name__}: {error}"
                raise Unavailable("rabbitmq", text) from error
            if not channel.is_open:
                raise Unavailable("rabbitmq", "the broker closed our channel")
            if not channel.consumer_tags:
                self._liveness.missing = "rabbitmq: the broker ended our consumer"
                end = time.monotonic() + _ORPHANS_SECONDS
                while not emptied() and time.monotonic() < end:
                    self._liveness.tick()
                    connection.process_data_events(TICK_SECONDS / 10)
                raise Unavailable("rabbitmq", "the broker ended our consumer")

    def _on_message(
        self,
        _channel: BlockingChannel,
        method: Basic.Deliver,
        properties: BasicProperties,
        body: bytes,
    ) -> None:
        self._deliver(
            Delivery(
                self._number,
                method.delivery_tag or 0,
                method.redelivered is True,
                body,
                properties,
                method.exchange or "",
                method.routing_key or "",
                identify(body),
            )
        )

    def _flush(self) -> None:
        """Acknowledge what was settled since the last time; in the I/O thread."""
        with self._lock:
            due = self._settled.take()
            channel = self._channel
        if channel is None:
            return
        if due.through:
            acknowledge(channel, due.through, multiple=True)
        for tag in due.singly:
            acknowledge(channel, tag)
