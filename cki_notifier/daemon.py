"""The daemon: consumer, lanes, pipeline and settling put together, and taken apart in order."""

import logging
import threading
import time
from datetime import UTC, datetime, timedelta
from functools import partial

from msgspec.structs import replace

from cki_notifier.configuration.settings import Config, RabbitMQConfig
from cki_notifier.notification.by_hand import run_told_by
from cki_notifier.notification.errors import Interrupted, NotifierError, Unavailable
from cki_notifier.notification.models import Ignored, Notification, Outcome
from cki_notifier.notification.parse import Envelope, Identity, identify
from cki_notifier.notification.taken import OBJECT_TYPE, taken_by
from cki_notifier.pipeline import Pipeline
from cki_notifier.rabbitmq.connection import connect
from cki_notifier.rabbitmq.consume import Consumer, Delivery
from cki_notifier.rabbitmq.liveness import Liveness
from cki_notifier.rabbitmq.queues import MainQueue, RetryQueues
from cki_notifier.rabbitmq.republish import Republisher
from cki_notifier.rabbitmq.retries import (
    Destination,
    destination_of,
    history_of,
    may_be_repeat,
    unburied,
)
from cki_notifier.telemetry import metrics
from cki_notifier.telemetry.log import FIELDS
from cki_notifier.telemetry.outcomes import Outcomes, Result
from cki_notifier.telemetry.terminal import decision, show
from cki_notifier.workers.deadline import Deadline
from cki_notifier.workers.lanes import Lanes
from cki_notifier.workers.shares import shares_of

logger = logging.getLogger(__name__)

#: For all that is done for one notification, in seconds: far below the 30 minutes after which
#: RabbitMQ takes a delivery back that nobody settled.
NOTIFICATION_SECONDS = 600.0
#: What is handled, and what is put into other queues, is bounded in bytes as well: a notification
#: may have any size.
_MOST_BYTES = 16 * 1024 * 1024


