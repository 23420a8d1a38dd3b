"""The arguments of a manual run and of ``cki-notifier explain``."""

import argparse
from typing import Any

from cki_notifier.notification.models import Status

EPILOG = (
    "Exit codes of a manual run: 0 sent, 1 failed, 2 wrong usage or configuration, 3 a rule "
    "ignored the checkout. A dry run has the same ones."
)


def add_by_hand(parser: argparse.ArgumentParser) -> None:
    """Add the options of a manual run."""
    group = parser.add_argument_group("trigger one checkout by hand")
    group.add_argument(
        "--status",
        choices=[status.value for status in Status],
        help="act as if DataWarehouse had sent a notification with this status; unknown "
        "stands for the stage that the checkout has reached",
    )
    group.add_argument(
        "--checkout-id",
        metavar="ID",
        help="the checkout: its KCIDB id, its iid or the address of its page in DataWarehouse; or "
        "a merge request, as its address or project!123, for its newest checkout",
    )
    group.add_argument(
        "--dry-run",
        action="store_true",
        help="show the message and what each rule decided, and send nothing (default --status: "
        "unknown)",
    )
    group.add_argument(
        "--json",
        dest="explains_json",
        action="store_true",
        help="print the dry run as one JSON object",
    )


def add_explain(commands: Any) -> None:
    """Add the command to argparse's subparsers, which have no public type."""
    parser = commands.add_parser(
        "explain",
        help="show what the rules decide about a notification; sends nothing",
        description="Run the daemon's rules on a notification's body and show what each rule "
        "decides. The body can be a dead letter's, one from a log or your own. Sends nothing.",
        epilog="Exit codes: 0 a message would follow, 1 failed, 2 wrong usage or configuration, 3 "
        "a rule ignores the notification.",
    )
    file = parser.add_argument(
        "file", metavar="FILE", help="file with the body; - for standard input"
    )
    # As shtab.FILE, which is imported only for the completion.
    file.complete = {"zsh": "_files", "fish": "(__fish_complete_path (commandline -ct))"}
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")


def fault_of(parsed: argparse.Namespace) -> str:
    """Return the fault of the arguments, ``""`` for none."""
    alone = parsed.status is None and parsed.dry_run
    rules = {
        "--dry-run needs --checkout-id": alone and parsed.checkout_id is None,
        "--status and --checkout-id go together; with --dry-run the status may be left out": (
            not alone and (parsed.status is None) != (parsed.checkout_id is None)
        ),
        "--checkout-id is empty: give a checkout's id": parsed.checkout_id == "",
        # The interpreter stores undecodable bytes as surrogates.
        "--checkout-id is not UTF-8": any(
            "\ud800" <= character <= "\udfff" for character in parsed.checkout_id or ""
        ),
        "--json needs --dry-run": parsed.explains_json and not parsed.dry_run,
        f"{parsed.command} takes no --status and no --checkout-id": (
            parsed.command and parsed.checkout_id is not None
        ),
    }
    return next((text for text, applies in rules.items() if applies), "")
