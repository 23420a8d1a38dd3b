"""The HTTP port as the daemon has it: server, site and what they ask, put together."""

import time
from functools import partial

from cki_notifier.configuration.settings import Config
from cki_notifier.configuration.shutdown import QUEUE_LENGTHS_SECONDS
from cki_notifier.kafka.publish import Publisher
from cki_notifier.rabbitmq.connection import connect
from cki_notifier.rabbitmq.liveness import Liveness
from cki_notifier.telemetry import metrics
from cki_notifier.telemetry.outcomes import Outcomes
from cki_notifier.telemetry.unsettled import Unsettled
from cki_notifier.web.acceptance_watch import AcceptanceWatch
from cki_notifier.web.checkout import Histories
from cki_notifier.web.health import Health
from cki_notifier.web.letters import Letters, Read
from cki_notifier.web.metrics import Metrics
from cki_notifier.web.queue_lengths import QueueLengths
from cki_notifier.web.routes import PROBES, Routes
from cki_notifier.web.server import Server
from cki_notifier.web.status import Status


class Website:
    """Holds the port from the start, so that a fault is seen before anything is connected.

    Args:
        port: its number.

    Raises:
        ConfigurationError: the port is taken, or not ours to take.
    """

    def __init__(self, port: int) -> None:
        self._server = Server(port)
        self._queue_lengths: QueueLengths | None = None
        self._acceptance: AcceptanceWatch | None = None

    def open(  # noqa: PLR0913  # all that the page tells of
        self,
        config: Config,
        liveness: Liveness,
        outcomes: Outcomes,
        unsettled: Unsettled,
        publisher: Publisher | None,
        *,
        letters: Read | None = None,
    ) -> None:
        """Answer requests.

        Args:
            config: of the process.
            liveness: of the loop that talks to RabbitMQ.
            outcomes: the last ones.
            unsettled: what nothing became yet.
            publisher: knows whether Kafka answers; None where nothing is sent.
            letters: reads dead letters when somebody looks at their page; None where they are not
                to be read from here.
        """
        metrics.introduce(config.environment, config.in_flight)
        if config.rabbitmq is not None and config.sends:
            ask = partial(connect, config.rabbitmq, "queue lengths")
            self._queue_lengths = QueueLengths(ask, config.rabbitmq.queue)
            self._acceptance = AcceptanceWatch(partial(connect, config.rabbitmq, "acceptance"))
        health = Health(liveness, publisher.check if publisher else None)
        counts = self._queue_lengths.counts if self._queue_lengths else dict
        routes = Routes(
            health,
            Metrics(counts, unsettled),
            Status(config, health, outcomes, unsettled, counts),
            Histories(config, outcomes, unsettled),
            Letters(letters),
        )
        self._server.start(routes.answer, PROBES)

    def close(self) -> None:
        """Give the port back and end all threads."""
        end = time.monotonic() + QUEUE_LENGTHS_SECONDS
        if self._acceptance is not None:
            self._acceptance.stop()
        if self._queue_lengths is not None:
            self._queue_lengths.close()
        if self._acceptance is not None:
            self._acceptance.join(end - time.monotonic())
        self._server.close()
