"""Holds requests back while a service is down, so that an outage makes no storm.

While a service is down as a whole, one request a second is let through to see whether it is back,
and all others wait, first come, first served. The first proper answer lets everybody through. One
object that can't be had does not close the gate.
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

#: While a service is down it is asked so often, in seconds; a little is added by chance.
PROBE_SECONDS = 1.0
#: A service that asks for patience is asked less often, but so often at least, in seconds: it may
#: be back sooner than it thought. One that does not answer is asked again after so long, too.
LONGEST_PROBE_SECONDS = 10.0
#: Who waits looks up so often, in seconds.
_LOOK_SECONDS = 0.2
#: So many different objects that can't be had, and none that can, mean that the service is down.
_ENOUGH = 3
_SILENT = Trouble("no answer")


class Gate:
    """The gate before one service; used by all threads.

    Args:
        service: its name in errors, logs and metrics.
        host: tells services of one name apart.
        most_waiting: so many wait while it is down; None for any number.

    Attributes:
        service, host: the same.
        is_down: whether only one request a second is let through.
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
        """Return when it is this caller's turn to ask the service.

        Raises:
            Unavailable: the service is down, and too many wait already, or the deadline is reached.
            Interrupted: the process is stopping.
        """
        with self._changed:
            if self._admits(None):
                return
            if self.is_full:
                raise self._refusal("enough wait for it")
            ticket = object()
            self._line.append(ticket)
        with deadline.waiting(f"{self.service} {self.host}".rstrip() + " is down"):
            try:
                with self._changed:
                    while not self._admits(ticket):
                        deadline.check(self._refusal("nobody is let through to it"))
                        self._changed.wait(_LOOK_SECONDS)
            finally:
                with self._changed:
                    self._line.remove(ticket)
                    self._changed.notify_all()

    def may_ask(self) -> bool:
        """Tell whether a caller that will not wait may ask the service now."""
        with self._changed:
            return self._admits(None)

    @property
    def is_full(self) -> bool:
        """Whether the service is down, and as many wait for it as may."""
        with self._changed:
            most = self._most_waiting
            return self.is_down and most is not None and len(self._line) >= most

    def has_passed_since(self, moment: float) -> bool:
        """Tell whether the service answered properly after a moment of ``time.monotonic()``."""
        with self._changed:
            return self._passed_at > moment

    def passed(self) -> None:
        """Note that the service answered properly, whatever it said."""
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
        """Note that it did not answer properly.

        Args:
            what: was asked for.
            whole: whether that tells of the service as a whole, and not perhaps of ``what`` alone.
                Where the service answered others properly meanwhile, it does not.
            since: when it was asked, in the seconds of ``time.monotonic()``.
            retry_after: the seconds it asked us to wait.
            trouble: what it answered, or what became of the request. Who refuses us is told of at
                once, though others are let through until there are more failures.
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
        """Tell whether one may go on, who stands in the line or, without a ticket, behind it."""
        if not self.is_down:
            return True
        now = time.monotonic()
        is_first = self._line[0] is ticket if self._line else True
        if not is_first or now < self._next_probe:
            return False
        self._asked_at = now
        self._next_probe = now + LONGEST_PROBE_SECONDS  # unless it answers, or fails, before
        return True


def _again(retry_after: float) -> str:
    seconds = min(max(retry_after, PROBE_SECONDS), LONGEST_PROBE_SECONDS)
    often = "once a second" if seconds < 2 else f"every {seconds:.0f} s"  # noqa: PLR2004  # of seconds
    return f"it is asked about {often} until it is back"
