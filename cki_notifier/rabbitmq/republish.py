"""The delay and dead-letter queues: puts copies of failed notifications there, each confirmed.

It has a connection of its own, because a broker short of memory or disk blocks the connections
that publish, and the consumer must not be blocked. A copy that can't be published is tried again
until it can; until then the notification stays unacknowledged, so that it is safe either way.
"""

import logging
import threading
import time
from collections.abc import Callable
from copy import copy
from queue import Empty, SimpleQueue
from typing import Any

from cki_notifier.notification.errors import Unavailable
from cki_notifier.rabbitmq.connection import (
    BasicProperties,
    BlockingChannel,
    BlockingConnection,
    close,
    publish_to_queue,
    translated,
)
from cki_notifier.rabbitmq.consume import Delivery
from cki_notifier.rabbitmq.retries import Destination
from cki_notifier.workers.threads import start_vital

logger = logging.getLogger(__name__)

#: While there is nothing to do, heartbeats are served so often, in seconds.
_IDLE_SECONDS = 1.0
#: The pause before a copy is tried again, in seconds.
_PAUSE_SECONDS = 1.0
#: Headers by which the broker would route the copy elsewhere, or that it counts itself.
_BROKERS_HEADERS = ("CC", "BCC", "x-death", "x-delivery-count", "x-acquired-count")
_BROKERS_PREFIXES = ("x-first-death-", "x-last-death-")


class Republisher:
    """Publishes copies in a thread of its own, one after the other.

    Args:
        connect: opens a connection; raises :class:`Unavailable`.
        declare: makes sure that the delay and dead-letter queues are there.
        is_current: whether a delivery can still be settled; if not, the broker hands it out again,
            and a copy would double it.
    """

    def __init__(
        self,
        connect: Callable[[], BlockingConnection],
        declare: Callable[[BlockingConnection], None],
        is_current: Callable[[Delivery], bool],
    ) -> None:
        self._connect = connect
        self._declare = declare
        self._is_current = is_current
        self._jobs: SimpleQueue[tuple[Delivery, Destination, Callable[[], None]]] = SimpleQueue()
        self._open = 0
        self._lock = threading.Lock()
        self._connection: BlockingConnection | None = None
        self._channel: BlockingChannel | None = None
        start_vital("republisher", self._work)

    def put(
        self, delivery: Delivery, destination: Destination, confirmed: Callable[[], None]
    ) -> None:
        """Have a copy published; from any thread, and never waiting.

        Args:
            delivery: the original.
            destination: where its copy goes.
            confirmed: called when the copy is safe.
        """
        with self._lock:
            self._open += 1
        self._jobs.put((delivery, destination, confirmed))

    @property
    def idle(self) -> bool:
        """Whether all copies are confirmed."""
        with self._lock:
            return not self._open

    def _work(self) -> None:
        while True:
            try:
                delivery, destination, confirmed = self._jobs.get(timeout=_IDLE_SECONDS)
            except Empty:
                self._serve_heartbeats()
                continue
            if self._publish_until_confirmed(delivery, destination):
                confirmed()
            with self._lock:
                self._open -= 1

    def _publish_until_confirmed(self, delivery: Delivery, destination: Destination) -> bool:
        """Return whether there is a copy now; without one the broker hands out the original."""
        while self._is_current(delivery):
            try:
                with translated():
                    self._publish(delivery, destination)
            except Unavailable as error:
                logger.warning(
                    "%s: can't be put into %s, trying again: %s",
                    delivery.identity.checkout_id,
                    destination.queue,
                    error,
                )
                self._disconnect()
                time.sleep(_PAUSE_SECONDS)
            else:
                return True
        return False

    def _publish(self, delivery: Delivery, destination: Destination) -> None:
        publish_to_queue(
            self._channel_to_publish(),
            destination.queue,
            delivery.body,
            copied_properties(delivery.properties, destination.headers),
        )

    def _channel_to_publish(self) -> BlockingChannel:
        """Return the channel, on a new connection when there is none (any more)."""
        if self._channel is None or not self._channel.is_open:
            self._disconnect()
            self._connection = self._connect()
            self._declare(self._connection)
            self._channel = self._connection.channel()
            self._channel.confirm_delivery()
        return self._channel

    def _serve_heartbeats(self) -> None:
        try:
            with translated():
                if self._connection is not None:
                    self._connection.process_data_events(0)
        except Unavailable as error:
            logger.debug("%s; connecting anew when there is something to publish", error)
            self._disconnect()

    def _disconnect(self) -> None:
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None:
            close(connection)


def copied_properties(original: BasicProperties, headers: dict[str, Any]) -> BasicProperties:
    """Return the properties of a copy: the original's, with our headers.

    Some can't be kept as they are, because the broker acts on them: an expiration would drop the
    copy, a user id is refused from another user, some headers would route it elsewhere. Those a
    reader may want are kept as ``x-cki-expiration`` and ``x-cki-user-id``.
    """
    kept = {
        name: value
        for name, value in (original.headers or {}).items()
        if name not in _BROKERS_HEADERS and not name.startswith(_BROKERS_PREFIXES)
    }
    for name in ("expiration", "user_id"):
        value = getattr(original, name)
        if value is not None:
            kept[f"x-cki-{name.replace('_', '-')}"] = value
    properties = copy(original)
    properties.expiration = properties.user_id = None
    properties.delivery_mode = 2  # persistent
    properties.headers = kept | headers
    return properties
