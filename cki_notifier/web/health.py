"""Liveness and readiness, for the probes."""

import math
import threading
import time
from collections.abc import Callable

from cki_notifier.notification.errors import Unavailable
from cki_notifier.rabbitmq.liveness import Liveness

#: The RabbitMQ loop hangs if it has not run for this long, in seconds. While connected it runs
#: about twice a second; while connecting, before each node. One node can take 90 s: the DNS lookup
#: 50 s, the connection 10 s, and a broker that falls silent 30 s.
_LONGEST_REST_SECONDS = 120.0
#: How long Kafka's answer is reused, in seconds.
_KEPT_SECONDS = 5.0


class Health:
    """Answers probes; used by any thread.

    Args:
        liveness: of the loop that talks to RabbitMQ.
        check_kafka: returns if Kafka answers, else soon raises :class:`Unavailable`; None where no
            messages are sent.
    """

    def __init__(self, liveness: Liveness, check_kafka: Callable[[], None] | None) -> None:
        self.liveness = liveness
        self._check_kafka = check_kafka
        self._lock = threading.Lock()
        self._kafka = ""
        self._kafka_until = -math.inf

    @property
    def lives(self) -> bool:
        """Whether the RabbitMQ loop runs. This asks no dependency."""
        return self.liveness.silent_for() < _LONGEST_REST_SECONDS

    @property
    def kafka(self) -> str:
        """The problem that keeps messages from Kafka, ``""`` for none; some seconds old at most."""
        with self._lock:
            if time.monotonic() >= self._kafka_until:
                self._kafka = self._ask_kafka()
                self._kafka_until = time.monotonic() + _KEPT_SECONDS
            return self._kafka

    def missing(self) -> list[str]:
        """Return a sentence for each problem that keeps the process from being ready."""
        held_up = self.liveness.held_up if self.liveness.stands_still else ()
        return [text for text in (self.liveness.missing, self.kafka, *held_up) if text]

    def _ask_kafka(self) -> str:
        try:
            if self._check_kafka is not None:
                self._check_kafka()
        except Unavailable as error:
            return str(error)
        return ""
