"""Whether the process lives, and whether it is ready; asked by whoever runs it."""

import math
import threading
import time
from collections.abc import Callable

from cki_notifier.notification.errors import Unavailable
from cki_notifier.rabbitmq.liveness import Liveness

#: The loop that talks to RabbitMQ rests for no longer than this, in seconds. It looks about twice a
#: second while it is connected, and before each node while it is connecting; with one node, the
#: look-up of its name may take 50 s, connecting 10 s, and a broker that then says no more is given
#: up after 30 s.
_LONGEST_REST_SECONDS = 120.0
#: What Kafka said holds for so long, in seconds.
_KEPT_SECONDS = 5.0


class Health:
    """Answers probes; used by any thread.

    Args:
        liveness: of the loop that talks to RabbitMQ.
        check_kafka: returns when Kafka answers, else raises :class:`Unavailable`, soon; None where
            nothing is sent.
    """

    def __init__(self, liveness: Liveness, check_kafka: Callable[[], None] | None) -> None:
        self.liveness = liveness
        self._check_kafka = check_kafka
        self._lock = threading.Lock()
        self._kafka = ""
        self._kafka_until = -math.inf

    @property
    def lives(self) -> bool:
        """Whether the loop goes round; nothing else is asked."""
        return self.liveness.silent_for() < _LONGEST_REST_SECONDS

    @property
    def kafka(self) -> str:
        """What keeps messages from Kafka, ``""`` when nothing does; known within some seconds."""
        with self._lock:
            if time.monotonic() >= self._kafka_until:
                self._kafka = self._ask_kafka()
                self._kafka_until = time.monotonic() + _KEPT_SECONDS
            return self._kafka

    def missing(self) -> list[str]:
        """Return what is missing for being ready, in a sentence each."""
        held_up = self.liveness.held_up if self.liveness.stands_still else ()
        return [text for text in (self.liveness.missing, self.kafka, *held_up) if text]

    def _ask_kafka(self) -> str:
        try:
            if self._check_kafka is not None:
                self._check_kafka()
        except Unavailable as error:
            return str(error)
        return ""
