"""Shows findings, to people and to programs. What services said reaches no terminal raw."""

import json
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence

from cki_notifier.doctor.check import Finding, State
from cki_notifier.telemetry.printable import printable

_STATE_WIDTH = max(len(state) for state in State)
_GAP = "  "
#: A narrower column can't be read; such a terminal breaks the lines itself.
_NARROWEST = 30
_ADVICE = "-> "


def table(findings: Sequence[Finding], width: int) -> Iterator[str]:
    """Return a table, line by line: state, name, what was seen, and below it what to do.

    Args:
        findings: at least one.
        width: the terminal's, in characters; 0 for lines of any length.
    """
    name_width = max(len(printable(finding.name)) for finding in findings)
    indent = " " * (_STATE_WIDTH + name_width + 2 * len(_GAP))
    room = width - len(indent)
    for finding in findings:
        head = f"{finding.state:<{_STATE_WIDTH}}{_GAP}{printable(finding.name):<{name_width}}{_GAP}"
        lines = _broken(printable(finding.text), room)
        if finding.advice:
            first, *others = _broken(printable(finding.advice), room - len(_ADVICE))
            lines += [_ADVICE + first, *(" " * len(_ADVICE) + line for line in others)]
        yield head + lines[0]
        yield from (indent + line for line in lines[1:])


def summary(findings: Sequence[Finding]) -> str:
    """Count the findings by their states, the worst first."""
    counts = Counter(finding.state for finding in findings)
    return ", ".join(f"{counts[state]} {state}" for state in reversed(State) if counts[state])


def as_json(findings: Sequence[Finding]) -> str:
    """Return all findings as one JSON object in one line of ASCII."""
    checks = [
        {"name": it.name, "state": it.state, "text": it.text, "advice": it.advice}
        for it in findings
    ]
    return json.dumps({"state": worst(findings), "checks": checks})


def worst(findings: Sequence[Finding]) -> State:
    """Return the worst state there is."""
    return max((it.state for it in findings), key=list(State).index, default=State.OK)


def _broken(text: str, room: int) -> list[str]:
    """Break a text into lines; one that has no spaces stays whole, so that it can be copied."""
    if room < _NARROWEST:
        return [text]
    return textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False) or [""]
