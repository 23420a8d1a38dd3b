"""The arguments of ``cki-notifier dead-letters``."""

import argparse
import difflib
from typing import Any

from cki_notifier.dead_letters.letter import NO_REASON, Selection
from cki_notifier.notification.reasons import DeadLetterReason

_ENDING = "2 wrong usage or configuration. An interrupted run loses no dead letter."
_LISTED = f"Exit codes: 0 done, 1 failed, {_ENDING}"
_SHOWN = f"Exit codes: 0 done, 1 failed or no dead letter matches, {_ENDING}"
_ASKED = f"Exit codes: 0 done, 1 failed, no dead letter matches or you answered no, {_ENDING}"

#: Ours, RabbitMQ's own, and the one for a letter without a reason.
REASONS = (*DeadLetterReason, "delivery_limit", "expired", "maxlen", "rejected", NO_REASON)


def add_dead_letters(commands: Any) -> None:
    """Add the command to argparse's subparsers, which have no public type."""
    parser = commands.add_parser(
        "dead-letters",
        help="list, show, retry or discard dead letters",
        description="Manage dead letters: notifications that could not become messages. Needs only "
        "the RABBITMQ_* variables.",
        epilog=_SHOWN,
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", title="actions")
    parser.set_defaults(action="list", names=[], reason=None, limit=0, json=False)
    listing = actions.add_parser(
        "list",
        help="list dead letters with their reasons (default)",
        description="List dead letters with their reasons, the oldest first. Changes nothing.",
        epilog=_LISTED,
    )
    _add_reason(listing)
    listing.set_defaults(names=[])
    _add_json(listing)
    showing = actions.add_parser(
        "show",
        help="show dead letters in full, with headers and body",
        description="Show dead letters in full, with headers and body. Changes nothing.",
        epilog=_SHOWN,
    )
    form = showing.add_mutually_exclusive_group()
    _add_json(form)
    form.add_argument(
        "--body",
        action="store_true",
        help="print only the body, byte for byte; needs exactly one letter",
    )
    retrying = actions.add_parser(
        "retry",
        help="put dead letters back into the main queue; asks first",
        description="Put dead letters back into the main queue, for a daemon to handle again. Shows"
        " them and asks first.",
        epilog=_ASKED,
    )
    discarding = actions.add_parser(
        "discard",
        help="delete dead letters for good; asks first",
        description="Delete dead letters for good. Shows them and asks first.",
        epilog=_ASKED,
    )
    for action in (retrying, discarding):
        action.add_argument("--yes", action="store_true", help="do not ask for confirmation")
    for action in (showing, retrying, discarding):
        _add_selection(action)
    for action in (listing, showing, retrying, discarding):
        action.add_argument(
            "--limit", type=_count, default=0, metavar="N", help="only the N oldest"
        )


def selection_of(parsed: argparse.Namespace) -> Selection:
    """Return the selection that the arguments describe."""
    return Selection(frozenset(parsed.names), parsed.reason or "", parsed.limit)


def _add_selection(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group(required=True)
    text = "a dead letter's id, as in the list, or a checkout's id"
    which.add_argument("names", nargs="*", metavar="ID", type=_text, default=[], help=text)
    _add_reason(which)
    which.add_argument("--all", action="store_true", help="all dead letters")


def _add_reason(parser: Any) -> None:
    text = f"only those with this reason: {', '.join(REASONS)}"
    parser.add_argument("--reason", type=_reason, choices=REASONS, metavar="REASON", help=text)


def _add_json(parser: Any) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")


def _reason(value: str) -> str:
    if value in REASONS:
        return value
    close = difflib.get_close_matches(value, REASONS, 1)
    hint = f" Did you mean {close[0]}?" if close else ""
    raise argparse.ArgumentTypeError(
        f"{value!r} is not one of the reasons: {', '.join(REASONS)}.{hint}"
    )


def _text(value: str) -> str:
    if not value:
        raise argparse.ArgumentTypeError("the id is empty")
    if any("\ud800" <= character <= "\udfff" for character in value):
        # The interpreter stores undecodable bytes as surrogates.
        raise argparse.ArgumentTypeError("the id is not UTF-8")
    return value


def _count(value: str) -> int:
    if not value.isdecimal() or not int(value):
        raise argparse.ArgumentTypeError(f"{value!r} is not a whole number above 0")
    return int(value)
