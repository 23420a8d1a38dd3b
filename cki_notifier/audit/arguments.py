"""The arguments of ``cki-notifier audit``."""

import argparse
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

#: A guard against typing errors.
_MOST_REQUESTS = 64
_LENGTH = re.compile("([0-9]{1,6})([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def add_audit(commands: Any) -> None:
    """Add the command to argparse's subparsers, which have no public type."""
    parser = commands.add_parser(
        "audit",
        help="find checkouts whose message is missing from the topic",
        description="Compare DataWarehouse with the Kafka topic and report lost messages: no rule "
        "ignores them, and neither the topic nor a queue has them. Changes nothing without --send. "
        "Run it with the daemon's environment.",
        epilog="Exit codes: 0 nothing is missing, 1 messages are missing, 2 wrong usage or "
        "configuration, 3 the audit could not decide about everything.",
    )
    parser.add_argument(
        "--since",
        type=_moment,
        default="24h",
        metavar="TIME",
        help="audit checkouts that began at TIME or later: 90m, 24h or 7d before now, or a time "
        "such as 2026-11-24T08:00:00Z (default: 24h)",
    )
    parser.add_argument(
        "--until",
        type=_moment,
        default="0s",
        metavar="TIME",
        help="audit checkouts that began before TIME (default: now)",
    )
    parser.add_argument("--tree", metavar="NAME", help="audit checkouts of this tree only")
    parser.add_argument("--json", action="store_true", help="print the report as one JSON object")
    parser.add_argument(
        "--send",
        action="store_true",
        help="publish the missing messages, after showing them and asking",
    )
    parser.add_argument("--yes", action="store_true", help="do not ask for confirmation")
    parser.add_argument(
        "--requests",
        type=_count,
        default=4,
        metavar="N",
        help="send the services at most N requests at a time (default: 4)",
    )
    parser.add_argument(
        "--push",
        type=gateway,
        metavar="URL",
        help="push the result to the Prometheus Pushgateway at URL",
    )


def fault_of(parsed: argparse.Namespace) -> str:
    """Return the fault of the arguments together, ``""`` for none."""
    if parsed.since >= parsed.until:
        return (
            f"--since {parsed.since.isoformat()} is not before --until {parsed.until.isoformat()}"
        )
    return "--yes needs --send" if parsed.yes and not parsed.send else ""


def _count(value: str) -> int:
    if not value.isdecimal() or not 0 < int(value) <= _MOST_REQUESTS:
        text = f"{value!r} is not a number from 1 to {_MOST_REQUESTS}"
        raise argparse.ArgumentTypeError(text)
    return int(value)


def _moment(value: str) -> datetime:
    """Return the time in UTC. A time without a zone is in UTC."""
    now = datetime.now(UTC)
    if length := _LENGTH.fullmatch(value):
        try:
            return now - timedelta(**{_UNITS[length[2]]: int(length[1])})
        except OverflowError as error:
            raise argparse.ArgumentTypeError(f"{value!r} is too long ago") from error
    try:
        moment = datetime.fromisoformat(value)
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        text = f"{value!r} is neither a duration like 24h nor a time like 2026-11-20T10:15"
        raise argparse.ArgumentTypeError(text) from error
    if moment > now:
        raise argparse.ArgumentTypeError(f"{value!r} is in the future")
    return moment


def gateway(text: str) -> str:
    """Check the address of a Pushgateway and return it.

    Raises:
        argparse.ArgumentTypeError: no such address. The text hides a possible password.
    """
    try:
        parts = urlsplit(text)
        is_valid = parts.scheme in {"http", "https"} and parts.hostname and (parts.port or 1)
    except ValueError:
        is_valid = None
    if not is_valid or parts.query or parts.fragment or re.search(r"[^!-~]", text):
        value = "the value, hidden for its password," if "@" in text else repr(text)
        raise argparse.ArgumentTypeError(f"{value} is not an address like http://pushgateway:9091")
    return text
