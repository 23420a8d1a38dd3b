"""The daemon: connects consumer, lanes, pipeline and republisher, and stops them in order."""

import logging
import threading
import time
from datetime import UTC, datetime, timedelta
from functools import partial

from msgspec.structs import replace

from cki_notifier.configuration.settings import Config, RabbitMQConfig
from cki_notifier.dead_letters.letter import letter_id
from cki_notifier.notification.command_words import OBJECT_TYPE, ManualRun, run_told_by, taken_by
from cki_notifier.notification.errors import Interrupted, NotifierError, Unavailable
from cki_notifier.notification.models import Ignored, Notification, Outcome
from cki_notifier.notification.parse import Envelope, Identity, identify
from cki_notifier.notification.reasons import sentence
from cki_notifier.pipeline import Pipeline
from cki_notifier.rabbitmq.connection import connect
from cki_notifier.rabbitmq.consume import Consumer, Delivery
from cki_notifier.rabbitmq.liveness import Liveness
from cki_notifier.rabbitmq.queues import MainQueue
from cki_notifier.rabbitmq.republish import Republisher
from cki_notifier.rabbitmq.retries import (
    FIRST_SEEN,
    Destination,
    History,
    destination_of,
    history_of,
    may_be_repeat,
    unburied,
)
from cki_notifier.rules.explain import SILENT, Trail
from cki_notifier.telemetry import metrics
from cki_notifier.telemetry.log import about, settled
from cki_notifier.telemetry.outcomes import Outcomes, Result
from cki_notifier.telemetry.terminal import decision, show
from cki_notifier.telemetry.unsettled import Delayed, Unsettled
from cki_notifier.workers.deadline import Deadline
from cki_notifier.workers.lanes import Lanes
from cki_notifier.workers.shares import shares_of

logger = logging.getLogger(__name__)

#: The time for one notification, in seconds: far below RabbitMQ's acknowledgement timeout of 30
#: minutes.
NOTIFICATION_SECONDS = 600.0
#: The limits in bytes for notifications in progress, and for unconfirmed copies.
_MOST_BYTES = 16 * 1024 * 1024


