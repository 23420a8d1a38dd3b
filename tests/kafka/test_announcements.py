"""The published checkouts and stages of a span, read from the headers of all partitions."""

import threading
import time
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from confluent_kafka import KafkaError, Producer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # it has no list of its names
    AclOperation,
    AdminClient,
)
from confluent_kafka.cimpl import NewPartitions

from cki_notifier.configuration.settings import KafkaConfig
from cki_notifier.kafka import announcements as module
from cki_notifier.kafka.announcements import Announcements
from cki_notifier.kafka.client import KafkaException
from cki_notifier.kafka.scan import Ranges, Scan
from cki_notifier.notification.errors import Interrupted, Unavailable
from cki_notifier.notification.models import EVENT_TYPES, Stage
from cki_notifier.workers.deadline import Deadline
from tests.brokers.stage import eventually
from tools.brokers.kafka import Kafka

#: The timeout of a failing test, in seconds.
PATIENCE = 30.0
NOW = datetime.now(UTC).replace(microsecond=0)
SINCE = NOW - timedelta(days=1)
Headers = list[tuple[str, str | bytes | None]]


class Topic:
    """A topic of three partitions for one test."""

    def __init__(self, kafka: Kafka) -> None:
        self.name = f"topic.{uuid4().hex[:8]}"
        self.kafka = kafka
        kafka.create_topic(self.name, config={"message.timestamp.after.max.ms": str(2**63 - 1)})
        self.admin = AdminClient({"bootstrap.servers": kafka.bootstrap})

    def announcements(self, **settings: str) -> Announcements:
        """Return announcements that have read nothing yet."""
        changed = {name.replace("_", "."): value for name, value in settings.items()}
        config = {"bootstrap.servers": self.kafka.bootstrap} | changed
        return Announcements(KafkaConfig(topic=self.name, settings=config))

    def write(
        self, *subjects: str, at: datetime = NOW, partition: int = -1, stage: Stage = Stage.PRE_TEST
    ) -> None:
        """Publish a stage of checkouts."""
        for subject in subjects:
            headers: Headers = [("ce_type", EVENT_TYPES[stage]), ("ce_subject", subject)]
            self.produce(headers, int(at.timestamp() * 1000), partition)

    def produce(self, headers: Headers, milliseconds: int = 0, partition: int = -1) -> None:
        """Write a record."""
        producer = Producer({"bootstrap.servers": self.kafka.bootstrap, "log_level": 0})
        producer.produce(
            self.name, b"{}", partition=partition, timestamp=milliseconds, headers=headers
        )
        assert not producer.flush(PATIENCE)

    def cut(self, partition: int, offset: int) -> None:
        """Remove the records before an offset, like the retention does."""
        where = TopicPartition(self.name, partition, offset)
        for future in self.admin.delete_records([where]).values():
            future.result(PATIENCE)


@pytest.fixture
def topic(kafka: Kafka) -> Topic:
    """An empty topic."""
    return Topic(kafka)


def read(announcements: Announcements, since: datetime = SINCE, seconds: float = PATIENCE) -> int:
    """Read the topic."""
    return announcements.read(since, Deadline(seconds))


def test_what_was_announced_is_known_and_nothing_else(topic: Topic) -> None:
    """The records may be in any partition, and the stages of a checkout are independent."""
    topic.write("a", partition=0)
    topic.write("b/č", partition=1)
    topic.write("a", "c", partition=2, stage=Stage.POST_TEST)
    announcements = topic.announcements()
    assert read(announcements) == 4
    asked = [(checkout_id, stage) for checkout_id in ("a", "b/č", "c", "d") for stage in Stage]
    assert {it for it in asked if announcements.has(*it)} == {
        ("a", Stage.PRE_TEST),
        ("a", Stage.POST_TEST),
        ("b/č", Stage.PRE_TEST),
        ("c", Stage.POST_TEST),
    }