class Daemon:
    """Consumes notifications until it is told to stop.

    Args:
        config: of the whole process.
        rabbitmq: its part for RabbitMQ.
        pipeline: what is done with each notification.
        outcomes: is told what became of each.

    Attributes:
        liveness: how the loop that talks to RabbitMQ does.
    """

    def __init__(
        self, config: Config, rabbitmq: RabbitMQConfig, pipeline: Pipeline, outcomes: Outcomes
    ) -> None:
        self._config = config
        self._queue = rabbitmq.queue
        self._retry_for = timedelta(hours=config.retry_hours)
        self._stop_by = 0.0
        self._pipeline = pipeline
        self._outcomes = outcomes
        self.liveness = Liveness()
        self._stopping = threading.Event()
        self._interrupting = threading.Event()
        self._shares = shares = shares_of(config.in_flight)
        self._lanes = Lanes(config.in_flight, most_behind=shares.behind, most_bytes=_MOST_BYTES)
        metrics.in_flight.set_function(lambda: self._lanes.running)
        self._consumer = Consumer(
            connect=partial(connect, rabbitmq, "consumer", self.liveness.tick),
            queue=MainQueue(rabbitmq, is_temporary=not config.sends),
            handler=self,
            prefetch=shares.prefetch,
            liveness=self.liveness,
        )
        self._republisher = Republisher(
            connect=partial(connect, rabbitmq, "republisher"),
            queues=RetryQueues(rabbitmq.queue),
            is_current=self._consumer.is_current,
            most_waiting=shares.copies,
        )

    def run(self) -> None:
        """Consume; after :meth:`stop`, return when what is in flight is done, or time is over."""
        self._consumer.run(self._stopping)

    def stop(self) -> None:
        """Take no new work; from any thread."""
        self._stop_by = time.monotonic() + self._config.shutdown_seconds
        if not self._consumer.has_orphans:
            self._interrupt()
        self._stopping.set()

    def look(self) -> None:
        """See to the copies that can't be put where they belong, and tell of them."""
        held = self._republisher
        held.relieve()
        self.liveness.held_up = held.troubles
        self.liveness.stands_still = held.held >= self._shares.prefetch or (
            held.held > 0 and held.bytes > _MOST_BYTES
        )

    def is_overfull(self) -> bool:
        """Tell whether the copies that are not confirmed take up too much memory."""
        return self._republisher.bytes > _MOST_BYTES

    def _interrupt(self) -> None:
        """Begin nothing more, and let nobody wait."""
        self._lanes.stop()
        self._interrupting.set()

    def has_emptied(self) -> bool:
        """Tell whether all that was handed out is handled."""
        return not self._lanes.left and not self._republisher.waiting

    def has_drained(self) -> bool:
        """Tell whether nothing is in flight any more, or the time for waiting is over.

        What waits for its turn stays in the queue, unless that was deleted: then it is finished.
        """
        has_orphans = self._consumer.has_orphans and not self._interrupting.is_set()
        if self.has_emptied() if has_orphans else self._lanes.idle and self._republisher.idle:
            return True
        if time.monotonic() < self._stop_by:
            return False
        if has_orphans:
            text = "time is over; %d notifications of a queue that was deleted are lost"
            logger.error(text, self._lanes.left)
        else:
            logger.warning("time is over; what is in flight still stays in the queue")
        self._interrupt()
        return True

    def deliver(self, delivery: Delivery) -> None:
        """Decide about a delivery what needs nothing loaded; have a worker handle it else."""
        try:
            notification, ignored = self._pipeline.begin(delivery.body, _envelope_of(delivery))
        except Exception as error:  # noqa: BLE001  # told apart, and told of, where it is handled
            delivery = replace(delivery, identity=identify(delivery.body))
            self._on_failure(delivery, error, delivery.received)
            return
        identity = Identity(notification.checkout_id, notification.status)
        delivery = replace(delivery, identity=identity)
        if ignored:
            if notification.object_type == OBJECT_TYPE:
                metrics.dead_letters_taken.inc(taken_by(delivery.body))
                if run := run_told_by(delivery.body):
                    metrics.manual_runs.labels(run.outcome).inc()
            self._on_outcome(delivery, ignored, delivery.received)
            return
        handle = partial(self._handle, delivery, notification)
        if refusal := self._lanes.submit(notification.checkout_id, handle, len(delivery.body)):
            held = Unavailable("cki-notifier", refusal, held=True)
            self._on_failure(delivery, held, delivery.received)

    def _handle(self, delivery: Delivery, notification: Notification) -> None:
        """Handle a delivery in a worker thread and settle it."""
        if not self._consumer.is_current(delivery):
            return  # it waited while the connection was lost, and is handed out again
        started = time.monotonic()
        try:
            seconds = delivery.received + NOTIFICATION_SECONDS - started
            is_ours = partial(self._consumer.is_ours, delivery)
            deadline = Deadline(seconds, self._interrupting, self._lanes, is_ours)
            deadline.check()
            outcome = self._pipeline.handle(notification, deadline)
        except Interrupted as error:
            logger.info("%s: %s; it stays in the queue", delivery.identity.checkout_id, error)
        except Exception as error:  # noqa: BLE001  # told apart, and told of, where it is handled
            self._on_failure(delivery, error, started)
        else:
            self._on_outcome(delivery, outcome, started)

    def _on_outcome(self, delivery: Delivery, outcome: Outcome, started: float) -> None:
        if not self._config.sends:
            text = decision(outcome, sends=False)
            show(f"{delivery.identity.checkout_id} {delivery.identity.status}: {text}")
        if isinstance(outcome, Ignored):
            result = Result("ignored", outcome.reason, outcome.merge_request)
        else:
            if outcome.was_there:
                logger.info(
                    "%s: its message is in the topic already", delivery.identity.checkout_id
                )
            elif self._config.sends:
                metrics.sent(outcome.stage)
            result = Result("sent", outcome.stage, outcome.merge_request)
        self._settle(delivery, result, started)

    def _on_failure(self, delivery: Delivery, error: Exception, started: float) -> None:
        """Have a copy of what failed put where it belongs; where nothing is sent, only say so."""
        if not isinstance(error, NotifierError):  # it must not cost a notification: tried again
            logger.error("%s: a bug", delivery.identity.checkout_id, exc_info=error)
        now = datetime.now(UTC)
        history = history_of(
            unburied(delivery.properties.headers, self._queue),
            exchange=delivery.exchange,
            routing_key=delivery.routing_key,
            now=now,
        )
        destination = destination_of(
            error, history, queue=self._queue, retry_for=self._retry_for, now=now
        )
        level = logging.ERROR if destination.is_final else logging.WARNING
        if isinstance(error, Unavailable) and error.held:
            level = logging.INFO  # what holds it is told of once, and there may be many
        logger.log(
            level, "%s: to be %s: %s", delivery.identity.checkout_id, destination.outcome, error
        )
        confirmed = partial(self._on_copy, delivery, error, started)
        if self._config.sends:
            self._republisher.put(delivery, destination, confirmed)
        else:
            show(f"{delivery.identity.checkout_id}: would be {destination.outcome}: {error}")
            confirmed(destination)

    def _on_copy(
        self, delivery: Delivery, error: Exception, started: float, destination: Destination
    ) -> None:
        result = Result(destination.outcome, destination.reason, error=str(error))
        self._settle(delivery, result, started)

    def _settle(self, delivery: Delivery, result: Result, started: float) -> None:
        """Acknowledge what is sent, ignored, or safe in another queue, and tell of it."""
        self._consumer.acknowledge(delivery)
        seconds = time.monotonic() - started
        self._outcomes.add(delivery.identity, result, seconds)
        status, outcome, reason = delivery.identity.status, result.outcome, result.reason
        metrics.settled(status, outcome, reason, seconds)
        values = (delivery.identity.checkout_id, status, outcome, reason, round(seconds, 3))
        logger.info(
            "checkout=%s status=%s outcome=%s reason=%s duration=%.3f",
            *values,
            extra=dict(zip(FIELDS, values, strict=True)),
        )


def _envelope_of(delivery: Delivery) -> Envelope:
    properties = delivery.properties
    return Envelope(
        properties.message_id,
        properties.timestamp,
        may_be_repeat(properties.headers, redelivered=delivery.redelivered),
    )
