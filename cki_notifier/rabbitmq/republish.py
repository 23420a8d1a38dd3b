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
IsCurrent = Callable[[Delivery], bool]
Confirmed = Callable[[Destination], None]


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
    confirmed: Confirmed
    since: float
    failures: int = 0
    not_before: float = 0.0


class Republisher:
    """Publishes copies, and knows what it can't publish; never makes the caller wait.

    Args:
        connect: opens a connection; raises :class:`Unavailable`.
        queue: the main queue's name.
        is_current: whether a delivery can still be settled; if not, the broker hands it out again,
            and a copy would double it.
        most_waiting: so many copies wait for one queue that takes nothing.
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
        stuck = {name: outbox for name, outbox in self._outboxes.items() if outbox.is_stuck}
        free = self._outboxes.keys() - stuck.keys() - {dead_letter_queue(self._main)}
        for name, outbox in stuck.items():
            outbox.ensure_thread()
            surplus = outbox.surplus(self._most_waiting) if free else []
            if surplus:
                text = "%d copies go to other queues: %s: %s"
                logger.warning(text, len(surplus), name, outbox.trouble)
            for job in surplus:
                ways = detours(job.destination, self._main)
                way = next(it for it in ways if it.queue in free)
                self.put(job.delivery, way, job.confirmed)

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
    """The copies for one queue.

    Attributes:
        failures: how often in a row the queue took nothing.
        not_before: when it may be tried again.
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
        """Have a copy published after those that came before."""
        with self._changed:
            self._waiting.append(job)
            self._changed.notify()
        self.ensure_thread()

    @property
    def waiting(self) -> int:
        """How many copies are not confirmed."""
        return len(self._waiting)

    @property
    def bytes(self) -> int:
        """The bytes of all copies that are not confirmed."""
        with self._changed:
            return sum(len(job.delivery.body) for job in self._waiting)

    @property
    def is_stuck(self) -> bool:
        """Whether the queue takes nothing now."""
        with self._changed:
            if acceptance.refusal or (self.failures and self._waiting):
                return True
            at_work = time.monotonic() - self._at_work_since
            return self._at_work is not None and at_work > _STUCK_SECONDS

    @property
    def held(self) -> int:
        """How many copies can't be put into the queue now."""
        with self._changed:
            is_stuck = self.is_stuck
            return sum(is_stuck or job.failures > 0 for job in self._waiting)

    @property
    def trouble(self) -> str:
        """Why the queue, or one of the copies, can't be served, where that is so."""
        return acceptance.refusal or self._trouble or "it confirms nothing"

    def surplus(self, most: int) -> list[_Copy]:
        """Give up what waits beyond a number, beyond the bytes, or for too long; the last first.

        What was itself refused stays, because no other queue would take it.
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
        """Start the thread if copies wait and there is none, which may fail for now."""
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
            self._done(job)  # the broker hands it out again

    def _next(self) -> _Copy | None:
        """Return the next copy that may be tried, None after some time without one."""
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
            self._failed(self, "it was not accepted", level=logging.DEBUG)  # which is told of once
        except Unavailable as error:
            self._disconnect()
            self._failed(self, str(error))
        except Exception as error:  # whatever it is, it costs this copy a pause and no other
            logger.exception("%s: a bug", job.delivery.identity.checkout_id)
            self._disconnect()
            self._failed(job, f"{type(error).__name__}: {error}")
        else:
            self._done(job)
            job.confirmed(job.destination)

    def _failed(
        self, one: "_Copy | _Outbox", trouble: str, *, level: int = logging.WARNING
    ) -> None:
        """Have one copy, or all of this outbox, tried again after a pause that grows."""
        pause = _PAUSES[min(one.failures, len(_PAUSES) - 1)]
        with self._changed:
            self._trouble = trouble
            self._at_work = None
            one.failures += 1
            one.not_before = time.monotonic() + pause
        logger.log(level, "%s; trying again in %.0f s", trouble, pause)

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
        """Return the channel, on a new connection when there is none (any more)."""
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
            logger.debug("%s; connecting anew when there is something to publish", error)
            self._disconnect()

    def _disconnect(self) -> None:
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None:
            close(connection)


def fitting(properties: BasicProperties, most: int, ours: Mapping[str, Any]) -> BasicProperties:
    """Leave out of a copy's properties what does not fit into one frame of the broker.

    What tells one event from another stays.

    Args:
        properties: of the copy.
        most: so many bytes fit.
        ours: the headers that are kept.
    """
    if sum(map(len, properties.encode())) <= most:
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
