"""The delay and dead-letter queues: puts copies of failed notifications there, each confirmed.

Each queue has an outbox with a thread and a connection of its own, so that a queue that takes
nothing, or never confirms, holds up no other. The consumer has another connection, because a broker
short of memory or disk blocks those that publish. A copy that can't be published is tried again
until it can; until then the notification stays unacknowledged, so that it is safe either way. What
waits for one queue is bounded: beyond that a copy goes to a delay queue that takes it, and from
there its notification comes back.
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
    BasicProperties,
    Blocked,
    BlockingChannel,
    BlockingConnection,
    Refused,
    close,
    most_properties,
    publish_to_queue,
    size_of,
    translated,
)
from cki_notifier.rabbitmq.consume import Delivery
from cki_notifier.rabbitmq.queues import RetryQueues
from cki_notifier.rabbitmq.retries import ERROR, PAST, Destination, detours
from cki_notifier.telemetry import metrics
from cki_notifier.workers.threads import start_vital

logger = logging.getLogger(__name__)

#: While there is nothing to do, heartbeats are served so often, in seconds.
_IDLE_SECONDS = 1.0
#: The pauses before a copy is tried again, in seconds; the last one is repeated.
_PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
#: A queue that has not confirmed a copy for so long takes nothing, in seconds.
_STUCK_SECONDS = 5.0
#: So long a copy waits for its queue before it goes elsewhere, in seconds: far less than the 30
#: minutes after which RabbitMQ takes a delivery back that nobody settled.
_LONGEST_WAIT_SECONDS = 600.0
#: What waits for one queue is bounded in bytes as well.
_MOST_BYTES = 8 * 1024 * 1024
#: Headers by which the broker would route the copy elsewhere, or that it counts itself.
_BROKERS_HEADERS = ("CC", "BCC", "x-death", "x-delivery-count", "x-acquired-count")
_NOT_COPIED = frozenset({*_BROKERS_HEADERS, *PAST})
_BROKERS_PREFIXES = ("x-first-death-", "x-last-death-")
#: Where the broker's frames are small, no more of an error's text is kept, in characters.
_SHORT_ERROR = 200

Connect = Callable[[], BlockingConnection]


class _Copy(Struct, eq=False):
    """A copy that is to be published.

    Attributes:
        confirmed: called with where the copy is safe.
        since: when it came, in the seconds of ``time.monotonic()``.
        failures: how often the broker refused this copy, and not its queue.
        not_before: when it may be tried again.
    """

    delivery: Delivery
    destination: Destination
    confirmed: Callable[[Destination], None]
    since: float
    failures: int = 0
    not_before: float = 0.0

    @property
    def size(self) -> int:
        """The bytes it keeps in memory."""
        return len(self.delivery.body)


class Republisher:
    """Publishes copies, and knows what it can't publish; never makes the caller wait.

    Args:
        connect: opens a connection; raises :class:`Unavailable`.
        queues: those that copies go to.
        is_current: whether a delivery can still be settled; if not, the broker hands it out again,
            and a copy would double it.
        most_waiting: so many copies wait for one queue that takes nothing.
    """

    def __init__(
        self,
        connect: Connect,
        queues: RetryQueues,
        is_current: Callable[[Delivery], bool],
        most_waiting: int,
    ) -> None:
        self._main = queues.main
        self._most_waiting = most_waiting
        self._blocked_since: float | None = None
        self._outboxes = {name: _Outbox(name, connect, queues, is_current) for name in queues.names}
        for name, outbox in self._outboxes.items():
            metrics.held_copies.labels(name).set_function(partial(getattr, outbox, "held"))

    def put(
        self,
        delivery: Delivery,
        destination: Destination,
        confirmed: Callable[[Destination], None],
    ) -> None:
        """Have a copy published; from any thread.

        Args:
            delivery: the original.
            destination: where its copy goes.
            confirmed: called when a copy is safe, with where that is.
        """
        job = _Copy(delivery, destination, confirmed, time.monotonic())
        self._outboxes[destination.queue].put(job)

    @property
    def waiting(self) -> int:
        """How many copies are not confirmed."""
        return sum(outbox.waiting for outbox in self._outboxes.values())

    @property
    def idle(self) -> bool:
        """Whether nothing is on its way: all copies are confirmed, or held up."""
        return self.waiting == self.held

    @property
    def bytes(self) -> int:
        """The bytes of all copies that are not confirmed."""
        return sum(outbox.bytes for outbox in self._outboxes.values())

    @property
    def held(self) -> int:
        """How many copies can't be put where they belong now."""
        return sum(outbox.held for outbox in self._outboxes.values())

    @property
    def troubles(self) -> list[str]:
        """What holds copies up, or would: a sentence for all queues, or for each."""
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
        """Send elsewhere what waits for a queue that takes nothing, beyond its share."""
        self._tell_of_acceptance()
        for outbox in self._outboxes.values():
            if not outbox.is_stuck:
                continue
            others = [it for it in self._outboxes.values() if not it.is_stuck]
            if not others:
                return
            surplus = outbox.surplus(self._most_waiting)
            if surplus:
                logger.warning(
                    "%d copies go to other queues: %s: %s",
                    len(surplus),
                    outbox.queue,
                    outbox.trouble,
                )
            for job in surplus:
                possible = {it.queue: it for it in others}
                way = next(
                    it for it in detours(job.destination, self._main) if it.queue in possible
                )
                possible[way.queue].put(_Copy(job.delivery, way, job.confirmed, time.monotonic()))

    def _tell_of_acceptance(self) -> None:
        """Tell once when RabbitMQ begins to accept no messages from anybody, and of the end."""
        blocked, since = acceptance.refusal, self._blocked_since
        if blocked and since is None:
            self._blocked_since = time.monotonic()
            logger.warning("%s; what fails is held, and stays in the main queue", blocked)
        elif not blocked and since is not None:
            self._blocked_since = None
            seconds = time.monotonic() - since
            logger.warning("RabbitMQ accepts messages again after %.0f s", seconds)


