"""Whether RabbitMQ accepts messages: it blocks publishers when it is low on memory or disk.

RabbitMQ sends ``connection.blocked``, an extension of AMQP, when a connection first publishes
during the alarm. Then it reads nothing from that connection until the alarm is over. An alarm of
one node blocks the whole cluster, so the state of one connection is the state of all.
"""

import threading
import time
from weakref import WeakSet

from cki_notifier.telemetry import metrics


class Acceptance:
    """The block as the connections of this process know it; written and read by any thread."""

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
        """Note that RabbitMQ blocks a connection, with RabbitMQ's reason."""
        with self._lock:
            self._blocked.add(connection)
            if not self._reason:
                self._since = time.monotonic()
            self._set(reason or "no reason given")

    def unblocked(self, connection: object) -> None:
        """Note that RabbitMQ accepts messages again."""
        with self._lock:
            self._blocked.discard(connection)
            self._set("")

    def confirmed(self, connection: object, began: float) -> None:
        """Note that RabbitMQ confirmed a message, which ends an alarm that began before it.

        RabbitMQ can still confirm the message that blocks its connection. After a restart of
        RabbitMQ, no connection learns of the end of the alarm.

        Args:
            connection: the message's.
            began: when publishing began, in the seconds of ``time.monotonic()``.
        """
        with self._lock:
            if self._reason and began > self._since and connection not in self._blocked:
                self._set("")

    def _set(self, reason: str) -> None:
        self._reason = reason
        metrics.blocked(reason)


#: This process uses one cluster.
acceptance = Acceptance()
