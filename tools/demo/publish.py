"""Publish notifications as DataWarehouse does: `python -m tools.demo.publish`."""

import argparse
import contextlib
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from pika.exceptions import AMQPError

from cki_notifier.configuration.settings import read_config
from cki_notifier.notification.errors import ConfigurationError
from tools.demo.bus import EXCHANGE, Bus
from tools.demo.scenario import scenario
from tools.stand_ins import documents
from tools.stand_ins.configured import configured


def main() -> int:
    """Publish the notifications of the arguments; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.demo.publish",
        description="Publishes a notification as DataWarehouse does, or all of the demo's.",
    )
    parser.add_argument(
        "--amqp",
        metavar="URL",
        help="the broker's address; by default that of the daemon's variables (RABBITMQ_...)",
    )
    parser.add_argument("--checkout-id", metavar="ID", help="the checkout's KCIDB id")
    parser.add_argument("--status", help="the notification's status")
    parser.add_argument(
        "--outcome-changed",
        action="store_true",
        help="with the status checkout_issueoccurrences_changed: the outcome changed",
    )
    parser.add_argument(
        "--demo",
        action="store_true",
        help="all notifications of the demo. `python -m tools.stand_ins` must be running. Its "
        "addresses come from the daemon's variables (DATAWAREHOUSE_URL, GITLAB_TOKENS, ...)",
    )
    parser.add_argument(
        "file", nargs="?", help="a file with the notification, - for standard input"
    )
    parsed = parser.parse_args()
    if fault := _fault_of(parsed):
        parser.error(fault)
    try:
        bus = Bus(*([parsed.amqp] if parsed.amqp else _addresses()))
        for body in _bodies(parsed):
            key = bus.publish(body)
            print(f"Published to {EXCHANGE} with the routing key {key}.")
    except ConfigurationError as error:
        print(f"The notification could not be published: {error}", file=sys.stderr)
        print("Run the command first that the demo prints for another terminal.", file=sys.stderr)
        return 1
    except (AMQPError, OSError) as error:
        print(f"The notification could not be published: {error!r}", file=sys.stderr)
        return 1
    return 0


def _addresses() -> list[str]:
    """Return the addresses of the RabbitMQ nodes in the environment, without TLS."""
    rabbitmq = read_config(needs_kafka=False).rabbitmq
    assert rabbitmq is not None  # required by default
    told = (rabbitmq.user, rabbitmq.password.reveal(), rabbitmq.virtual_host)
    user, password, virtual_host = (quote(it, safe="") for it in told)
    return [
        f"amqp://{user}:{password}@{host}:{rabbitmq.port}/{virtual_host}" for host in rabbitmq.hosts
    ]


def _fault_of(parsed: argparse.Namespace) -> str:
    """Return what is wrong with the arguments, or an empty string."""
    is_described = parsed.checkout_id or parsed.status or parsed.outcome_changed
    if bool(parsed.demo) + bool(parsed.file) + bool(is_described) > 1:
        return "--demo, a file, and --checkout-id with --status exclude each other"
    if not parsed.demo and not parsed.file and not (parsed.checkout_id and parsed.status):
        return "give --demo, a file, or both --checkout-id and --status"
    return ""


def _bodies(parsed: argparse.Namespace) -> list[bytes]:
    if parsed.demo:
        config = read_config(needs_rabbitmq=False, needs_kafka=False)
        with contextlib.closing(configured(config)) as services:
            return [scene.body for scene in scenario(services)]
    if parsed.file == "-":
        return [sys.stdin.buffer.read()]
    if parsed.file:
        return [Path(parsed.file).read_bytes()]
    notification = documents.notification(
        None,
        parsed.status,
        checkout_id=parsed.checkout_id,
        timestamp=datetime.now(UTC).isoformat(),
        misc={"checkout_outcome_changed": True} if parsed.outcome_changed else {},
    )
    return [json.dumps(notification).encode()]


if __name__ == "__main__":
    sys.exit(main())
