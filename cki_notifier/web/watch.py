"""Asks RabbitMQ something again and again, in a thread and on a connection of its own."""

import threading
import time
from collections.abc import Callable

from cki_notifier.notification.errors import Unavailable
from cki_notifier.rabbitmq.connection import (
    UNREADABLE,
    BlockingConnection,
    close,
    translated,
)

#: Heartbeats are served, and the end is noticed, so often, in seconds.
_TICK_SECONDS = 0.2


class Watch:
    """A thread that asks, which nothing else depends on.

    Args:
        connect: opens a connection; raises :class:`Unavailable`.
        name: of the thread.
        ask: asks, and returns the seconds until the next time.
        lost: told why it could not be asked; returns the seconds until the next try.
    """

    def __init__(
        self,
        connect: Callable[[], BlockingConnection],
        name: str,
        ask: Callable[[BlockingConnection], float],
        lost: Callable[[Exception], float],
    ) -> None:
        self._connect = connect
        self._ask = ask
        self._lost = lost
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Have the thread end, without waiting for it."""
        self._stopping.set()

    def join(self, seconds: float) -> None:
        """Wait so long for its end."""
        self._thread.join(max(0.0, seconds))

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                with translated():
                    self._watch()
            except (Unavailable, *UNREADABLE) as error:
                self._stopping.wait(self._lost(error))

    def _watch(self) -> None:
        """Ask again and again, until the end or until the broker is gone."""
        connection = self._connect()
        try:
            while not self._stopping.is_set():
                end = self._ask(connection) + time.monotonic()
                while time.monotonic() < end and not self._stopping.is_set():
                    connection.process_data_events(_TICK_SECONDS)
        finally:
            close(connection)
