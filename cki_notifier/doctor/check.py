"""Checks and findings, and how all checks run at once."""

import logging
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, wait
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from cki_notifier.workers.deadline import Deadline
from cki_notifier.workers.threads import beside

logger = logging.getLogger(__name__)

#: The extra time of a check after its deadline, in seconds.
_GRACE_SECONDS = 2.0


class State(StrEnum):
    """The state of a finding, from good to bad."""

    SKIPPED = "skipped"
    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


class Finding(Struct, frozen=True):
    """One row of the report.

    Attributes:
        name: names the checked thing, the same in each run.
        state: the state of that thing.
        text: the observation. It may quote services and brokers: escape it for a terminal.
        advice: how to correct or to check it by hand; empty if there is nothing to do.
    """

    name: str
    state: State
    text: str
    advice: str = ""


class NoAnswer(Exception):
    """Ends a check without a (further) answer; the text says why.

    Attributes:
        advice: how to correct it.
        state: the state of the finding.
    """

    def __init__(self, text: str, advice: str, state: State = State.FAILED) -> None:
        super().__init__(text)
        self.advice = advice
        self.state = state


class Check(Struct, frozen=True):
    """A check.

    Attributes:
        name: names the finding if the check ends early.
        look: yields each finding as soon as it has it. It should end by the deadline, and is
            abandoned otherwise. May raise :class:`NoAnswer`.
    """

    name: str
    look: Callable[[Deadline], Iterable[Finding]]


def ok(name: str, text: str) -> Finding:
    """Return a finding without a problem."""
    return Finding(name, State.OK, text)


def warning(name: str, text: str, advice: str) -> Finding:
    """Return a finding that an operator should look at, not urgently."""
    return Finding(name, State.WARNING, text, advice)


def failed(name: str, text: str, advice: str) -> Finding:
    """Return a finding that stops the daemon from working."""
    return Finding(name, State.FAILED, text, advice)


def skipped(name: str, text: str, advice: str = "") -> Finding:
    """Return a finding about a check that did not run."""
    return Finding(name, State.SKIPPED, text, advice)


def worst(findings: Sequence[Finding]) -> Finding:
    """Return the worst of several findings of one name, with the number of the others."""
    found = max(findings, key=lambda it: list(State).index(it.state))
    more = f" (and {len(findings) - 1} more like it)" if len(findings) > 1 else ""
    return replace(found, text=f"{found.text}{more}")


def number(count: int, what: str) -> str:
    """Return a number with its noun, in the plural if needed."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def examine(
    checks: Sequence[Check], seconds: float, *, grace_seconds: float = _GRACE_SECONDS
) -> list[Finding]:
    """Run all checks at once; return their findings, in the order of the checks.

    Args:
        checks: the checks.
        seconds: the time limit of all checks together. A check that takes longer has failed; its
            earlier findings still count.
        grace_seconds: extra time, in which a check may report its own timeout.
    """
    deadline, patience = Deadline(seconds), Deadline(seconds + grace_seconds)
    begun = [(check.name, *_begin(check, deadline)) for check in checks]
    findings: list[Finding] = []
    for name, found, end in begun:
        is_over = bool(wait([end], patience.remaining()).done)
        findings += found
        if not is_over:
            advice = "check whether the service hangs; --timeout SECONDS gives it more time"
            findings.append(failed(name, f"no answer within {seconds:g} s", advice))
        elif error := end.exception():
            logger.critical("a bug of the check %s", name, exc_info=error)
            advice = "report the traceback on standard error"
            findings.append(failed(name, "the check itself has a bug", advice))
    return findings


def _begin(check: Check, deadline: Deadline) -> tuple[list[Finding], "Future[None]"]:
    """Start a check in a thread; return the list that its findings go to, and its end."""
    found: list[Finding] = []

    def look() -> None:
        try:
            for finding in check.look(deadline):
                found.append(finding)  # noqa: PERF402  # one by one
        except NoAnswer as error:
            found.append(Finding(check.name, error.state, str(error), error.advice))

    return found, beside(check.name, look)