class _Outbox:
    """The copies for one queue."""

    def __init__(
        self,
        queue: str,
        connect: Connect,
        queues: RetryQueues,
        is_current: Callable[[Delivery], bool],
    ) -> None:
        self.queue = queue
        self._trouble = ""
        #: Of all copies that are not confirmed, together.
        self.bytes = 0
        self._connect = connect
        self._queues = queues
        self._is_current = is_current
        self._changed = threading.Condition()
        self._waiting: list[_Copy] = []
        self._at_work: _Copy | None = None
        self._since = 0.0
        self._failures = 0
        self._not_before = 0.0
        self._thread: threading.Thread | None = None
        self._connection: BlockingConnection | None = None
        self._channel: BlockingChannel | None = None

    def put(self, job: _Copy) -> None:
        """Have a copy published after those that came before."""
        with self._changed:
            self._waiting.append(job)
            self.bytes += job.size
            self._changed.notify()
        self._ensure_thread()

    @property
    def waiting(self) -> int:
        """How many copies are not confirmed."""
        with self._changed:
            return len(self._waiting)

    @property
    def is_stuck(self) -> bool:
        """Whether the queue takes nothing now."""
        with self._changed:
            return self._is_stuck()

    @property
    def held(self) -> int:
        """How many copies can't be put into the queue now."""
        with self._changed:
            if self._is_stuck():
                return len(self._waiting)
            return sum(job.failures > 0 for job in self._waiting)

    @property
    def trouble(self) -> str:
        """Why the queue, or one of the copies, can't be served; "" when nothing is wrong."""
        return acceptance.refusal or self._trouble

    def surplus(self, most: int) -> list[_Copy]:
        """Give up what waits beyond a number, beyond the bytes, or for too long; the last first.

        What was itself refused stays, because no other queue would take it.
        """
        self._ensure_thread()
        given_up: list[_Copy] = []
        now = time.monotonic()
        with self._changed:
            left, bytes_left = len(self._waiting), self.bytes
            for job in reversed(self._waiting):
                is_late = now - job.since > _LONGEST_WAIT_SECONDS
                if job is self._at_work or job.failures:
                    continue
                if left > most or bytes_left > _MOST_BYTES or is_late:
                    given_up.append(job)
                    left -= 1
                    bytes_left -= job.size
            for job in given_up:
                self._waiting.remove(job)
            self.bytes = bytes_left
        return given_up

    def _is_stuck(self) -> bool:
        if acceptance.refusal:
            return True
        if self._at_work is not None and time.monotonic() - self._since > _STUCK_SECONDS:
            self._trouble = self._trouble or "it confirms nothing"
            return True
        return self._failures > 0 and bool(self._waiting)

    def _ensure_thread(self) -> None:
        """Start the thread, which may fail for now; :meth:`surplus` tries it again."""
        with self._changed:
            if self._thread is not None:
                return
            try:
                self._thread = start_vital(f"copies for {self.queue}", self._work)
            except RuntimeError as error:
                self._failures, self._trouble = 1, str(error)

    def _work(self) -> None:
        while True:
            self._do(self._next())  # in a frame that keeps no copy while it waits

    def _do(self, job: _Copy | None) -> None:
        if job is None:
            self._serve_heartbeats()
        elif self._is_current(job.delivery):
            self._try(job)
        else:
            self._done(job)  # the broker hands it out again

    def _next(self) -> _Copy | None:
        """Return the next copy that may be tried, None after some time without one."""
        with self._changed:
            job = self._due()
            if job is None:
                self._changed.wait(_IDLE_SECONDS)
                job = self._due()
            self._at_work, self._since = job, time.monotonic()
            return job

    def _due(self) -> _Copy | None:
        now = time.monotonic()
        for job in self._waiting:
            if job.not_before <= now and self._not_before <= now:
                return job
            if not self._is_current(job.delivery):
                return job
        return None

    def _try(self, job: _Copy) -> None:
        try:
            self._publish(job)
        except Refused as error:
            self._close_channel()
            self._failed(job if error.alone else None, str(error))
        except Blocked:
            self._disconnect()
            self._failed(None, "it was not accepted", level=logging.DEBUG)  # which is told of once
        except Unavailable as error:
            self._disconnect()
            self._failed(None, str(error))
        except Exception as error:  # whatever it is, it costs this copy a pause and no other
            logger.exception("%s: a bug", job.delivery.identity.checkout_id)
            self._disconnect()
            self._failed(job, f"{type(error).__name__}: {error}")
        else:
            self._done(job)
            job.confirmed(job.destination)

    def _failed(self, job: _Copy | None, trouble: str, *, level: int = logging.WARNING) -> None:
        """Have one copy, or all, tried again after a pause that grows."""
        with self._changed:
            self._trouble = trouble
            self._at_work = None
            if job is not None:
                pause = _pause(job.failures)
                job.failures += 1
                job.not_before = time.monotonic() + pause
            else:
                pause = _pause(self._failures)
                self._failures += 1
                self._not_before = time.monotonic() + pause
        logger.log(level, "%s; trying again in %.0f s", trouble, pause)

    def _done(self, job: _Copy) -> None:
        with self._changed:
            self._waiting.remove(job)
            self.bytes -= job.size
            self._at_work = None
            self._failures, self._not_before = 0, 0.0
            if not any(it.failures for it in self._waiting):
                self._trouble = ""

    def _publish(self, job: _Copy) -> None:
        with translated():
            channel = self._channel_to_publish()
            properties = copied_properties(job.delivery.properties, job.destination.headers)
            properties = fitting(properties, most_properties(channel), job.destination.headers)
        publish_to_queue(channel, self.queue, job.delivery.body, properties)

    def _channel_to_publish(self) -> BlockingChannel:
        """Return the channel, on a new connection when there is none (any more)."""
        if self._connection is None or not self._connection.is_open:
            self._disconnect()
            self._connection = self._connect()
        if self._channel is None or not self._channel.is_open:
            self._queues.declare(self._connection, self.queue)
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

    def _close_channel(self) -> None:
        """Close the channel, so that the queue is declared anew before the next copy."""
        channel, self._channel = self._channel, None
        try:
            with translated():
                if channel is not None and channel.is_open:
                    channel.close()
        except Unavailable as error:
            logger.debug("closing a channel: %s", error)

    def _disconnect(self) -> None:
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None:
            close(connection)


def _pause(failures: int) -> float:
    return _PAUSES[min(failures, len(_PAUSES) - 1)]


def fitting(properties: BasicProperties, most: int, ours: Mapping[str, Any]) -> BasicProperties:
    """Leave out of a copy's properties what does not fit into one frame of the broker.

    What tells one event from another stays.

    Args:
        properties: of the copy.
        most: so many bytes fit.
        ours: the headers that are kept.
    """
    if size_of(properties) <= most:
        return properties
    logger.warning("a copy's other headers are left out: the broker's frames are too small")
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
    """Return the properties of a copy: the original's, with our headers in the place of old ones.

    Some can't be kept as they are, because the broker acts on them: an expiration would drop the
    copy, a user id is refused from another user, some headers would route it elsewhere. Those a
    reader may want are kept as ``x-cki-expiration`` and ``x-cki-user-id``.
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
