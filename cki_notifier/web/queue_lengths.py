"""How much waits in our queues, as the broker says; asked on a connection of its own."""

import logging
import time
from collections.abc import Callable, Mapping

from cki_notifier.configuration.shutdown import QUEUE_LENGTHS_SECONDS
from cki_notifier.rabbitmq.connection import BlockingConnection, ready_messages
from cki_notifier.rabbitmq.queues import DELAYS, dead_letter_queue, delay_queue
from cki_notifier.web.watch import Watch

logger = logging.getLogger(__name__)

#: The broker is asked so often, in seconds; and so often while not all is known.
_PERIOD_SECONDS, _PAUSE_SECONDS = 15.0, 2.0
#: An answer older than this is none, in seconds.
_LONGEST_KEPT_SECONDS = 60.0


class QueueLengths:
    """Asks in a thread of its own, which nothing else depends on.

    Args:
        connect: opens a connection; raises :class:`Unavailable`.
        queue: the main queue's name.
    """

    def __init__(self, connect: Callable[[], BlockingConnection], queue: str) -> None:
        self._queues = {
            "main": [queue],
            "delay": [delay_queue(queue, seconds) for seconds in DELAYS],
            "dead-letter": [dead_letter_queue(queue)],
        }
        self._counts: Mapping[str, int] = {}
        self._known_until = 0.0
        self._watch = Watch(connect, "waiting", self._ask, self._lost)

    def counts(self) -> Mapping[str, int]:
        """Return how many messages nobody holds, by queue.

        The keys are ``main``, ``delay`` (for all of them) and ``dead-letter``; what is not known
        now, or not there, is left out.
        """
        return self._counts if time.monotonic() < self._known_until else {}

    def close(self) -> None:
        """End the thread."""
        self._watch.stop()
        self._watch.join(QUEUE_LENGTHS_SECONDS)

    def _ask(self, connection: BlockingConnection) -> float:
        self._counts = self._count(connection)
        self._known_until = time.monotonic() + _LONGEST_KEPT_SECONDS
        is_whole = len(self._counts) == len(self._queues)  # at first they may be missing
        return _PERIOD_SECONDS if is_whole else _PAUSE_SECONDS

    def _lost(self, error: Exception) -> float:
        self._known_until = 0.0
        logger.debug("how much waits is not known: %s", error)
        return _PAUSE_SECONDS

    def _count(self, connection: BlockingConnection) -> Mapping[str, int]:
        counts = {}
        for label, queues in self._queues.items():
            found = [ready_messages(connection, queue) for queue in queues]
            there = [count for count in found if count is not None]
            if there:
                counts[label] = sum(there)
        return counts
