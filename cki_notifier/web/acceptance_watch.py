"""Learns of an alarm of RabbitMQ's also while nothing is published; on a connection of its own.

Of an alarm the broker tells only those that publish, and then hears nothing more from them: so it
is no connection that anything else needs.
"""

import logging
from collections.abc import Callable

from cki_notifier.rabbitmq.acceptance import acceptance
from cki_notifier.rabbitmq.connection import BlockingConnection, ensure_accepting
from cki_notifier.web.watch import Watch

logger = logging.getLogger(__name__)

#: The broker is asked so often, in seconds; and after such a pause when that can't be done, because
#: the broker is away or our user may not publish.
_PERIOD_SECONDS, _PAUSE_SECONDS = 5.0, 15.0


class AcceptanceWatch:
    """Asks in a thread of its own, which nothing else depends on.

    What it learns is in :data:`cki_notifier.rabbitmq.acceptance.acceptance`.

    Args:
        connect: opens a connection; raises :class:`Unavailable`.
    """

    def __init__(self, connect: Callable[[], BlockingConnection]) -> None:
        self._watch = Watch(connect, "acceptance", _ask, _lost)

    def stop(self) -> None:
        """Have the thread end, without waiting for it."""
        self._watch.stop()

    def join(self, seconds: float) -> None:
        """Wait so long for its end; one that waits for the end of an alarm is left behind."""
        if not acceptance.refusal:
            self._watch.join(seconds)


def _ask(connection: BlockingConnection) -> float:
    ensure_accepting(connection)
    return _PERIOD_SECONDS


def _lost(error: Exception) -> float:
    logger.debug("whether RabbitMQ accepts messages is not known: %s", error)
    return _PAUSE_SECONDS
