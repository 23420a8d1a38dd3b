"""Formats findings, for people and for programs."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TextIO

from cki_notifier.doctor.check import Finding, State
from cki_notifier.telemetry.terminal import columns

_STYLES: dict[str, str] = {"ok": "green", "warning": "yellow", "failed": "red"}


def table(findings: Sequence[Finding], stream: TextIO) -> Iterator[str]:
    """Yield the lines of a table: state, name and text, with the advice below the text.

    Args:
        findings: at least one.
        stream: the destination, which decides width and colors.
    """
    rows: list[tuple[str, str, str]] = []
    for finding in findings:
        rows.append((finding.state, finding.name, finding.text))
        if finding.advice:
            rows.append(("", "", f"-> {finding.advice}"))
    return columns(rows, stream, styles=_STYLES)


def summary(findings: Sequence[Finding]) -> str:
    """Count the findings by state, the worst first."""
    counts = Counter(finding.state for finding in findings)
    return ", ".join(f"{counts[state]} {state}" for state in reversed(State) if counts[state])


def as_json(findings: Sequence[Finding]) -> str:
    """Return all findings as a JSON object, in one line of ASCII."""
    checks = [
        {"name": it.name, "state": it.state, "text": it.text, "advice": it.advice}
        for it in findings
    ]
    return json.dumps({"state": worst(findings), "checks": checks})


def worst(findings: Sequence[Finding]) -> State:
    """Return the worst state of all findings."""
    return max((it.state for it in findings), key=list(State).index, default=State.OK)
