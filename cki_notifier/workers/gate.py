"""Holds requests back while a service is down, so that an outage makes no storm.

While a service is down as a whole, one request a second is let through to see whether it is back,
and all others wait, with their notifications unacknowledged and in the queue's order. The first
proper answer lets everybody through. One object that can't be had does not close the gate.
"""

import logging
import random
import threading
import time

from cki_notifier.notification.errors import Unavailable
from cki_notifier.telemetry import metrics
from cki_notifier.workers.deadline import Deadline

logger = logging.getLogger(__name__)

#: While a service is down it is asked so often, in seconds; a little is added by chance.
PROBE_SECONDS = 1.0
#: A service that asks for patience is asked less often, but so often at least, in seconds: it may
#: be back sooner than it thought.
LONGEST_PROBE_SECONDS = 10.0
#: Who waits looks up so often, in seconds.
_LOOK_SECONDS = 0.2
#: So many different objects that can't be had, and none that can, mean that the service is down.
_ENOUGH = 3


class Gate:
    """The gate before one service; used by all threads.

    Args:
        service: its name in errors, logs and metrics.
    """

    def __init__(self, service: str) -> None:
        self._service = service
        self._lock = threading.Lock()
        self._failing: set[str] = set()
        self._down_since: float | None = None
        self._next_probe = 0.0

    def enter(self, deadline: Deadline) -> None:
        """Return when it is this caller's turn to ask the service.

        Raises:
            Unavailable: the service is down, and the deadline is reached.
            Interrupted: the process is stopping.
        """
        while not self.may_ask():
            if not deadline.pause(_LOOK_SECONDS):
                raise Unavailable(self._service, "it is down, and nobody is let through to it")

    def may_ask(self) -> bool:
        """Tell whether a caller that will not wait may ask the service now."""
        with self._lock:
            if self._down_since is None:
                return True
            now = time.monotonic()
            if now < self._next_probe:
                return False
            self._next_probe = now + PROBE_SECONDS * random.uniform(1, 1.2)  # noqa: S311  # jitter
            return True

    def passed(self) -> None:
        """Note that the service answered properly, whatever it said."""
        with self._lock:
            was_down, self._down_since = self._down_since, None
            self._failing.clear()
        if was_down is not None:
            logger.warning("%s: back after %.1f s", self._service, time.monotonic() - was_down)
        metrics.connected.labels(self._service).set(1)

    def failed(self, what: str, *, whole: bool, retry_after: float = 0.0) -> None:
        """Note that it did not answer properly.

        Args:
            what: was asked for.
            whole: whether that tells of the service as a whole, and not perhaps of ``what`` alone.
            retry_after: the seconds it asked us to wait.
        """
        with self._lock:
            self._failing.add(what)
            if not whole and len(self._failing) < _ENOUGH:
                return
            self._failing.clear()
            now = time.monotonic()
            if self._down_since is None or retry_after:
                self._next_probe = now + min(retry_after, LONGEST_PROBE_SECONDS)
            if self._down_since is not None:
                return
            self._down_since = now
        logger.warning("%s: down; it is asked about once a second until it is back", self._service)
        metrics.connected.labels(self._service).set(0)
