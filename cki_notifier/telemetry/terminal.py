"""Shows messages and decisions to a person: where nothing is sent, and in a manual run."""

import json
import sys

import msgspec

from cki_notifier.notification.models import Ignored, Outcome
from cki_notifier.telemetry.printable import printable


def show_message(value: bytes) -> None:
    """Print a message, indented, in one piece."""
    text = msgspec.json.format(value, indent=2).decode()
    sys.stdout.write("\n".join(_escaped(line) for line in text.split("\n")) + "\n")
    sys.stdout.flush()


def show(text: str) -> None:
    """Print a line about what happens to standard error."""
    sys.stderr.write(printable(text) + "\n")
    sys.stderr.flush()


def _escaped(line: str) -> str:
    """Escape in a line of JSON what would move a terminal's cursor or turn its text around."""
    if line.isprintable():
        return line
    return "".join(it if it.isprintable() else json.dumps(it)[1:-1] for it in line)


def decision(outcome: Outcome, *, sends: bool) -> str:
    """Say what was decided and why."""
    if isinstance(outcome, Ignored):
        return f"ignored ({outcome.reason}): {outcome.reason.sentence}"
    return (
        f"sent: a {outcome.stage} message" if sends else f"would be sent: a {outcome.stage} message"
    )
