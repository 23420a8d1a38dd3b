"""Holds requests back while a service is down, so that an outage causes no flood of requests.

While a service is down, the gate lets one request a second through as a probe. All others wait in
order. The first proper answer opens the gate. A failure of a single object does not close it.
"""

import random
import threading
import time
from collections import deque

from msgspec.structs import replace

from cki_notifier.notification.errors import Unavailable
from cki_notifier.telemetry import metrics
from cki_notifier.telemetry.connections import Trouble
from cki_notifier.workers.deadline import Deadline

#: The interval of probes, in seconds, plus jitter.
PROBE_SECONDS = 1.0
#: The longest interval of probes, in seconds: for a service that does not answer the probe, or that
#: sends ``Retry-After`` and may be back sooner.
LONGEST_PROBE_SECONDS = 10.0
#: The interval of checks while waiting, in seconds.
_LOOK_SECONDS = 0.2
#: A service is down after failures of this many different objects without a success.
_ENOUGH = 3
_SILENT = Trouble("no answer")


class Gate:
    """The gate of one service; for all threads.

    Args:
        service: its name in errors, logs and metrics.
        host: distinguishes services with the same name.
        most_waiting: how many callers may wait while it is down; None for any number.

    Attributes:
        service, host: the same.
        is_down: whether the gate lets only probes through.
    """

    def __init__(self, service: str, host: str = "", most_waiting: int | None = None) -> None:
        self.service = service
        self.host = host
        self._most_waiting = most_waiting
        self._it = host or "it"
        self._changed = threading.Condition()
        self._line: deque[object] = deque()
        self._failing: set[str] = set()
        self._passed_at = -1.0
        self.is_down = False
        self._asked_at = 0.0
        self._next_probe = 0.0

    def enter(self, deadline: Deadline) -> None:
        """Return when this caller may send a request.

        Raises:
            Unavailable: the service is down, and too many callers wait or the deadline is over.
            Interrupted: the process is stopping.
        """
        with self._changed:
            if self._admits(None):
                return
            if self.is_full:
                raise self._refusal("too many notifications wait for it")
            ticket = object()
            self._line.append(ticket)
        with deadline.waiting(f"{self.service} {self.host}".rstrip() + " is down"):
            try:
                with self._changed:
                    while not self._admits(ticket):
                        deadline.check(self._refusal("the time for this notification is over"))
                        self._changed.wait(_LOOK_SECONDS)
            finally:
                with self._changed:
                    self._line.remove(ticket)
                    self._changed.notify_all()

    def may_ask(self) -> bool:
        """Return whether a caller that does not wait may send a request now."""
        with self._changed:
            return self._admits(None)

    @property
    def is_full(self) -> bool:
        """Whether the service is down, and the most callers wait."""
        with self._changed:
            most = self._most_waiting
            return self.is_down and most is not None and len(self._line) >= most

    def has_passed_since(self, moment: float) -> bool:
        """Return whether the service answered properly after a moment of ``time.monotonic()``."""
        with self._changed:
            return self._passed_at > moment

    def passed(self) -> None:
        """Note a proper answer of the service, with any content."""
        with self._changed:
            self._passed_at = time.monotonic()
            self.is_down = False
            self._failing.clear()
            self._changed.notify_all()
        metrics.connected.works(self.service, self.host)

    def failed(
        self,
        what: str,
        *,
        whole: bool,
        since: float,
        retry_after: float = 0.0,
        trouble: Trouble = _SILENT,
    ) -> None:
        """Note a failure.

        Args:
            what: the requested object.
            whole: whether the failure is the whole service's, and not perhaps that of ``what``. A
                proper answer since the request overrules it.
            since: when the request began, in the seconds of ``time.monotonic()``.
            retry_after: the seconds that the service asked us to wait.
            trouble: the failure. A refusal of our token is reported at once, though the gate stays
                open until there are more failures.
        """
        with self._changed:
            now = time.monotonic()
            patience = min(retry_after, LONGEST_PROBE_SECONDS)
            if self.is_down and not retry_after:
                pause = PROBE_SECONDS * random.uniform(1, 1.2)  # noqa: S311  # jitter
                self._next_probe = max(self._asked_at + pause, now)
            elif self.is_down:
                self._next_probe = now + patience
            else:
                self._failing.add(what)
                tells_of_all = whole and self._passed_at <= since
                if tells_of_all or len(self._failing) >= _ENOUGH:
                    self.is_down = True
                    self._failing.clear()
                    self._next_probe = now + patience
            is_down = self.is_down
        if is_down or trouble.refuses:
            trouble = replace(trouble, again=_again(retry_after))
            metrics.connected.fails(self.service, trouble, self.host)

    def _refusal(self, why: str) -> Unavailable:
        text = f"{self._it} is down, and {why}"
        return Unavailable(self.service, text, held=True, host=self.host)

    def _admits(self, ticket: object | None) -> bool:
        """Return whether a caller may go on; one without a ticket is behind the line."""
        if not self.is_down:
            return True
        now = time.monotonic()
        is_first = self._line[0] is ticket if self._line else True
        if not is_first or now < self._next_probe:
            return False
        self._asked_at = now
        self._next_probe = now + LONGEST_PROBE_SECONDS  # unless it answers or fails before
        return True


def _again(retry_after: float) -> str:
    seconds = min(max(retry_after, PROBE_SECONDS), LONGEST_PROBE_SECONDS)
    often = "once a second" if seconds < 2 else f"every {seconds:.0f} s"  # noqa: PLR2004  # of seconds
    return f"retried about {often} until it is back"
