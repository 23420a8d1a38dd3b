"""Learns of an alarm of RabbitMQ's also while nothing is published; on a connection of its own.

Of an alarm the broker tells only those that publish, and then hears nothing more from them: so it
is no connection that anything else needs.
"""

import logging
import threading
import time
from collections.abc import Callable

from cki_notifier.notification.errors import Unavailable
from cki_notifier.rabbitmq.acceptance import acceptance
from cki_notifier.rabbitmq.connection import (
    UNREADABLE,
    BlockingConnection,
    close,
    ensure_accepting,
    translated,
)

logger = logging.getLogger(__name__)

#: The broker is asked so often, in seconds; and after such a pause when that can't be done, because
#: the broker is away or our user may not publish.
_PERIOD_SECONDS, _PAUSE_SECONDS = 5.0, 15.0
#: Heartbeats are served, and the end is noticed, so often, in seconds.
_TICK_SECONDS = 0.2


class AcceptanceWatch:
    """Asks in a thread of its own, which nothing else depends on.

    What it learns is in :data:`cki_notifier.rabbitmq.acceptance.acceptance`.

    Args:
        connect: opens a connection; raises :class:`Unavailable`.
    """

    def __init__(self, connect: Callable[[], BlockingConnection]) -> None:
        self._connect = connect
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="acceptance", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Have the thread end, without waiting for it."""
        self._stopping.set()

    def join(self, seconds: float) -> None:
        """Wait so long for its end; one that waits for the end of an alarm is left behind."""
        if not acceptance.refusal:
            self._thread.join(max(0.0, seconds))

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                with translated():
                    self._watch()
            except (Unavailable, *UNREADABLE) as error:
                logger.debug("whether RabbitMQ accepts messages is not known: %s", error)
                self._stopping.wait(_PAUSE_SECONDS)

    def _watch(self) -> None:
        """Ask again and again, until the end or until the broker is gone."""
        connection = self._connect()
        try:
            while not self._stopping.is_set():
                ensure_accepting(connection)
                end = time.monotonic() + _PERIOD_SECONDS
                while time.monotonic() < end and not self._stopping.is_set():
                    connection.process_data_events(_TICK_SECONDS)
        finally:
            close(connection)
