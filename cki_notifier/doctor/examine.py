"""Runs checks side by side, each in a thread of its own, until all are done or the time is over."""

import threading
from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct

from cki_notifier.doctor.finding import Finding, failed
from cki_notifier.workers.deadline import Deadline

#: A check may take so much longer than the deadline it was given, in seconds.
_GRACE_SECONDS = 2.0

Look = Callable[[Deadline], Iterable[Finding]]


class Check(Struct, frozen=True):
    """Something to look at.

    Attributes:
        name: of the finding that there is no (further) finding.
        look: looks, and yields each finding as soon as it has it. What it waits for should end with
            the deadline; if it does not, it is left behind.
    """

    name: str
    look: Look


def examine(
    checks: Sequence[Check], seconds: float, *, grace_seconds: float = _GRACE_SECONDS
) -> list[Finding]:
    """Do all checks at once; return what they found, in their order.

    Args:
        checks: to be done.
        seconds: for all of them together. A check that takes longer has failed, and what it found
            by then still counts.
        grace_seconds: for a check that ends with the deadline to say so itself.
    """
    deadline, patience = Deadline(seconds), Deadline(seconds + grace_seconds)
    running = [_Running(check, deadline) for check in checks]
    findings: list[Finding] = []
    for one in running:
        one.wait(patience)
        findings += one.findings(seconds)
    return findings


class _Running:
    """A check on its way."""

    def __init__(self, check: Check, deadline: Deadline) -> None:
        self._check = check
        self._deadline = deadline
        self._lock = threading.Lock()
        self._found: list[Finding] = []
        self._is_whole = False
        self._thread = threading.Thread(target=self._run, name=check.name, daemon=True)
        self._thread.start()

    def wait(self, patience: Deadline) -> None:
        self._thread.join(patience.remaining())

    def findings(self, seconds: float) -> list[Finding]:
        with self._lock:
            found, is_whole = self._found[:], self._is_whole
        if is_whole:
            return found
        if self._thread.is_alive():
            advice = "see whether it hangs; --timeout gives it more time"
            return [*found, failed(self._check.name, f"no answer within {seconds:g} s", advice)]
        advice = "report the traceback on standard error"
        return [*found, failed(self._check.name, "a bug of the check itself", advice)]

    def _run(self) -> None:
        for finding in self._check.look(self._deadline):
            with self._lock:
                self._found.append(finding)
        with self._lock:
            self._is_whole = True
