"""Starts a lab's tests for each kernel that is ready: a consumer to begin with.

It needs confluent-kafka and Python 3.11, and takes from the environment:

KAFKA_BOOTSTRAP_SERVERS  host:port, several with commas
KAFKA_GROUP_ID           the lab's own; processes with the same one share the work
KAFKA_TOPIC              kafka.tx.cki.ready-for-test, unless it is set
LAB_STATE                a file: the events that were handled already
"""

import json
import os
import signal
import sqlite3
import sys
import time
from typing import Any

from confluent_kafka import Consumer, KafkaException, Message

PRE_TEST = "org.cki-project.ready-for-test.pre"
POST_TEST = "org.cki-project.ready-for-test.post"
#: How long an event is remembered: far longer than the 72 hours after which a repeat can come.
MEMORY_SECONDS = 30 * 24 * 3600


def start_tests(message: dict[str, Any]) -> None:
    """Hand the work over to the lab, for good: raise, and the record comes again."""
    for build in message["build_info"]:
        if build["architecture"] == "x86_64" and not build["debug_kernel"]:
            print("start tests of", build["build_id"], flush=True)


def compare_results(message: dict[str, Any]) -> None:
    """Look at what CKI's own testing found."""
    print("CKI says", message["status"], "of", message["checkout_id"], flush=True)


def is_wanted(message: dict[str, Any]) -> bool:
    """Tell whether a message is for this lab, by fields that are always there."""
    return "net" in message["merge_request"]["subsystems"]


class Handled:
    """The events that were handled, in a file, so that they are still known after a restart."""

    def __init__(self, path: str) -> None:
        self._file = sqlite3.connect(path, isolation_level=None)
        self._file.execute("CREATE TABLE IF NOT EXISTS handled (id TEXT PRIMARY KEY, at REAL)")

    def __contains__(self, event: str) -> bool:
        found = self._file.execute("SELECT 1 FROM handled WHERE id = ?", (event,))
        return found.fetchone() is not None

    def add(self, event: str) -> None:
        """Remember an event, and forget the old ones."""
        now = time.time()
        self._file.execute("INSERT OR IGNORE INTO handled VALUES (?, ?)", (event, now))
        self._file.execute("DELETE FROM handled WHERE at < ?", (now - MEMORY_SECONDS,))


def header(record: Message, name: str) -> str:
    """Return the text of a header, empty when there is none."""
    value = dict(record.headers() or ()).get(name) or b""
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def handle(record: Message, handled: Handled) -> None:
    """Act on an event, once; a record that is none of ours, or can't be read, is left alone.

    Equal ids are one event, different ids are different events, even if their messages are alike:
    a merge request that leaves draft twice is two events.
    """
    stage, event = header(record, "ce_type"), header(record, "ce_id")
    try:
        message = json.loads(record.value() or b"")
    except ValueError:
        message = None
    if stage not in (PRE_TEST, POST_TEST) or not event or message is None:
        print("skip offset", record.offset(), file=sys.stderr)
        return
    if event in handled:
        print("repeat", event, file=sys.stderr)
        return
    if is_wanted(message):
        act = start_tests if stage == PRE_TEST else compare_results
        act(message)
    handled.add(event)


def main() -> None:
    """Read until SIGTERM or Ctrl-C; an offset is committed when its record was handled."""
    ending = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ending.append(True))
    handled = Handled(os.environ["LAB_STATE"])
    consumer = Consumer(
        {
            "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
            "group.id": os.environ["KAFKA_GROUP_ID"],
            "enable.auto.commit": False,
            # A new group begins with all that the topic still has; "latest" leaves that out.
            "auto.offset.reset": "earliest",
            # What your cluster asks for comes here: security.protocol, ssl.ca.location, ...
        }
    )
    consumer.subscribe([os.environ.get("KAFKA_TOPIC", "kafka.tx.cki.ready-for-test")])
    try:
        while not ending:
            record = consumer.poll(1.0)
            if record is None:
                continue
            if record.error():
                raise KafkaException(record.error())
            handle(record, handled)
            consumer.commit(message=record, asynchronous=False)
    finally:
        consumer.close()


if __name__ == "__main__":
    main()
