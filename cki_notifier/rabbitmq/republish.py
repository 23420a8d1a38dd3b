"""Publishes copies of failed notifications to the retry queues and the dead-letter queue.

Each queue has an outbox with its own thread and connection, so that a queue that refuses or never
confirms blocks no other. The consumer has a separate connection, because RabbitMQ blocks publishers
when it is low on memory or disk. The outbox retries a copy until RabbitMQ confirms it. Until then
the notification stays unacknowledged, so it is safe. Only a limited number of copies waits for one
queue. Further ones go to a retry queue that accepts them, and come back from there.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from copy import copy
from functools import partial
from typing import Any

from msgspec import Struct

from cki_notifier.notification.errors import Unavailable
from cki_notifier.rabbitmq.acceptance import acceptance
from cki_notifier.rabbitmq.connection import (
    Arguments,
    BasicProperties,
    Blocked,
    BlockingChannel,
    BlockingConnection,
    Refused,
    close,
    ensure_queue,
    most_properties,
    publish_to_queue,
    translated,
)
from cki_notifier.rabbitmq.consume import Delivery
from cki_notifier.rabbitmq.queues import dead_letter_queue, retry_arguments
from cki_notifier.rabbitmq.retries import ERROR, PAST, Destination, detours
from cki_notifier.telemetry import metrics
from cki_notifier.workers.threads import start_vital

logger = logging.getLogger(__name__)

#: The interval of heartbeats without work, in seconds.
_IDLE_SECONDS = 1.0
#: The pauses before each retry of a copy, in seconds; the last one repeats.
_PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
#: A queue that does not confirm a copy for this long counts as refusing, in seconds.
_STUCK_SECONDS = 5.0
#: The longest wait of a copy for its queue, in seconds: far below RabbitMQ's acknowledgement
#: timeout of 30 minutes.
_LONGEST_WAIT_SECONDS = 600.0
#: The limit in bytes for the copies that wait for one queue.
_MOST_BYTES = 8 * 1024 * 1024
#: Headers by which RabbitMQ would route the copy elsewhere, or that it counts itself.
_BROKERS_HEADERS = ("CC", "BCC", "x-death", "x-delivery-count", "x-acquired-count")
_NOT_COPIED = frozenset({*_BROKERS_HEADERS, *PAST})
_BROKERS_PREFIXES = ("x-first-death-", "x-last-death-")
#: The longest error text where RabbitMQ's frames are small, in characters.
_SHORT_ERROR = 200

Connect = Callable[[], BlockingConnection]
IsCurrent = Callable[[Delivery], bool]
Confirmed = Callable[[Destination], None]


class _Copy(Struct, eq=False):
    """A copy to publish.

    Attributes:
        confirmed: called with the destination once RabbitMQ has confirmed the copy.
        since: when it came, in the seconds of ``time.monotonic()``.
        failures: how often RabbitMQ refused this copy itself.
        not_before: the earliest time for a retry.
    """

    delivery: Delivery
    destination: Destination
    confirmed: Confirmed
    since: float
    failures: int = 0
    not_before: float = 0.0


class Republisher:
    """Publishes copies, and knows which ones wait; never makes the caller wait.

    Args:
        connect: opens a connection; raises :class:`Unavailable`.
        queue: the main queue's name.
        is_current: whether a delivery can still be settled; if not, RabbitMQ redelivers it, and a
            copy would be a duplicate.
        most_waiting: the most copies that wait for one refusing queue.
    """

    def __init__(
        self, connect: Connect, queue: str, is_current: IsCurrent, most_waiting: int
    ) -> None:
        self._main = queue
        self._most_waiting = most_waiting
        self._blocked_since: float | None = None
        self._outboxes = {
            name: _Outbox(name, arguments, connect, is_current)
            for name, arguments in retry_arguments(queue).items()
        }
        for name, outbox in self._outboxes.items():
            metrics.held_copies.labels(name).set_function(partial(getattr, outbox, "held"))

    def put(self, delivery: Delivery, destination: Destination, confirmed: Confirmed) -> None:
        """Queue a copy for publishing; from any thread.

        Args:
            delivery: the original.
            destination: of its copy.
            confirmed: called with the final destination once RabbitMQ has confirmed the copy.
        """
        job = _Copy(delivery, destination, confirmed, time.monotonic())
        self._outboxes[destination.queue].put(job)

    @property
    def waiting(self) -> int:
        """The number of unconfirmed copies."""
        return sum(outbox.waiting for outbox in self._outboxes.values())

    @property
    def idle(self) -> bool:
        """Whether all copies are confirmed or held."""
        return self.waiting == self.held

    @property
    def bytes(self) -> int:
        """The bytes of all unconfirmed copies."""
        return sum(outbox.bytes for outbox in self._outboxes.values())

    @property
    def held(self) -> int:
        """The number of copies whose queue refuses them now."""
        return sum(outbox.held for outbox in self._outboxes.values())

    @property
    def troubles(self) -> list[str]:
        """The reasons why copies wait, or would: a sentence for all queues, or for each."""
        if blocked := acceptance.refusal:
            held = self.held
            copies = f"; {held} {'copy waits' if held == 1 else 'copies wait'}" if held else ""
            return [f"rabbitmq: {blocked}{copies}"]
        return [
            f"rabbitmq: {outbox.held} copies wait for the queue {name}: {outbox.trouble}"
            for name, outbox in self._outboxes.items()
            if outbox.held
        ]

    def relieve(self) -> None:
        """Send copies beyond the share of a refusing queue to other queues."""
        self._tell_of_acceptance()
        stuck = {name: outbox for name, outbox in self._outboxes.items() if outbox.is_stuck}
        free = self._outboxes.keys() - stuck.keys() - {dead_letter_queue(self._main)}
        for name, outbox in stuck.items():
            outbox.ensure_thread()
            surplus = outbox.surplus(self._most_waiting) if free else []
            if surplus:
                text = "%d copies for the queue %s go to other queues: %s"
                logger.warning(text, len(surplus), name, outbox.trouble)
            for job in surplus:
                ways = detours(job.destination, self._main)
                way = next(it for it in ways if it.queue in free)
                self.put(job.delivery, way, job.confirmed)

    def _tell_of_acceptance(self) -> None:
        """Log once when RabbitMQ stops accepting messages, and once when it accepts them again."""
        blocked, since = acceptance.refusal, self._blocked_since
        if blocked and since is None:
            self._blocked_since = time.monotonic()
            logger.warning("%s; failed notifications stay in the main queue", blocked)
        elif not blocked and since is not None:
            self._blocked_since = None
            seconds = time.monotonic() - since
            logger.warning("RabbitMQ accepts messages again after %.0f s", seconds)


class _Outbox:
    """The copies for one queue.

    Attributes:
        failures: how often in a row the queue refused a copy.
        not_before: the earliest time for a retry.
    """

    def __init__(
        self, queue: str, arguments: Arguments, connect: Connect, is_current: IsCurrent
    ) -> None:
        self.failures, self.not_before = 0, 0.0
        self._queue = queue
        self._arguments = arguments
        self._connect = connect
        self._is_current = is_current
        self._trouble = ""
        self._changed = threading.Condition()
        self._waiting: list[_Copy] = []
        self._at_work: _Copy | None = None
        self._at_work_since = 0.0
        self._thread: threading.Thread | None = None
        self._connection: BlockingConnection | None = None
        self._channel: BlockingChannel | None = None

    def put(self, job: _Copy) -> None:
        """Queue a copy after the earlier ones."""
        with self._changed:
            self._waiting.append(job)
            self._changed.notify()
        self.ensure_thread()

    @property
    def waiting(self) -> int:
        """The number of unconfirmed copies."""
        return len(self._waiting)

    @property
    def bytes(self) -> int:
        """The bytes of all unconfirmed copies."""
        with self._changed:
            return sum(len(job.delivery.body) for job in self._waiting)

    @property
    def is_stuck(self) -> bool:
        """Whether the queue refuses copies now."""
        with self._changed:
            if acceptance.refusal or (self.failures and self._waiting):
                return True
            at_work = time.monotonic() - self._at_work_since
            return self._at_work is not None and at_work > _STUCK_SECONDS

    @property
    def held(self) -> int:
        """The number of copies that the queue refuses now."""
        with self._changed:
            is_stuck = self.is_stuck
            return sum(is_stuck or job.failures > 0 for job in self._waiting)

    @property
    def trouble(self) -> str:
        """The reason why copies wait, if any do."""
        return acceptance.refusal or self._trouble or "RabbitMQ confirms no copy"

    def surplus(self, most: int) -> list[_Copy]:
        """Return copies beyond a number, beyond the bytes, or too old; the last first.

        A copy that RabbitMQ refused for itself stays, because no other queue would take it.
        """
        given_up: list[_Copy] = []
        too_old = time.monotonic() - _LONGEST_WAIT_SECONDS
        with self._changed:
            for job in self._waiting[::-1]:
                is_too_much = len(self._waiting) > most or self.bytes > _MOST_BYTES
                is_movable = job is not self._at_work and not job.failures
                if is_movable and (is_too_much or job.since < too_old):
                    self._waiting.remove(job)
                    given_up.append(job)
        return given_up

    def ensure_thread(self) -> None:
        """Start the thread if copies wait and none runs; a failure is retried later."""
        with self._changed:
            if self._thread or not self._waiting:
                return
            try:
                self._thread = start_vital(f"copies for {self._queue}", self._work)
            except RuntimeError as error:
                self.failures, self._trouble = 1, str(error)

    def _work(self) -> None:
        while True:
            self._do(self._next())  # in a frame that keeps no copy while it waits

    def _do(self, job: _Copy | None) -> None:
        if job is None:
            self._serve_heartbeats()
        elif self._is_current(job.delivery):
            self._try(job)
        else:
            self._done(job)  # RabbitMQ redelivers the original

    def _next(self) -> _Copy | None:
        """Return the next copy that is due, None after some time without one."""
        with self._changed:
            job = self._due()
            if job is None:
                self._changed.wait(_IDLE_SECONDS)
                job = self._due()
            self._at_work, self._at_work_since = job, time.monotonic()
            return job

    def _due(self) -> _Copy | None:
        now = time.monotonic()
        for job in self._waiting:
            may_be_tried = max(job.not_before, self.not_before) <= now
            if may_be_tried or not self._is_current(job.delivery):
                return job
        return None

    def _try(self, job: _Copy) -> None:
        try:
            self._publish(job)
        except Refused as error:
            self._failed(job if error.alone else self, str(error))
        except Blocked:
            self._disconnect()
            self._failed(self, "RabbitMQ accepted no messages", level=logging.DEBUG)  # warned once
        except Unavailable as error:
            self._disconnect()
            self._failed(self, str(error))
        except Exception as error:  # a bug costs this copy a pause, and no other copy
            logger.exception("%s: a bug", job.delivery.identity.checkout_id)
            self._disconnect()
            self._failed(job, f"{type(error).__name__}: {error}")
        else:
            self._done(job)
            job.confirmed(job.destination)

    def _failed(
        self, one: "_Copy | _Outbox", trouble: str, *, level: int = logging.WARNING
    ) -> None:
        """Schedule a retry of one copy, or of all in this outbox, after a growing pause."""
        pause = _PAUSES[min(one.failures, len(_PAUSES) - 1)]
        with self._changed:
            self._trouble = trouble
            self._at_work = None
            one.failures += 1
            one.not_before = time.monotonic() + pause
        logger.log(level, "%s; retrying in %.0f s", trouble, pause)

    def _done(self, job: _Copy) -> None:
        with self._changed:
            self._waiting.remove(job)
            self._at_work = None
            self.failures, self.not_before = 0, 0.0
            if not any(it.failures for it in self._waiting):
                self._trouble = ""

    def _publish(self, job: _Copy) -> None:
        headers = job.destination.headers
        with translated():
            channel = self._channel_to_publish()
            properties = copied_properties(job.delivery.properties, headers)
            properties = fitting(properties, most_properties(channel), headers)
        publish_to_queue(channel, self._queue, job.delivery.body, properties)

    def _channel_to_publish(self) -> BlockingChannel:
        """Return the channel, on a new connection when none is open."""
        if self._connection is None or not self._connection.is_open:
            self._disconnect()
            self._connection = self._connect()
        channel = self._channel if self._channel and self._channel.is_open else None
        if channel is None or self.failures:  # the queue may be missing
            ensure_queue(self._connection, self._queue, self._arguments)
        if channel is None:
            self._channel = channel = self._connection.channel()
            channel.confirm_delivery()
        return channel

    def _serve_heartbeats(self) -> None:
        try:
            with translated():
                if self._connection is not None:
                    self._connection.process_data_events(0)
        except Unavailable as error:
            logger.debug("%s; reconnecting for the next copy", error)
            self._disconnect()

    def _disconnect(self) -> None:
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None:
            close(connection)


def fitting(properties: BasicProperties, most: int, ours: Mapping[str, Any]) -> BasicProperties:
    """Reduce a copy's properties until they fit into one frame of RabbitMQ.

    The parts of the event id stay.

    Args:
        properties: of the copy.
        most: how many bytes fit.
        ours: the headers to keep.
    """
    if sum(map(len, properties.encode())) <= most:
        return properties
    logger.warning("RabbitMQ's frames are too small: a copy loses the publisher's headers")
    headers = dict(ours)
    if isinstance(text := headers.get(ERROR), str):
        headers[ERROR] = text[:_SHORT_ERROR]
    return BasicProperties(
        content_type=properties.content_type,
        delivery_mode=properties.delivery_mode,
        message_id=properties.message_id,
        timestamp=properties.timestamp,
        headers=headers,
    )


def copied_properties(original: BasicProperties, headers: dict[str, Any]) -> BasicProperties:
    """Return the properties of a copy: the original's, with our new headers.

    RabbitMQ acts on some of them. It would drop a copy at its expiration, refuse another user's id,
    and route a copy by some headers. The copy has the first two as ``x-cki-expiration`` and
    ``x-cki-user-id``, and not the routing headers.
    """
    kept = {
        name: value
        for name, value in (original.headers or {}).items()
        if name not in _NOT_COPIED and not name.startswith(_BROKERS_PREFIXES)
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
