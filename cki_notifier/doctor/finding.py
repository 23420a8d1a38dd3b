"""What a check found."""

from collections.abc import Sequence
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace


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
    from_good_to_bad = list(State)
    found = max(findings, key=lambda it: from_good_to_bad.index(it.state))
    more = f" (and {len(findings) - 1} more like it)" if len(findings) > 1 else ""
    return replace(found, text=f"{found.text}{more}")
