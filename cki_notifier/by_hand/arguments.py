"""The arguments of a run by hand, and of ``cki-notifier explain``."""

import argparse
from typing import Any

from cki_notifier.notification.models import Status

EPILOG = (
    "Exit codes of a manual run: 0 sent (or would be), 3 a rule ignored it, 1 it could not be sent "
    "(or, where nothing is, not be shown), 2 wrong usage or configuration."
)


def add_by_hand(parser: argparse.ArgumentParser) -> None:
    """Add what tells which checkout is meant, and what is to be done with it."""
    group = parser.add_argument_group("one checkout, by hand, through the same rules")
    group.add_argument(
        "--status",
        choices=[status.value for status in Status],
        help="of the notification that there would be",
    )
    group.add_argument(
        "--checkout-id",
        metavar="ID",
        help="its KCIDB id, its iid, the address of its page in the warehouse, or a merge request: "
        "its address, or project!123, whose newest checkout is taken",
    )
    group.add_argument(
        "--dry-run",
        action="store_true",
        help="show the message and what each rule saw, send nothing; without --status: unknown",
    )
    group.add_argument(
        "--json", dest="explains_json", action="store_true", help="the dry run as one JSON object"
    )


def add_explain(commands: Any) -> None:
    """Add the command to those of the command line, which argparse has no public type for."""
    parser = commands.add_parser(
        "explain",
        help="decide about a notification's body, and show why; sends nothing",
        description="Decides about the body of any notification as the daemon would: a dead "
        "letter's, one from a log, a made-up one. Shows what each rule saw, and sends nothing.",
        epilog="Exit codes: 0 it would be sent, 3 a rule ignores it, 1 it can't be decided, 2 "
        "wrong usage or configuration.",
    )
    file = parser.add_argument("file", metavar="FILE", help="with the body; - for standard input")
    # As shtab.FILE, which is imported only for the completion.
    file.complete = {"zsh": "_files", "fish": "(__fish_complete_path (commandline -ct))"}
    parser.add_argument("--json", action="store_true", help="all of it as one JSON object")


def fault_of(parsed: argparse.Namespace) -> str:
    """Return what is wrong with the arguments, nothing when they can be meant."""
    alone = parsed.status is None and parsed.dry_run
    rules = {
        "--dry-run needs --checkout-id": alone and parsed.checkout_id is None,
        "--status and --checkout-id go together; with --dry-run the status may be left out": (
            not alone and (parsed.status is None) != (parsed.checkout_id is None)
        ),
        "--checkout-id is empty; it takes a checkout's id": parsed.checkout_id == "",
        # What the interpreter could not decode.
        "--checkout-id is not UTF-8": any(
            "\ud800" <= character <= "\udfff" for character in parsed.checkout_id or ""
        ),
        "--json needs --dry-run": parsed.explains_json and not parsed.dry_run,
        f"{parsed.command} takes no --status and no --checkout-id": (
            parsed.command and parsed.checkout_id is not None
        ),
    }
    return next((text for text, applies in rules.items() if applies), "")
