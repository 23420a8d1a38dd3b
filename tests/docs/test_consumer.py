"""The contract's consumer, copied from its page and run against a real Kafka."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final
from uuid import uuid4

import pytest
from confluent_kafka import Producer
from msgspec.structs import replace

from cki_notifier.configuration.settings import KafkaConfig
from cki_notifier.kafka.publish import Publisher, Record
from cki_notifier.notification.models import Stage
from cki_notifier.workers.deadline import Deadline
from tests.brokers.stage import PATIENCE, eventually
from tests.docs.contract.markdown import blocks
from tools import PROJECT
from tools.brokers.kafka import Kafka
from tools.documentation.examples import record
from tools.processes import Process

PAGE: Final = PROJECT / "docs" / "contract.md"
PRE_TEST: Final = record(Stage.PRE_TEST)
POST_TEST: Final = record(Stage.POST_TEST)
#: What the consumer says of them.
STARTED: Final = "start tests of redhat:2167003491-x86_64-kernel"
COMPARED: Final = "CKI says success of redhat:2167003491"


def another(original: Record, **headers: str) -> Record:
    """Return a record of another event with the same value, and headers of its own."""
    return replace(original, headers=original.headers | {"ce_id": str(uuid4())} | headers)


class Lab:
    """A topic of one partition, the page's consumer, and what it said in each of its runs."""

    def __init__(self, kafka: Kafka, folder: Path) -> None:
        (block,) = blocks(PAGE.read_text("utf-8"), "python")
        self._script = folder / "consumer.py"
        self._script.write_text(block.text, "utf-8")
        self._folder = folder
        self._runs = 0
        self.bootstrap = kafka.bootstrap
        self.topic = f"topic.{uuid4().hex[:8]}"
        self._environment = {
            "PATH": os.defpath,
            "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap,
            "KAFKA_GROUP_ID": f"lab.{self.topic}",
            "KAFKA_TOPIC": self.topic,
            "LAB_STATE": str(folder / "events.sqlite"),
        }
        kafka.create_topic(self.topic, partitions=1)

    def publish(self, *records: Record) -> None:
        """Publish records as the daemon does, each confirmed."""
        settings = {"bootstrap.servers": self.bootstrap}
        publisher = Publisher(KafkaConfig(topic=self.topic, settings=settings))
        for one in records:
            publisher.publish(one, Deadline(PATIENCE))
        publisher.close(PATIENCE)

    def publish_foreign(self) -> int:
        """Publish what is none of ours, as anybody could, and return how many records it is."""
        producer = Producer({"bootstrap.servers": self.bootstrap})
        ours = dict(PRE_TEST.headers)
        records: tuple[tuple[bytes | None, dict[str, str | bytes | None]], ...] = (
            (b"hello", {}),
            (None, {}),
            (None, {**ours, "ce_id": "tombstone"}),
            (b"{", {**ours, "ce_id": "half"}),
            (b"\xff", {**ours, "ce_id": "no text"}),
            (PRE_TEST.value, {**ours, "ce_id": None}),
            (PRE_TEST.value, {**ours, "ce_type": b"\xff"}),
            (PRE_TEST.value, {**ours, "ce_type": "org.cki-project.ready-for-test.later"}),
        )
        for value, headers in records:
            producer.produce(self.topic, value, PRE_TEST.key, headers=list(headers.items()))
        assert producer.flush(PATIENCE) == 0
        return len(records)

    def run(self, until: Callable[[list[str]], bool]) -> list[str]:
        """Run the consumer until it said enough, stop it, and return all that it said."""
        self._runs += 1
        log = self._folder / f"run-{self._runs}.log"
        consumer = Process(
            "consumer",
            [sys.executable, self._script],
            log=log,
            ready=lambda: log.exists() and until(log.read_text().splitlines()),
            environment=self._environment,
            folder=self._folder,
        )
        with consumer:
            assert consumer.stop() == 0
        return log.read_text().splitlines()

    def run_refused(self) -> None:
        """Run the consumer until it fails because what it wants to say is refused."""
        log = self._folder / "refused.log"
        command = f"exec '{sys.executable}' '{self._script}' >/dev/full"
        consumer = Process(
            "refused consumer",
            ["/bin/sh", "-c", command],
            log=log,
            ready=lambda: True,
            environment=self._environment,
            folder=self._folder,
        )
        with consumer:
            eventually(lambda: not consumer.running, what="the consumer's end")
            assert consumer.stop() != 0
        assert "No space left on device" in log.read_text()


@pytest.fixture
def lab(kafka: Kafka, tmp_path: Path) -> Lab:
    """A lab that has not read anything yet."""
    return Lab(kafka, tmp_path)


def test_it_acts_on_both_stages_and_drops_repeats(lab: Lab) -> None:
    """In the order in which they were published."""
    lab.publish(PRE_TEST, PRE_TEST, POST_TEST, PRE_TEST, POST_TEST)

    said = lab.run(until=lambda lines: len(lines) >= 5)

    pre, post = (f"repeat {it.headers['ce_id']}" for it in (PRE_TEST, POST_TEST))
    assert said == [STARTED, pre, COMPARED, pre, post]


def test_it_knows_after_a_restart_what_it_did(lab: Lab) -> None:
    """It goes on behind what it committed, and a repeat of what it did before stays one."""
    lab.publish(PRE_TEST)
    assert lab.run(until=bool) == [STARTED]
    lab.publish(PRE_TEST, another(PRE_TEST))

    assert lab.run(until=lambda lines: STARTED in lines) == [
        f"repeat {PRE_TEST.headers['ce_id']}",
        STARTED,
    ]


def test_it_skips_what_is_none_of_ours(lab: Lab) -> None:
    """Foreign records, tombstones and kinds of events that it doesn't know don't stop it."""
    count = lab.publish_foreign()
    lab.publish(PRE_TEST)

    said = lab.run(until=lambda lines: STARTED in lines)

    assert said == [*(f"skip offset {number}" for number in range(count)), STARTED]


def test_it_leaves_alone_what_is_for_others(lab: Lab) -> None:
    """A merge request of another subsystem starts nothing."""
    value = PRE_TEST.value.replace(b'"net"', b'"mm"')
    lab.publish(another(replace(PRE_TEST, value=value)), POST_TEST)

    assert lab.run(until=bool) == [COMPARED]


def test_a_record_comes_again_when_the_lab_refused_it(lab: Lab) -> None:
    """Nothing is committed before the work is handed over."""
    lab.publish(PRE_TEST)
    lab.run_refused()

    assert lab.run(until=bool) == [STARTED]
