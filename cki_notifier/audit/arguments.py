"""The arguments of ``cki-notifier audit``."""

import argparse
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

#: Far more than any service would like.
_MOST_REQUESTS = 64
_LENGTH = re.compile("([0-9]{1,6})([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def add_audit(commands: Any) -> None:
    """Add the command to those of the command line, which argparse has no public type for."""
    parser = commands.add_parser(
        "audit",
        help="find what should have been announced, and was not",
        description="Compares the warehouse's checkouts with the topic: which stages did they "
        "reach, and what was announced? What has no record goes through the daemon's rules. It "
        "changes nothing, unless --send is given. Run it with the daemon's environment.",
        epilog="Exit codes: 0 nothing is missing, 1 something is, 2 wrong usage or configuration, "
        "3 something could not be decided.",
    )
    parser.add_argument(
        "--since",
        type=_moment,
        default="24h",
        metavar="TIME",
        help="of the checkouts that began then or later: a length before now, as 90m, 24h or 7d, "
        "or a time (24h)",
    )
    parser.add_argument(
        "--until", type=_moment, default="0s", metavar="TIME", help="and before then (now)"
    )
    parser.add_argument("--tree", metavar="NAME", help="of the checkouts of this tree alone")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument(
        "--send", action="store_true", help="announce what is missing, after showing it and asking"
    )
    parser.add_argument("--yes", action="store_true", help="do not ask first")
    parser.add_argument(
        "--requests",
        type=_count,
        default=4,
        metavar="N",
        help="ask the services for no more than so many documents at once (4)",
    )
    parser.add_argument(
        "--push",
        type=gateway,
        metavar="URL",
        help="of a Prometheus Pushgateway, which is told of the result",
    )


def fault_of(parsed: argparse.Namespace) -> str:
    """Return what is wrong with the arguments together, nothing when they can be meant."""
    if parsed.since >= parsed.until:
        return f"--since {parsed.since.isoformat()} is not before --until"
    return "--yes needs --send" if parsed.yes and not parsed.send else ""


def _count(value: str) -> int:
    if not value.isdecimal() or not 0 < int(value) <= _MOST_REQUESTS:
        text = f"{value!r} is no number from 1 to {_MOST_REQUESTS}"
        raise argparse.ArgumentTypeError(text)
    return int(value)


def _moment(value: str) -> datetime:
    """Return the time that is meant, in UTC; one without a zone is in UTC."""
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
        text = f"{value!r} is neither a length, as 24h, nor a time, as 2026-11-20T10:15"
        raise argparse.ArgumentTypeError(text) from error
    if moment > now:
        raise argparse.ArgumentTypeError(f"{value!r} is in the future")
    return moment


def gateway(text: str) -> str:
    """Return the address of a Pushgateway, as an argument of the command line has it.

    Raises:
        argparse.ArgumentTypeError: it is none; what may be a password is not shown.
    """
    try:
        parts = urlsplit(text)
        is_valid = parts.scheme in {"http", "https"} and parts.hostname and (parts.port or 1)
    except ValueError:
        is_valid = None
    if not is_valid or parts.query or parts.fragment or re.search(r"[^!-~]", text):
        what = "what it holds" if "@" in text else repr(text)
        raise argparse.ArgumentTypeError(f"{what} is no address like http://pushgateway:9091")
    return text
