"""What a check is, what it finds, and how all checks are done side by side."""

import logging
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, wait
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from cki_notifier.workers.deadline import Deadline
from cki_notifier.workers.threads import beside

logger = logging.getLogger(__name__)

#: A check may take so much longer than the deadline it was given, in seconds.
_GRACE_SECONDS = 2.0


class State(StrEnum):
    """How it is, from good to bad; what was skipped says nothing."""

    SKIPPED = "skipped"
    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


class Finding(Struct, frozen=True):
    """One row of the report.

    Attributes:
        name: of what was looked at, the same each time.
        state: how it is.
        text: what was seen. It may hold what others said, so it is not fit for a terminal as it is.
        advice: what to do about it, or how to look oneself; empty when there is nothing to do.
    """

    name: str
    state: State
    text: str
    advice: str = ""


class NoAnswer(Exception):
    """Ends a check: there is no (further) answer; the text says why.

    Attributes:
        advice: what to do about it.
        state: how bad it is.
    """

    def __init__(self, text: str, advice: str, state: State = State.FAILED) -> None:
        super().__init__(text)
        self.advice = advice
        self.state = state


class Check(Struct, frozen=True):
    """Something to look at.

    Attributes:
        name: of the finding that there is no (further) finding.
        look: looks, and yields each finding as soon as it has it. What it waits for should end with
            the deadline; if it does not, it is left behind. May raise :class:`NoAnswer`.
    """

    name: str
    look: Callable[[Deadline], Iterable[Finding]]


def ok(name: str, text: str) -> Finding:
    """Return a finding that is fine."""
    return Finding(name, State.OK, text)


def warning(name: str, text: str, advice: str) -> Finding:
    """Return a finding that somebody should look at some time."""
    return Finding(name, State.WARNING, text, advice)


def failed(name: str, text: str, advice: str) -> Finding:
    """Return a finding that keeps the daemon from its work."""
    return Finding(name, State.FAILED, text, advice)


def skipped(name: str, text: str, advice: str = "") -> Finding:
    """Return a finding that there is none."""
    return Finding(name, State.SKIPPED, text, advice)


def worst(findings: Sequence[Finding]) -> Finding:
    """Return the worst of several findings of one name, and say how many more there are."""
    found = max(findings, key=lambda it: list(State).index(it.state))
    more = f" (and {len(findings) - 1} more like it)" if len(findings) > 1 else ""
    return replace(found, text=f"{found.text}{more}")


def number(count: int, what: str) -> str:
    """Return a number of things in words."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


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
    begun = [(check.name, *_begin(check, deadline)) for check in checks]
    findings: list[Finding] = []
    for name, found, end in begun:
        is_over = bool(wait([end], patience.remaining()).done)
        findings += found
        if not is_over:
            advice = "see whether it hangs; --timeout gives it more time"
            findings.append(failed(name, f"no answer within {seconds:g} s", advice))
        elif error := end.exception():
            logger.critical("a bug of the check %s", name, exc_info=error)
            advice = "report the traceback on standard error"
            findings.append(failed(name, "a bug of the check itself", advice))
    return findings


def _begin(check: Check, deadline: Deadline) -> tuple[list[Finding], "Future[None]"]:
    """Begin a check in a thread of its own; return what it has found so far, and its end."""
    found: list[Finding] = []

    def look() -> None:
        try:
            for finding in check.look(deadline):
                found.append(finding)  # noqa: PERF402  # each at once
        except NoAnswer as error:
            found.append(Finding(check.name, error.state, str(error), error.advice))

    return found, beside(check.name, look)