def test_what_is_before_the_span_is_not_read(topic: Topic) -> None:
    """The topic reaches back far enough."""
    topic.write("a", at=SINCE - timedelta(seconds=1), partition=0)
    topic.write("b", at=SINCE, partition=0)
    topic.write("c", partition=1)
    announcements = topic.announcements()
    assert read(announcements) == 2
    assert not announcements.has("a", Stage.PRE_TEST)
    assert announcements.has("b", Stage.PRE_TEST)
    assert announcements.begins_late is None


def test_a_later_call_reads_only_what_was_added(topic: Topic) -> None:
    """This includes new partitions, with the same connection."""
    topic.write("a", "b", "c")
    announcements = topic.announcements()
    assert (read(announcements), read(announcements)) == (3, 0)
    topic.admin.create_partitions([NewPartitions(topic.name, 4)])[topic.name].result(PATIENCE)
    eventually(lambda: len(topic.admin.list_topics(topic.name).topics[topic.name].partitions) == 4)
    topic.write("d", partition=3)
    topic.write("e", partition=0)
    announcements.close()
    assert eventually(lambda: read(announcements)) in {
        1,
        2,
    }  # the new partition may be unknown at first
    eventually(lambda: read(announcements) or announcements.has("d", Stage.PRE_TEST))
    assert announcements.has("e", Stage.PRE_TEST)
    announcements.close()


def test_an_empty_topic_announces_nothing(topic: Topic) -> None:
    """An empty topic has lost no records."""
    announcements = topic.announcements()
    assert read(announcements) == 0
    assert announcements.begins_late is None


def test_a_topic_that_does_not_reach_back_says_so(topic: Topic) -> None:
    """The latest begin of all cut partitions counts."""
    hours = [NOW - timedelta(hours=it) for it in (30, 20, 10, 5)]
    for partition in (0, 1):
        for at in hours:
            topic.write(f"{partition}", at=at, partition=partition)
    topic.cut(0, 1)
    topic.cut(1, 2)
    announcements = topic.announcements()
    assert read(announcements) == 5
    assert announcements.begins_late == hours[2]
    again = topic.announcements()
    read(again, since=NOW - timedelta(hours=7))
    assert again.begins_late is None


def test_a_topic_that_was_emptied_says_that_nothing_is_known(topic: Topic) -> None:
    """If another partition reaches back, the empty one had no records."""
    topic.write("a", at=NOW - timedelta(hours=30), partition=0)
    topic.cut(0, 1)
    announcements = topic.announcements()
    assert read(announcements) == 0
    assert announcements.begins_late is not None
    assert announcements.begins_late >= NOW
    topic.write("b", at=NOW - timedelta(hours=25), partition=1)
    announcements = topic.announcements()
    assert read(announcements) == 0
    assert announcements.begins_late is None


def test_records_of_others_are_read_over(topic: Topic) -> None:
    """Foreign records may have any content and any time."""
    odd: list[Headers] = [
        [],
        [("ce_subject", None), ("ce_type", None), ("ce_id", None)],
        [("ce_subject", b"\xff"), ("ce_type", b"\xfe"), ("ce_id", b"\xfd" * 10_000)],
        [("ce_subject", "a"), ("other", "1")],
    ]
    for headers in odd:
        topic.produce(headers, int(NOW.timestamp() * 1000))
    topic.produce([], 9_000_000_000_000_000)
    topic.write("b")
    announcements = topic.announcements()
    assert read(announcements) == 6
    assert [announcements.has(it, Stage.PRE_TEST) for it in ("a", "b", "")] == [False, True, False]


def test_the_progress_ends_with_all(topic: Topic) -> None:
    """The total is known from the start."""
    topic.write(*"abcdefgh")
    seen: list[tuple[int, int]] = []
    topic.announcements().read(SINCE, Deadline(PATIENCE), lambda *it: seen.append(it))
    assert {total for _, total in seen} == {8}
    assert seen == sorted(seen)
    assert seen[-1] == (8, 8)


