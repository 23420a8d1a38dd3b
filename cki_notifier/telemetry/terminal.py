"""Shows messages and decisions to a person: where nothing is sent, and in a manual run."""

import json
import sys

import msgspec

from cki_notifier.notification.models import Ignored, Outcome
from cki_notifier.telemetry import streams
from cki_notifier.telemetry.printable import printable


def show_message(value: bytes) -> bool:
    """Print a message, indented, in one piece; tell whether it could be printed."""
    return show_json(msgspec.json.format(value, indent=2).decode())


def show_json(text: str) -> bool:
    """Print lines of JSON; tell whether they could be."""
    return show_text("\n".join(map(_escaped, text.split("\n"))) + "\n")


def show_text(text: str) -> bool:
    """Print to standard output; tell whether that worked. A reader may hang up who has seen enough.

    Args:
        text: as it is to be printed, with its line ends.
    """
    return _is_printed(streams.write(sys.stdout, text))


def show_bytes(data: bytes) -> bool:
    """Print bytes to standard output as they are; tell as :func:`show_text` does."""
    return _is_printed(streams.write(sys.stdout.buffer, data))


def _is_printed(error: OSError | None) -> bool:
    if error is None or isinstance(error, BrokenPipeError):
        return True
    show(f"cki-notifier: this can't be printed: {error}")
    return False


def show(text: str) -> None:
    """Print a line about what happens to standard error; what that can't take is lost."""
    streams.write(sys.stderr, printable(text) + "\n")


def _escaped(line: str) -> str:
    """Escape in a line of JSON what standard output can't hold.

    And what would move a terminal's cursor or turn its text around.
    """
    if _is_fit(line):
        return line
    return "".join(it if _is_fit(it) else json.dumps(it)[1:-1] for it in line)


def _is_fit(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return text.isprintable()


def decision(outcome: Outcome, *, sends: bool) -> str:
    """Say what was decided and why."""
    if isinstance(outcome, Ignored):
        return f"ignored ({outcome.reason}): {outcome.reason.sentence}"
    return (
        f"sent: a {outcome.stage} message" if sends else f"would be sent: a {outcome.stage} message"
    )
