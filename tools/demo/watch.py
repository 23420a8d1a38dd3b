"""Shows the messages of a topic as they come: `python -m tools.demo.watch`."""

import argparse
import os
import sys
from typing import NoReturn

import msgspec
from confluent_kafka import KafkaException

from cki_notifier.message.contract import ReadyForTest
from cki_notifier.notification.errors import ConfigurationError
from tools.brokers.kafka import Record
from tools.demo.clusters import SERVERS, TOPIC, given_variables
from tools.demo.interrupts import Interrupted, Interrupts
from tools.demo.screen import Screen
from tools.demo.topic import Topic

_POLL_SECONDS = 0.2


def main() -> int:
    """Show messages until Ctrl-C; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.demo.watch",
        description="Shows the messages of a topic, from its beginning, until Ctrl-C. "
        "KAFKA_... variables of the environment are heeded as the daemon heeds them.",
    )
    parser.add_argument("--bootstrap", help="the brokers, as host:port,...")
    parser.add_argument("--topic", help=f"the topic, {TOPIC} by default")
    parser.add_argument("--full", action="store_true", help="show messages as a whole")
    parsed = parser.parse_args()
    variables = given_variables(os.environ)
    for name, value in ((SERVERS, parsed.bootstrap), ("KAFKA_TOPIC", parsed.topic)):
        variables |= {name: value} if value else {}
    interrupts = Interrupts()
    interrupts.install()
    try:
        _watch(Topic(variables), Screen(full=parsed.full), interrupts)
    except Interrupted:
        return 0
    except (ConfigurationError, KafkaException, TimeoutError) as error:
        print(f"The topic cannot be read: {error}", file=sys.stderr)
        return 1


def _watch(topic: Topic, screen: Screen, interrupts: Interrupts) -> NoReturn:
    """Show what there is and what comes, for ever."""
    reader = topic.reader(from_the_beginning=True)
    while True:
        interrupts.check()
        record = reader.poll(_POLL_SECONDS)
        if record is not None:
            _show(record, screen)


def _show(record: Record, screen: Screen) -> None:
    try:
        screen.record(record, msgspec.json.decode(record.value, type=ReadyForTest))
    except msgspec.DecodeError as error:
        screen.tell(f"{record.key}: no ready-for-test message: {error}")


if __name__ == "__main__":
    sys.exit(main())
