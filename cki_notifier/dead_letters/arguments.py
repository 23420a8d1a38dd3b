"""The arguments of ``cki-notifier dead-letters``."""

import argparse
import difflib
from typing import Any

from cki_notifier.dead_letters.letter import NO_REASON, Selection
from cki_notifier.notification.reasons import DeadLetterReason

_EPILOG = (
    "Exit codes: 0 done, 1 it could not be done or nothing matches, 2 wrong usage or "
    "configuration. A run that is ended midway, however it is ended, loses nothing."
)


#: Ours, RabbitMQ's own, and what stands for none.
REASONS = (*DeadLetterReason, "delivery_limit", "expired", "maxlen", "rejected", NO_REASON)


def add_dead_letters(commands: Any) -> None:
    """Add the command to those of the command line, which argparse has no public type for."""
    parser = commands.add_parser(
        "dead-letters",
        help="list, show, retry or discard what could not be sent",
        description="What an operator does with what could not be sent. Needs only the variables "
        "that concern RabbitMQ.",
        epilog=_EPILOG,
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", title="actions")
    parser.set_defaults(action="list", names=[], reason=None, limit=0, json=False)
    listing = actions.add_parser("list", help="what is there, and why (also without an action)")
    _add_reason(listing)
    listing.set_defaults(names=[])
    _add_json(listing)
    showing = actions.add_parser("show", help="all there is to say of some; takes nothing away")
    form = showing.add_mutually_exclusive_group()
    _add_json(form)
    form.add_argument("--body", action="store_true", help="the body of one, byte for byte")
    retrying = actions.add_parser("retry", help="put some back into the main queue; asks first")
    discarding = actions.add_parser("discard", help="delete some for good; asks first")
    for action in (retrying, discarding):
        action.add_argument("--yes", action="store_true", help="do not ask first")
    for action in (showing, retrying, discarding):
        _add_selection(action)
    for action in (listing, showing, retrying, discarding):
        action.add_argument(
            "--limit", type=_count, default=0, metavar="N", help="the oldest, so many"
        )
        action.epilog = _EPILOG


def selection_of(parsed: argparse.Namespace) -> Selection:
    """Return which letters are meant."""
    return Selection(frozenset(parsed.names), parsed.reason or "", parsed.limit)


def _add_selection(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group(required=True)
    text = "a letter's id, as the list shows it, or a checkout's id"
    which.add_argument("names", nargs="*", metavar="ID", type=_text, default=[], help=text)
    _add_reason(which)
    which.add_argument("--all", action="store_true", help="every one that is there")


def _add_reason(parser: Any) -> None:
    text = f"those with this reason: {', '.join(REASONS)}"
    parser.add_argument("--reason", type=_reason, choices=REASONS, metavar="REASON", help=text)


def _add_json(parser: Any) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON object a line")


def _reason(value: str) -> str:
    if value in REASONS:
        return value
    close = difflib.get_close_matches(value, REASONS, 1)
    hint = f"; did you mean {close[0]}?" if close else ""
    raise argparse.ArgumentTypeError(
        f"{value!r} is no reason of a dead letter: {', '.join(REASONS)}{hint}"
    )


def _text(value: str) -> str:
    if not value:
        raise argparse.ArgumentTypeError("it is empty")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise argparse.ArgumentTypeError("it is not UTF-8")  # the interpreter could not decode it
    return value


def _count(value: str) -> int:
    if not value.isdecimal() or not int(value):
        raise argparse.ArgumentTypeError(f"{value!r} is not a whole number above 0")
    return int(value)