def test_what_is_remembered_is_bounded(topic: Topic, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound, the reading fails instead of giving a wrong answer."""
    monkeypatch.setattr(module, "MOST_RECORDS", 2)
    topic.write("a", "b")
    announcements = topic.announcements()
    assert read(announcements) == 2
    topic.write("c")
    for one in (announcements, topic.announcements()):
        with pytest.raises(Unavailable, match="more than 2 records of the span"):
            read(one)


def test_marks_of_transactions_are_no_records(guarded: Kafka) -> None:
    """A topic may end in a marker that no consumer receives."""
    topic = Topic(guarded)
    producer = Producer({"bootstrap.servers": guarded.bootstrap, "transactional.id": topic.name})
    producer.init_transactions(PATIENCE)
    producer.begin_transaction()
    producer.produce(topic.name, b"{}")
    producer.commit_transaction(PATIENCE)
    announcements = topic.announcements()
    assert (read(announcements), read(announcements)) == (1, 0)


def test_a_topic_that_is_not_there_is_not_taken_for_an_empty_one(guarded: Kafka) -> None:
    """The topic is not created."""
    topic = Topic(guarded)
    guarded.delete_topic(topic.name)
    with pytest.raises(Unavailable, match=f"there is no topic {topic.name}"):
        read(topic.announcements())
    assert topic.name not in topic.admin.list_topics(timeout=PATIENCE).topics


def test_a_topic_that_was_made_anew_is_said_so(topic: Topic) -> None:
    """The lost records are unknown, so the reading fails."""
    topic.write("a", "b", partition=0)
    announcements = topic.announcements()
    assert read(announcements) == 2
    topic.kafka.delete_topic(topic.name)
    topic.kafka.create_topic(topic.name)
    with pytest.raises(Unavailable, match="holds less than before"):
        eventually(lambda: read(announcements))


def test_who_may_not_read_the_topic_is_told_at_once(guarded: Kafka) -> None:
    """The reading does not wait for a missing right."""
    topic = Topic(guarded)
    guarded.allow("writer", AclOperation.DESCRIBE, topic.name)
    topic.write("a")
    announcements = topic.announcements(
        bootstrap_servers=guarded.sasl_bootstrap,
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism="PLAIN",
        sasl_username="writer",
        sasl_password="hush",
    )
    started = time.monotonic()
    with pytest.raises(Unavailable, match=f"we may not read {topic.name}"):
        read(announcements)
    assert time.monotonic() - started < PATIENCE
    guarded.allow("writer", AclOperation.READ, topic.name)
    eventually(lambda: _read_or_none(announcements) == 1)


def _read_or_none(announcements: Announcements) -> int | None:
    try:
        return read(announcements)
    except Unavailable:
        return None


def test_a_kafka_that_is_away_is_waited_for(guarded: Kafka) -> None:
    """The wait ends with Kafka's return, the deadline, or the process."""
    topic = Topic(guarded)
    topic.write("a")
    announcements = topic.announcements()
    guarded.freeze()
    try:
        with pytest.raises(Unavailable, match="the topic can't be read: ") as caught:
            read(announcements, seconds=1)
        assert caught.value.held
        stopping = threading.Event()
        threading.Timer(0.5, stopping.set).start()
        with pytest.raises(Interrupted):
            announcements.read(SINCE, Deadline(PATIENCE, stopping))
        threading.Timer(1, guarded.thaw).start()
        assert read(announcements) == 1
    finally:
        guarded.thaw()


def test_what_fails_in_the_middle_is_gone_on_with(
    topic: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No record counts twice."""
    topic.write(*"abcde", partition=0)
    failures = [KafkaException(KafkaError(KafkaError.REQUEST_TIMED_OUT))]
    scan_read = Scan.read

    def failing(self: Scan, ranges: Ranges, *rest: object) -> bool:
        if failures:
            scan_read(self, {0: (0, 3)}, *rest)  # type: ignore[arg-type]  # as it was called
            raise failures.pop()
        return scan_read(self, ranges, *rest)  # type: ignore[arg-type]  # as above

    monkeypatch.setattr(Scan, "read", failing)
    announcements = topic.announcements()
    assert read(announcements) == 5
    assert all(announcements.has(it, Stage.PRE_TEST) for it in "abcde")