class Daemon:
    """Consumes notifications until it is told to stop.

    Args:
        config: of the whole process.
        rabbitmq: its part for RabbitMQ.
        pipeline: handles each notification.
        outcomes: gets the result of each.
        unsettled: gets those in flight.

    Attributes:
        liveness: the state of the loop that talks to RabbitMQ.
    """

    def __init__(
        self,
        config: Config,
        rabbitmq: RabbitMQConfig,
        pipeline: Pipeline,
        outcomes: Outcomes,
        unsettled: Unsettled,
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
        self._unsettled = unsettled
        metrics.in_flight.set_function(lambda: self._lanes.running)
        self._consumer = Consumer(
            connect=partial(connect, rabbitmq, "consumer", self.liveness.tick),
            queue=MainQueue(rabbitmq, is_temporary=not config.sends),
            handler=self,
            prefetch=shares.prefetch,
            liveness=self.liveness,
            stopping=self._stopping,
        )
        self._republisher = Republisher(
            connect=partial(connect, rabbitmq, "republisher"),
            queue=rabbitmq.queue,
            is_current=self._consumer.is_current,
            most_waiting=shares.copies,
        )

    def run(self) -> None:
        """Consume; after :meth:`stop`, return when nothing is in flight, or the time is over."""
        self._consumer.run()

    def stop(self) -> None:
        """Start no new work; from any thread."""
        self._stop_by = time.monotonic() + self._config.shutdown_seconds
        if not self._consumer.has_orphans:
            self._interrupt()
        self._stopping.set()

    def lose(self) -> None:
        """Note that RabbitMQ redelivers the unsettled notifications."""
        self._unsettled.lose()

    def look(self) -> None:
        """Move copies that a queue refuses, and report them."""
        held = self._republisher
        held.relieve()
        self.liveness.held_up = held.troubles
        self.liveness.stands_still = held.held >= self._shares.prefetch or (
            held.held > 0 and held.bytes > _MOST_BYTES
        )

    def is_overfull(self) -> bool:
        """Return whether unconfirmed copies take too much memory."""
        return self._republisher.bytes > _MOST_BYTES

    def _interrupt(self) -> None:
        """Start no new work, and end all waits."""
        self._lanes.stop()
        self._interrupting.set()

    def has_emptied(self) -> bool:
        """Return whether all deliveries are handled."""
        return not self._lanes.left and not self._republisher.waiting

    def has_drained(self) -> bool:
        """Return whether nothing is in flight, or the time to stop is over.

        Notifications that have not begun stay in the queue. If the queue is gone, the daemon
        finishes them.
        """
        has_orphans = self._consumer.has_orphans and not self._interrupting.is_set()
        if self.has_emptied() if has_orphans else self._lanes.idle and self._republisher.idle:
            return True
        if time.monotonic() < self._stop_by:
            return False
        if has_orphans:
            text = "the time to stop is over: %d notifications of the deleted queue are lost"
            logger.error(text, self._lanes.left)
        else:
            logger.warning("the time to stop is over: RabbitMQ redelivers notifications in flight")
        self._interrupt()
        return True

    def deliver(self, delivery: Delivery) -> None:
        """Handle a delivery at once if it needs no request, else in a worker."""
        properties, trail = delivery.properties, Trail()
        is_repeat = may_be_repeat(properties.headers, redelivered=delivery.redelivered)
        envelope = Envelope(properties.message_id, properties.timestamp, is_repeat)
        try:
            notification, ignored = self._pipeline.begin(delivery.body, envelope, trail)
        except Exception as error:  # noqa: BLE001  # _on_failure reports every kind
            delivery = replace(delivery, identity=identify(delivery.body, envelope))
            self._on_failure(delivery, error, delivery.received)
            return
        history = self._history_of(delivery)
        attempt = history.tries + 1
        identity = Identity(
            notification.checkout_id, notification.status, notification.event_id, attempt
        )
        delivery = replace(delivery, identity=identity)
        if ignored:
            if notification.object_type == OBJECT_TYPE:
                metrics.dead_letters_taken.inc(taken_by(delivery.body))
                if run := run_told_by(delivery.body):
                    self._on_manual_run(run)
            self._on_outcome(delivery, ignored, delivery.received, trail)
            return
        self._unsettled.take(delivery.key, identity, history.first_seen)
        handle = partial(self._handle, delivery, notification)
        if refusal := self._lanes.submit(notification.checkout_id, handle, len(delivery.body)):
            held = Unavailable("cki-notifier", refusal, held=True)
            self._on_failure(delivery, held, delivery.received)

    def _on_manual_run(self, run: ManualRun) -> None:
        """Report a run by hand."""
        metrics.manual_runs.labels(run.outcome).inc()
        text = "%s by hand, by %s at %s: checkout=%s status=%s reason=%s"
        when = run.when.isoformat(timespec="seconds")
        values = (run.outcome, run.who, when, run.checkout_id, run.status, run.reason)
        logger.warning(text, *values)
        if sentence(run.outcome, run.reason):
            identity = Identity(run.checkout_id, run.status, run.event_id)
            result = Result(outcome=run.outcome, reason=run.reason, by=run.who)
            self._outcomes.add(identity, result, 0)

    def _handle(self, delivery: Delivery, notification: Notification) -> None:
        """Handle a delivery in a worker thread and settle it."""
        if not self._consumer.is_current(delivery):
            return  # the connection was lost meanwhile, so RabbitMQ redelivers it
        started, trail = time.monotonic(), Trail()
        with about(delivery.identity):
            try:
                seconds = delivery.received + NOTIFICATION_SECONDS - started
                is_ours = partial(self._consumer.is_ours, delivery)
                deadline = Deadline(seconds, self._interrupting, self._lanes, is_ours)
                self._unsettled.begin(delivery.key, deadline)
                deadline.check()
                outcome = self._pipeline.handle(notification, deadline, trail)
            except Interrupted as error:
                logger.info("%s: the notification stays in the queue", error)
            except Exception as error:  # noqa: BLE001  # as above
                self._on_failure(delivery, error, started, trail)
            else:
                self._on_outcome(delivery, outcome, started, trail)

    def _history_of(self, delivery: Delivery) -> History:
        return history_of(
            unburied(delivery.properties.headers, self._queue),
            exchange=delivery.exchange,
            routing_key=delivery.routing_key,
            now=datetime.now(UTC),
        )

    def _on_outcome(
        self, delivery: Delivery, outcome: Outcome, started: float, trail: Trail
    ) -> None:
        if not self._config.sends:
            text = decision(outcome, sends=False)
            show(f"{delivery.identity.checkout_id} {delivery.identity.status}: {text}")
        url, steps = outcome.merge_request, tuple(trail.steps)
        if isinstance(outcome, Ignored):
            result = Result(
                outcome="ignored", reason=outcome.reason, merge_request=url, steps=steps
            )
        else:
            if self._config.sends and not outcome.was_there:
                metrics.sent(outcome.stage)
            result = Result(
                outcome="sent",
                reason=outcome.stage,
                merge_request=url,
                steps=steps,
                was_there=outcome.was_there,
                position=outcome.position,
                message=outcome.message,
            )
        self._settle(delivery, result, started)

    def _on_failure(
        self, delivery: Delivery, error: Exception, started: float, trail: Trail = SILENT
    ) -> None:
        """Have a copy of a failed notification published; a dry run only prints the result."""
        destination = destination_of(
            error,
            self._history_of(delivery),
            queue=self._queue,
            retry_for=self._retry_for,
            now=datetime.now(UTC),
        )
        letter = ""
        if destination.is_final:
            letter = letter_id(destination.headers[FIRST_SEEN], delivery.body)
        failed = Result(
            outcome=destination.outcome,
            reason=destination.reason,
            error=str(error),
            steps=tuple(trail.steps),
            letter=letter,
        )
        with about(delivery.identity):
            _tell(error, failed, destination)
        confirmed = partial(self._on_copy, delivery, failed, started)
        if self._config.sends:
            self._unsettled.copy(delivery.key, destination.queue)
            self._republisher.put(delivery, destination, confirmed)
        else:
            who = delivery.identity.checkout_id or "a notification without an id"
            show(f"{who}: would be {destination.outcome}: {error}")
            confirmed(destination)

    def _on_copy(
        self, delivery: Delivery, failed: Result, started: float, destination: Destination
    ) -> None:
        """Settle a notification whose copy is confirmed, perhaps in another queue than intended."""
        result = replace(failed, outcome=destination.outcome, reason=destination.reason)
        if not destination.is_final:
            until = datetime.now(UTC) + timedelta(seconds=destination.delay)
            result = replace(result, next_try=until, letter="")
            since = datetime.fromisoformat(destination.headers[FIRST_SEEN])
            self._unsettled.delay(Delayed(delivery.identity, since, until, result))
        self._settle(delivery, result, started)

    def _settle(self, delivery: Delivery, result: Result, started: float) -> None:
        """Acknowledge a notification that has its outcome, and report it."""
        self._consumer.acknowledge(delivery)
        self._unsettled.settle(delivery.key)
        seconds = time.monotonic() - started
        self._outcomes.add(delivery.identity, result, seconds)
        metrics.settled(delivery.identity.status, result.outcome, result.reason, seconds)
        settled(delivery.identity, result, seconds)


def _tell(error: Exception, failed: Result, destination: Destination) -> None:
    """Log a failure, at INFO if it is part of an outage that the log has already."""
    if not isinstance(error, NotifierError):  # the notification is retried nevertheless
        logger.error("a bug", exc_info=error)
    fields = {"outcome": failed.outcome, "reason": failed.reason}
    if destination.is_final:
        fields["letter"] = failed.letter
        logger.error("to be dead-lettered as %s: %s", failed.letter, error, extra=fields)
        return
    is_known = isinstance(error, Unavailable) and (
        metrics.connected.affects(error.service, error.host) or error.held
    )
    level = logging.INFO if is_known else logging.WARNING
    logger.log(level, "to be delayed for %d s: %s", destination.delay, error, extra=fields)
