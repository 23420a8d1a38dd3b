"""Publishes a notification as the warehouse does: `python -m sandbox.demo.publish`."""

import argparse
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

from pika.exceptions import AMQPError

from sandbox import documents
from sandbox.demo.bus import EXCHANGE, Bus


def main() -> int:
    """Publish what the arguments say; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m sandbox.demo.publish",
        description="Publishes a notification as the warehouse does.",
    )
    parser.add_argument("--amqp", required=True, metavar="URL", help="the broker's address")
    parser.add_argument("--checkout-id", metavar="ID", help="the checkout's KCIDB id")
    parser.add_argument("--status", help="the notification's status")
    parser.add_argument(
        "--outcome-changed",
        action="store_true",
        help="with the status checkout_issueoccurrences_changed: the outcome changed, too",
    )
    parser.add_argument("file", nargs="?", help="the notification itself, - for standard input")
    parsed = parser.parse_args()
    if parsed.file and (parsed.checkout_id or parsed.status or parsed.outcome_changed):
        parser.error("it is either a file or a checkout id with a status")
    if not parsed.file and not (parsed.checkout_id and parsed.status):
        parser.error("name a file, or both --checkout-id and --status")
    try:
        key = Bus(parsed.amqp).publish(_body(parsed))
    except (AMQPError, OSError) as error:
        print(f"It could not be published: {error!r}", file=sys.stderr)
        return 1
    print(f"Published to {EXCHANGE} with the routing key {key}.")
    return 0


def _body(parsed: argparse.Namespace) -> bytes:
    if parsed.file == "-":
        return sys.stdin.buffer.read()
    if parsed.file:
        return Path(parsed.file).read_bytes()
    notification = documents.notification(
        None,
        parsed.status,
        checkout_id=parsed.checkout_id,
        timestamp=datetime.now(UTC).isoformat(),
        misc={"checkout_outcome_changed": True} if parsed.outcome_changed else {},
    )
    return json.dumps(notification).encode()


if __name__ == "__main__":
    sys.exit(main())
