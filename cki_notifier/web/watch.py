"""Asks RabbitMQ again and again: how many messages its queues hold, and whether it accepts any.

Each question has a thread and a connection of its own, which nothing else depends on.
"""

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from threading import Event, Thread
from typing import ClassVar

from cki_notifier.notification.errors import Unavailable
from cki_notifier.rabbitmq.acceptance import acceptance
from cki_notifier.rabbitmq.connection import (
    UNREADABLE,
    BlockingConnection,
    close,
    ensure_accepting,
    ready_messages,
    translated,
)
from cki_notifier.rabbitmq.queues import DELAYS, dead_letter_queue, delay_queue

logger = logging.getLogger(__name__)

#: How often a thread serves heartbeats and looks for the end of the process, in seconds.
_TICK_SECONDS = 0.2
#: How often RabbitMQ is asked for queue lengths, and for its acceptance, in seconds.
_LENGTHS_SECONDS, _ACCEPTANCE_SECONDS = 15.0, 5.0
#: An answer older than this counts as unknown, in seconds.
_LONGEST_KEPT_SECONDS = 60.0


class Watch(ABC):
    """A thread that asks RabbitMQ one question.

    Args:
        connect: opens a connection; raises :class:`Unavailable`.

    Attributes:
        name: of the thread.
        pause_seconds: before the next try, after one that failed.
    """

    name: ClassVar[str]
    pause_seconds: ClassVar[float]

    def __init__(self, connect: Callable[[], BlockingConnection]) -> None:
        self._connect = connect
        self._known_until = 0.0
        self._stopping = Event()
        self._thread = Thread(target=self._run, name=self.name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Tell the thread to end, without waiting for it."""
        self._stopping.set()

    def join(self, seconds: float) -> None:
        """Wait up to this many seconds for its end."""
        self._thread.join(max(0.0, seconds))

    @abstractmethod
    def _ask(self, connection: BlockingConnection) -> float:
        """Ask; return the seconds until the next time."""

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                with translated():
                    self._watch()
            except (Unavailable, *UNREADABLE) as error:
                logger.debug("%s: RabbitMQ does not answer: %s", self.name, error)
                self._known_until = 0.0
                self._stopping.wait(self.pause_seconds)

    def _watch(self) -> None:
        """Ask until the end of the process or of the connection."""
        connection = self._connect()
        try:
            while not self._stopping.is_set():
                end = self._ask(connection) + time.monotonic()
                self._known_until = time.monotonic() + _LONGEST_KEPT_SECONDS
                while time.monotonic() < end and not self._stopping.is_set():
                    connection.process_data_events(_TICK_SECONDS)
        finally:
            close(connection)


class QueueLengths(Watch):
    """The lengths of our queues, as RabbitMQ reports them.

    Args:
        connect: opens a connection; raises :class:`Unavailable`.
        queue: the main queue's name.
    """

    name, pause_seconds = "waiting", 2.0

    def __init__(self, connect: Callable[[], BlockingConnection], queue: str) -> None:
        self._queues = {
            "main": [queue],
            "delay": [delay_queue(queue, seconds) for seconds in DELAYS],
            "dead-letter": [dead_letter_queue(queue)],
        }
        self._counts: Mapping[str, int] = {}
        super().__init__(connect)

    def counts(self) -> Mapping[str, int]:
        """Return how many messages wait, by queue.

        The keys are ``main``, ``delay`` (all retry queues) and ``dead-letter``. An unknown or
        missing queue has no key.
        """
        return self._counts if time.monotonic() < self._known_until else {}

    def _ask(self, connection: BlockingConnection) -> float:
        counts = {}
        for label, queues in self._queues.items():
            found = [ready_messages(connection, queue) for queue in queues]
            there = [count for count in found if count is not None]
            if there:
                counts[label] = sum(there)
        self._counts = counts
        is_whole = len(counts) == len(self._queues)  # they may be missing at first
        return _LENGTHS_SECONDS if is_whole else self.pause_seconds


class AcceptanceWatch(Watch):
    """Notices RabbitMQ's memory or disk alarm even while the daemon publishes nothing.

    RabbitMQ reports an alarm only to connections that publish, and then stops reading from them.
    The result is in :data:`cki_notifier.rabbitmq.acceptance.acceptance`.
    """

    #: Longer: our user may lack the permission to publish, which does not change soon.
    name, pause_seconds = "acceptance", 15.0

    def join(self, seconds: float) -> None:
        """Wait up to this many seconds for its end; during an alarm, leave the thread behind."""
        if not acceptance.refusal:
            super().join(seconds)

    def _ask(self, connection: BlockingConnection) -> float:
        ensure_accepting(connection)
        return _ACCEPTANCE_SECONDS
