"""The daemon: consumer, lanes, pipeline and settling put together, and taken apart in order."""

import logging
import threading
import time
from datetime import UTC, datetime, timedelta
from functools import partial

from cki_notifier.configuration.settings import Config, RabbitMQConfig
from cki_notifier.kafka.sent_events import SentEvents
from cki_notifier.notification.errors import Interrupted, NotifierError
from cki_notifier.notification.models import Ignored, Outcome
from cki_notifier.notification.parse import event_id
from cki_notifier.pipeline import Pipeline
from cki_notifier.rabbitmq.connection import connect
from cki_notifier.rabbitmq.consume import Consumer, Delivery
from cki_notifier.rabbitmq.liveness import Liveness
from cki_notifier.rabbitmq.queues import declare_main, declare_retry_queues, declare_temporary
from cki_notifier.rabbitmq.republish import Republisher
from cki_notifier.rabbitmq.retries import destination_of, history_of
from cki_notifier.telemetry import metrics
from cki_notifier.telemetry.log import FIELDS
from cki_notifier.telemetry.outcomes import Outcomes, Result
from cki_notifier.telemetry.terminal import decision, show
from cki_notifier.workers.deadline import Deadline
from cki_notifier.workers.lanes import Lanes

logger = logging.getLogger(__name__)

#: For all that is done for one notification, in seconds: far below the 30 minutes after which
#: RabbitMQ takes a delivery back that nobody settled.
NOTIFICATION_SECONDS = 600.0


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
        self._sent = SentEvents()
        self._lanes = Lanes(config.in_flight)
        metrics.in_flight.set_function(lambda: self._lanes.running)
        declare = declare_main if config.sends else declare_temporary
        self._consumer = Consumer(
            connect=partial(connect, rabbitmq, "consumer", self.liveness.tick),
            declare=lambda connection: declare(connection, rabbitmq),
            # One that is handled and one that waits, for each worker: nobody runs dry, and a crash
            # gives back no more than this.
            prefetch=2 * config.in_flight,
            deliver=self._deliver,
            liveness=self.liveness,
        )
        self._republisher = Republisher(
            connect=partial(connect, rabbitmq, "republisher"),
            declare=lambda connection: declare_retry_queues(connection, rabbitmq.queue),
            is_current=self._consumer.is_current,
        )

    def run(self) -> None:
        """Consume; after :meth:`stop`, return when what is in flight is done, or time is over."""
        self._consumer.run(self._stopping, self._drained, self._emptied)

    def stop(self) -> None:
        """Take no new work; from any thread."""
        self._stop_by = time.monotonic() + self._config.shutdown_seconds
        self._lanes.stop()
        self._stopping.set()

    def _emptied(self) -> bool:
        """Tell whether all that was handed out is handled."""
        return self._lanes.empty and self._republisher.idle

    def _drained(self) -> bool:
        """Tell whether nothing is in flight any more, or the time for waiting is over."""
        if self._lanes.idle and self._republisher.idle:
            return True
        if time.monotonic() < self._stop_by:
            return False
        logger.warning("time is over; what is in flight still stays in the queue")
        return True

    def _deliver(self, delivery: Delivery) -> None:
        self._lanes.submit(delivery.identity.checkout_id, partial(self._handle, delivery))

    def _handle(self, delivery: Delivery) -> None:
        """Handle a delivery in a worker thread and settle it."""
        if not self._consumer.is_current(delivery):
            return  # it waited while the connection was lost, and is handed out again
        if delivery.redelivered and event_id(delivery.body) in self._sent:
            logger.debug("%s: Kafka has it already", delivery.identity.checkout_id)
            self._consumer.acknowledge(delivery)
            return
        started = time.monotonic()
        try:
            deadline = Deadline(NOTIFICATION_SECONDS, self._stopping)
            outcome = self._pipeline.handle(delivery.body, deadline)
        except Interrupted as error:
            logger.info("%s: %s; it stays in the queue", delivery.identity.checkout_id, error)
        except NotifierError as error:
            self._on_failure(delivery, error, started)
        except Exception as error:  # a bug must not cost a notification: it is tried again
            logger.exception("%s: a bug", delivery.identity.checkout_id)
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
            self._sent.add(event_id(delivery.body))
            if self._config.sends:
                metrics.sent(outcome.stage)
            result = Result("sent", outcome.stage, outcome.merge_request)
        self._settle(delivery, result, started)

    def _on_failure(self, delivery: Delivery, error: Exception, started: float) -> None:
        """Have a copy of what failed put where it belongs; where nothing is sent, only say so."""
        now = datetime.now(UTC)
        history = history_of(
            delivery.properties.headers,
            exchange=delivery.exchange,
            routing_key=delivery.routing_key,
            now=now,
        )
        destination = destination_of(
            error, history, queue=self._queue, retry_for=self._retry_for, now=now
        )
        level = logging.ERROR if destination.is_final else logging.WARNING
        logger.log(
            level, "%s: to be %s: %s", delivery.identity.checkout_id, destination.outcome, error
        )
        result = Result(destination.outcome, destination.reason, error=str(error))
        settle = partial(self._settle, delivery, result, started)
        if self._config.sends:
            self._republisher.put(delivery, destination, settle)
        else:
            show(f"{delivery.identity.checkout_id}: would be {destination.outcome}: {error}")
            settle()

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
