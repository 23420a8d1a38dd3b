"""The arguments of ``cki-notifier doctor``."""

import argparse
from typing import Any

#: The time limit of all checks together, in seconds.
_SECONDS = 30.0
_LONGEST_SECONDS = 3600.0


def add_doctor(commands: Any) -> None:
    """Add the command to the subparsers, which have no public type in argparse."""
    parser = commands.add_parser(
        "doctor",
        help="check the configuration and everything the daemon depends on",
        description="Check the configuration, RabbitMQ, Kafka, DataWarehouse, GitLab and Jira, as "
        "the daemon uses them, without changing anything. Run it with the daemon's environment.",
        epilog="Exit codes: 0 no check failed (there may be warnings), 1 a check failed, 2 wrong "
        "usage or configuration.",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--timeout",
        type=_seconds,
        default=_SECONDS,
        metavar="SECONDS",
        help=f"time limit of all checks together (default: {_SECONDS:g})",
    )


def _seconds(value: str) -> float:
    try:
        seconds = float(value)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{value!r} is not a number") from error
    if not 0 < seconds <= _LONGEST_SECONDS:
        text = f"{value!r} is not between 0 and {_LONGEST_SECONDS:g}"
        raise argparse.ArgumentTypeError(text)
    return seconds
