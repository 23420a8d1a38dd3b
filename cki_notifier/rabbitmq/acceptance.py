"""Whether RabbitMQ accepts messages: short of memory or disk, it blocks whoever publishes.

It tells a connection so (``connection.blocked``, an extension of AMQP) when that publishes for the
first time while the alarm is on, and reads nothing more from it until the alarm is over. An alarm
of one node holds for the whole cluster, so what one connection is told is true of all of them.
"""

import threading
import time
from weakref import WeakSet

from cki_notifier.telemetry import metrics


class Acceptance:
    """What the connections of this process were told; written and read by any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._blocked: WeakSet[object] = WeakSet()
        self._reason = ""
        self._since = 0.0

    @property
    def refusal(self) -> str:
        """A sentence while RabbitMQ accepts no messages, ``""`` while it does."""
        reason = self._reason
        return f"RabbitMQ accepts no messages: {reason}" if reason else ""

    def blocked(self, connection: object, reason: str) -> None:
        """Note that the broker takes nothing more from a connection, in the broker's words."""
        with self._lock:
            self._blocked.add(connection)
            if not self._reason:
                self._since = time.monotonic()
            self._set(reason or "it does not say why")

    def unblocked(self, connection: object) -> None:
        """Note that the broker takes everything again."""
        with self._lock:
            self._blocked.discard(connection)
            self._set("")

    def confirmed(self, connection: object, began: float) -> None:
        """Note that the broker confirmed a message: then an alarm that began before is over.

        The message with which a connection gets blocked may be confirmed all the same. No
        connection hears of the end of an alarm when the broker was restarted meanwhile.

        Args:
            connection: on which it was published.
            began: when, in the seconds of ``time.monotonic()``.
        """
        with self._lock:
            if self._reason and began > self._since and connection not in self._blocked:
                self._set("")

    def _set(self, reason: str) -> None:
        self._reason = reason
        metrics.blocked(reason)


#: Of this process, which uses one cluster.
acceptance = Acceptance()
