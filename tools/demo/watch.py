"""Show the messages of a topic as they come: `python -m tools.demo.watch`."""

import argparse
import sys
from typing import NoReturn

import msgspec
from confluent_kafka import KafkaException

from cki_notifier.message.contract import ReadyForTest
from cki_notifier.notification.errors import ConfigurationError
from tools.brokers.kafka import Reader, Topic
from tools.demo.interrupts import Interrupted, interrupts
from tools.demo.screen import Screen
from tools.demo.topic import SERVERS, TOPIC, given_variables, topic_of

_POLL_SECONDS = 0.2


def main() -> int:
    """Show messages until Ctrl-C; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.demo.watch",
        description="Shows the messages of a topic, from its beginning, until Ctrl-C. "
        "It reads the daemon's KAFKA_... variables.",
    )
    parser.add_argument("--bootstrap", help="the brokers, as host:port,...")
    parser.add_argument("--topic", help=f"the topic, {TOPIC} by default")
    parser.add_argument("--full", action="store_true", help="show whole messages")
    parsed = parser.parse_args()
    named = {SERVERS: parsed.bootstrap, "KAFKA_TOPIC": parsed.topic}
    variables = given_variables() | {name: value for name, value in named.items() if value}
    interrupts.install()
    try:
        _watch(topic_of(variables), Screen(full=parsed.full))
    except Interrupted:
        return 0
    except (ConfigurationError, KafkaException) as error:
        print(f"The topic can't be read: {error}", file=sys.stderr)
        return 1


def _watch(topic: Topic, screen: Screen) -> NoReturn:
    """Show all messages, and new ones as they come."""
    topic.partitions()  # raises if no broker answers
    reader = Reader(topic)
    while True:
        interrupts.check()
        record = reader.poll(_POLL_SECONDS)
        if record is None:
            continue
        try:
            screen.record(record, msgspec.json.decode(record.value, type=ReadyForTest))
        except msgspec.DecodeError as error:
            screen.tell(f"{record.key}: this record is not a ready-for-test message: {error}")


if __name__ == "__main__":
    sys.exit(main())
