"""What RabbitMQ is asked again and again: how much waits in the queues, and whether it takes any.

Each in a thread and on a connection of its own, which nothing else depends on.
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

#: Heartbeats are served, and the end is noticed, so often, in seconds.
_TICK_SECONDS = 0.2
#: How much waits, and whether messages are accepted, is asked so often, in seconds.
_LENGTHS_SECONDS, _ACCEPTANCE_SECONDS = 15.0, 5.0
#: An answer older than this is none, in seconds.
_LONGEST_KEPT_SECONDS = 60.0


class Watch(ABC):
    """A thread that asks.

    Args:
        connect: opens a connection; raises :class:`Unavailable`.

    Attributes:
        name: of the thread.
        pause_seconds: before it is asked again when that could not be done.
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
        """Have the thread end, without waiting for it."""
        self._stopping.set()

    def join(self, seconds: float) -> None:
        """Wait so long for its end."""
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
                logger.debug("%s: RabbitMQ can't be asked: %s", self.name, error)
                self._known_until = 0.0
                self._stopping.wait(self.pause_seconds)

    def _watch(self) -> None:
        """Ask again and again, until the end or until the broker is gone."""
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
    """How much waits in our queues, as the broker says.

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
        """Return how many messages nobody holds, by queue.

        The keys are ``main``, ``delay`` (for all of them) and ``dead-letter``; what is not known
        now, or not there, is left out.
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
        is_whole = len(counts) == len(self._queues)  # at first they may be missing
        return _LENGTHS_SECONDS if is_whole else self.pause_seconds


class AcceptanceWatch(Watch):
    """Learns of an alarm of RabbitMQ's also while nothing is published.

    Of an alarm the broker tells only those that publish, and then hears nothing more from them.
    What is learned is in :data:`cki_notifier.rabbitmq.acceptance.acceptance`.
    """

    #: Longer: perhaps our user may not publish, which nothing changes soon.
    name, pause_seconds = "acceptance", 15.0

    def join(self, seconds: float) -> None:
        """Wait so long for its end; one that waits for the end of an alarm is left behind."""
        if not acceptance.refusal:
            super().join(seconds)

    def _ask(self, connection: BlockingConnection) -> float:
        ensure_accepting(connection)
        return _ACCEPTANCE_SECONDS
