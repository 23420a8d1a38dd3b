"""Measure the cost of a lookup in the topic: ``python -m tools.benchmarks.look_ups``.

A topic on a private Kafka gets a day's records. The first lookup of a new ledger is for a missing
event, so that the ledger reads all records: the worst case. Further lookups follow, one after the
other, and then many at once.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from uuid import uuid4

from confluent_kafka import Producer

from cki_notifier.configuration.settings import KafkaConfig
from cki_notifier.kafka.ledger import Ledger
from cki_notifier.notification.models import EVENT_TYPES, Stage
from cki_notifier.workers.deadline import Deadline
from tools.benchmarks.meter import peak_mib
from tools.brokers.kafka import Kafka

TOPIC: Final = "ready-for-test"
_DAY: Final = timedelta(days=1)
_PATIENCE: Final = 300.0
#: Number of lookups in sequence, of lookups at once, and of threads for these.
_SINGLE, _AT_ONCE, _THREADS = 200, 1000, 128


def main(arguments: Sequence[str]) -> int:
    """Measure, and print the results; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.benchmarks.look_ups")
    parser.add_argument("--records", type=int, default=20_000, metavar="N", help="20000")
    parser.add_argument("--bytes", type=int, default=4096, metavar="N", help="of each (4096)")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="3")
    parsed = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder, Kafka(Path(folder)) as kafka:
        kafka.create_topic(TOPIC)
        fill(kafka.bootstrap, parsed.records, parsed.bytes)
        config = KafkaConfig(topic=TOPIC, settings={"bootstrap.servers": kafka.bootstrap})
        for _ in range(parsed.rounds):
            print(measured(Ledger(config)))
    return 0


def _pre_test(number: int) -> tuple[str, str]:
    """Return the checkout and the type of an event, each for its own checkout."""
    return f"redhat:{number}", EVENT_TYPES[Stage.PRE_TEST]


def fill(
    bootstrap: str, count: int, size: int, about: Callable[[int], tuple[str, str]] = _pre_test
) -> None:
    """Write a day's records, evenly spread over it.

    Args:
        bootstrap: the brokers.
        count: the number of records.
        size: the length of each value, in bytes.
        about: returns the checkout and the event's type for the record of this number.
    """
    producer = Producer({"bootstrap.servers": bootstrap})
    start, step = time.time() - _DAY.total_seconds(), _DAY.total_seconds() / count
    for number in range(count):
        subject, type_ = about(number)
        headers: list[tuple[str, str | bytes | None]] = [
            ("content-type", "application/json"),
            ("ce_specversion", "1.0"),
            ("ce_id", str(uuid4())),
            ("ce_source", "https://datawarehouse.example.com"),
            ("ce_type", type_),
            ("ce_subject", subject),
            ("ce_time", "2026-11-20T10:15:00.123456+00:00"),
        ]
        at = int((start + number * step) * 1000)
        producer.produce(TOPIC, bytes(size), str(number), headers=headers, timestamp=at)
        producer.poll(0)
    producer.flush(_PATIENCE)


def measured(ledger: Ledger) -> str:
    """Return the measured times in a line."""
    existed_at = datetime.now(UTC) - _DAY

    def ask() -> None:
        ledger.find(str(uuid4()), existed_at, Deadline(_PATIENCE))

    Path("/proc/self/clear_refs").write_text("5")  # resets the peak (proc(5))
    before = peak_mib(os.getpid())
    first = _seconds(ask)
    grown = peak_mib(os.getpid()) - before
    again = statistics.median(_seconds(ask) for _ in range(_SINGLE))
    with ThreadPoolExecutor(_THREADS) as pool:
        at_once = _seconds(lambda: [*pool.map(lambda _: ask(), range(_AT_ONCE))])
    return (
        f"the first lookup, which reads all: {first:.2f} s, {grown:.0f} MiB; each further one: "
        f"{again * 1000:.1f} ms; {_AT_ONCE} at once: {at_once:.2f} s"
    )


def _seconds(act: Callable[[], object]) -> float:
    started = time.monotonic()
    act()
    return time.monotonic() - started


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
