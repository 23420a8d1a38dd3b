"""The topic as the ledger: lookups find the records of any writer, and no others."""

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # it has no list of its names
    AclOperation,
    AdminClient,
)
from confluent_kafka.cimpl import NewPartitions

from cki_notifier.configuration.settings import KafkaConfig
from cki_notifier.kafka import ledger as module
from cki_notifier.kafka.ledger import Ledger
from cki_notifier.notification.errors import Interrupted, Unavailable
from cki_notifier.telemetry.metrics import REGISTRY
from cki_notifier.workers.deadline import Deadline
from tests.brokers.stage import eventually
from tools.brokers.kafka import Kafka

#: The timeout of a failing test, in seconds.
PATIENCE = 30.0
PRE = "org.cki-project.ready-for-test.pre"
POST = "org.cki-project.ready-for-test.post"
NOW = datetime.now(UTC)
GUARDED = {
    "security_protocol": "SASL_PLAINTEXT",
    "sasl_mechanism": "PLAIN",
    "sasl_username": "writer",
    "sasl_password": "hush",
}


class Topic:
    """A topic for one test, and its writers."""

    def __init__(self, kafka: Kafka, name: str = "") -> None:
        self.name = name or f"topic.{uuid4().hex[:8]}"
        self.kafka = kafka
        if not name:
            kafka.create_topic(self.name)
        self._producer = Producer({"bootstrap.servers": kafka.bootstrap, "log_level": 0})

    def ledger(self, **settings: str) -> Ledger:
        """Return a new ledger."""
        changed = {name.replace("_", "."): value for name, value in settings.items()}
        config = {"bootstrap.servers": self.kafka.bootstrap} | changed
        return Ledger(KafkaConfig(topic=self.name, settings=config))

    def write(
        self, count: int = 1, *, at: datetime | None = None, partition: int = -1, type_: str = PRE
    ) -> list[str]:
        """Write records of events; return their ids."""
        ids = [str(uuid4()) for _ in range(count)]
        for event_id in ids:
            self._producer.produce(
                self.name,
                b"{}",
                event_id,
                partition,
                timestamp=int((at or NOW).timestamp() * 1000),
                headers=[("ce_specversion", "1.0"), ("ce_id", event_id), ("ce_type", type_)],
            )
        assert not self._producer.flush(PATIENCE)
        return ids


@pytest.fixture
def topic(kafka: Kafka) -> Topic:
    """A topic of three partitions."""
    return Topic(kafka)


@pytest.fixture
def scans(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of records to read in each scan."""
    seen: list[int] = []
    scan = module._Reader._scan  # noqa: SLF001  # what is expensive

    def counted(self: module._Reader, ranges: dict[int, tuple[int, int]], *rest: object) -> None:
        seen.append(sum(end - start for start, end in ranges.values()))
        scan(self, ranges, *rest)  # type: ignore[arg-type]  # as it was called

    monkeypatch.setattr(module._Reader, "_scan", counted)  # noqa: SLF001  # as above
    return seen


def find(
    ledger: Ledger, event_id: str, existed_at: datetime | None = NOW, seconds: float = PATIENCE
) -> str | None:
    """Look an event up."""
    return ledger.find(event_id, existed_at, Deadline(seconds))


def lookups(result: str) -> float:
    """Return the number of lookups with a result, from the metrics."""
    labels = {"result": result}
    return REGISTRY.get_sample_value("cki_notifier_topic_lookups_total", labels) or 0


def test_what_is_in_the_topic_is_found_and_nothing_else(topic: Topic) -> None:
    """The records may be in any partition, and keep their types."""
    written = [topic.write(partition=number)[0] for number in range(3)]
    (post,) = topic.write(type_=POST)
    ledger = topic.ledger()
    before = lookups("found"), lookups("absent")
    assert [find(ledger, it) for it in written] == [PRE] * 3
    assert find(ledger, post) == POST
    assert find(ledger, str(uuid4())) is None
    assert (lookups("found"), lookups("absent")) == (before[0] + 4, before[1] + 1)


def test_an_empty_topic_holds_nothing(topic: Topic) -> None:
    """The lookup does not wait."""
    assert find(topic.ledger(), str(uuid4())) is None


def test_what_is_written_after_a_question_is_found_by_the_next_one(
    topic: Topic, scans: list[int]
) -> None:
    """The next question reads only new records."""
    topic.write(500)
    ledger = topic.ledger()
    assert find(ledger, str(uuid4())) is None
    later = topic.write(3)
    assert find(ledger, later[1]) == PRE
    assert find(ledger, later[0]) == PRE
    assert [it for it in scans if it] == [500, 3]


def test_what_was_written_long_before_the_event_is_not_read(topic: Topic, scans: list[int]) -> None:
    """The scan begins at the record's earliest possible time, with a margin for clocks."""
    topic.write(200, at=NOW - timedelta(days=2))
    (recent,) = topic.write(at=NOW - timedelta(minutes=50))
    ledger = topic.ledger()
    assert find(ledger, recent) == PRE
    assert [it for it in scans if it] == [1]


def test_an_earlier_event_is_looked_for_in_what_was_left_out(
    topic: Topic, scans: list[int]
) -> None:
    """No record is read twice. Without a time, the scan covers the whole topic."""
    (oldest,) = topic.write(at=NOW - timedelta(days=9))
    (older,) = topic.write(at=NOW - timedelta(days=2))
    topic.write(5)
    ledger = topic.ledger()
    assert find(ledger, str(uuid4())) is None
    assert find(ledger, older, NOW - timedelta(days=2)) == PRE
    assert find(ledger, oldest, None) == PRE
    assert find(ledger, str(uuid4()), None) is None
    assert find(ledger, str(uuid4()), datetime.min.replace(tzinfo=UTC)) is None
    assert [it for it in scans if it] == [5, 1, 1]


def test_what_lies_between_two_questions_is_left_out(topic: Topic, scans: list[int]) -> None:
    """A question about now skips the records since the last one, hours ago."""
    ledger = topic.ledger()
    topic.write(2, at=NOW - timedelta(hours=9), partition=0)
    assert find(ledger, str(uuid4()), NOW - timedelta(hours=9)) is None
    (between,) = topic.write(at=NOW - timedelta(hours=5), partition=0)
    (last,) = topic.write(partition=0)
    assert find(ledger, last) == PRE
    assert [it for it in scans if it] == [2, 1]
    assert find(ledger, between, NOW - timedelta(hours=5)) == PRE


def test_a_topic_that_grew_is_read_whole(topic: Topic) -> None:
    """A record may be in a new partition."""
    (before,) = topic.write()
    ledger = topic.ledger()
    assert find(ledger, before) == PRE
    admin = AdminClient({"bootstrap.servers": topic.kafka.bootstrap})
    admin.create_partitions([NewPartitions(topic.name, 5)])[topic.name].result(PATIENCE)
    eventually(lambda: len(admin.list_topics(topic.name).topics[topic.name].partitions) == 5)
    (after,) = Topic(topic.kafka, topic.name).write(partition=4)
    eventually(lambda: find(ledger, after) == PRE)
    assert find(ledger, before) == PRE


def test_what_was_in_a_topic_that_was_deleted_is_forgotten(topic: Topic) -> None:
    """A recreated topic has no old records."""
    (lost,) = topic.write(partition=0)
    topic.write(5, partition=0)
    ledger = topic.ledger()
    assert find(ledger, str(uuid4())) is None
    topic.kafka.delete_topic(topic.name)
    topic.kafka.create_topic(topic.name)
    (new,) = topic.write(partition=0)
    eventually(lambda: find(ledger, new) == PRE)
    assert find(ledger, lost) is None


def test_many_questions_at_once_need_one_scan(topic: Topic, scans: list[int]) -> None:
    """After a crash, RabbitMQ redelivers all notifications in flight at once."""
    written = topic.write(1000)
    ledger = topic.ledger()
    asked = [*written[:50], *(str(uuid4()) for _ in range(50))]
    with ThreadPoolExecutor(100) as pool:
        found = list(pool.map(lambda it: find(ledger, it), asked))
    assert found == [PRE] * 50 + [None] * 50
    assert sum(scans) == 1000


def test_what_is_remembered_is_bounded(
    topic: Topic, scans: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forgotten records are read again, so the answers stay right."""
    monkeypatch.setattr(module, "_MOST_IDS", 10)
    written = topic.write(30)
    ledger = topic.ledger()
    assert [find(ledger, it) for it in written[::10]] == [PRE] * 3
    assert find(ledger, str(uuid4())) is None
    assert sum(scans) == 4 * 30


def test_records_of_others_are_read_over(topic: Topic) -> None:
    """Foreign records may lack headers, values or texts, or be very long."""
    odd: list[list[tuple[str, str | bytes | None]]] = [
        [],
        [("ce_id", None)],
        [("ce_id", b"\xff" * 36)],
        [("ce_id", "x" * 10_000)],
        [("other", "1")],
    ]
    for headers in odd:
        topic._producer.produce(topic.name, None, headers=headers)  # noqa: SLF001  # its own
    (ours,) = topic.write()
    ledger = topic.ledger()
    assert find(ledger, ours) == PRE
    assert find(ledger, "x" * 36) is None


def test_marks_of_transactions_are_no_records(guarded: Kafka) -> None:
    """A topic may end in a marker of a commit or an abort, which no consumer receives."""
    topic = Topic(guarded)
    producer = Producer(
        {"bootstrap.servers": topic.kafka.bootstrap, "transactional.id": topic.name}
    )
    producer.init_transactions(PATIENCE)
    for is_kept in (True, False):
        producer.begin_transaction()
        producer.produce(topic.name, b"{}")
        (producer.commit_transaction if is_kept else producer.abort_transaction)(PATIENCE)
    ledger = topic.ledger()
    assert find(ledger, str(uuid4())) is None
    producer.begin_transaction()
    producer.produce(topic.name, b"{}", headers=[("ce_id", "open"), ("ce_type", PRE)])
    producer.flush(PATIENCE)
    (ours,) = topic.write()
    assert find(ledger, ours) == PRE
    assert find(ledger, str(uuid4())) is None
    producer.abort_transaction(PATIENCE)


def test_the_reader_is_there_only_while_it_is_needed(
    topic: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then its thread and its connection end. A later question starts a new reader."""
    monkeypatch.setattr(module, "_IDLE_SECONDS", 0.1)
    (written,) = topic.write()
    ledger = topic.ledger()
    assert ledger._thread is None  # noqa: SLF001  # the reader's
    for _ in range(2):
        assert find(ledger, written) == PRE
        eventually(lambda: ledger._thread is None)  # noqa: SLF001  # the reader's


def test_nothing_is_left_at_the_cluster(topic: Topic) -> None:
    """The reader joins no group, and creates no topic that the cluster would create."""
    (written,) = topic.write()
    assert find(topic.ledger(), written) == PRE
    admin = AdminClient({"bootstrap.servers": topic.kafka.bootstrap})
    groups = admin.list_consumer_groups().result(PATIENCE).valid
    assert "cki-notifier" not in [it.group_id for it in groups]


def test_a_topic_that_is_not_there_holds_nothing_and_is_not_made(guarded: Kafka) -> None:
    """A lookup does not create it, even if the cluster creates topics automatically."""
    topic = Topic(guarded)
    guarded.delete_topic(topic.name)
    for _ in range(2):
        assert find(topic.ledger(), str(uuid4())) is None
    admin = AdminClient({"bootstrap.servers": guarded.bootstrap})
    assert topic.name not in admin.list_topics(timeout=PATIENCE).topics


def test_who_may_not_read_the_topic_is_told_once(
    guarded: Kafka, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lookups do not wait for the right, and use it as soon as it exists."""
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(module, "_FORBIDDEN_SECONDS", 0.5)
    topic = Topic(guarded)
    guarded.allow("writer", AclOperation.WRITE, topic.name)
    (written,) = topic.write()
    ledger = topic.ledger(**GUARDED, bootstrap_servers=guarded.sasl_bootstrap)
    before = lookups("forbidden")
    for _ in range(3):
        assert find(ledger, written) is None
        time.sleep(0.3)
    assert lookups("forbidden") == before + 3
    lines = [it for it in caplog.records if it.name == module.__name__]
    assert [(it.levelname, topic.name in it.getMessage()) for it in lines] == [("ERROR", True)]
    guarded.allow("writer", AclOperation.READ, topic.name)
    eventually(lambda: find(ledger, written) == PRE)
    assert caplog.records[-1].getMessage() == f"kafka: the topic {topic.name} can be read now"


def test_a_kafka_that_is_away_is_waited_for(guarded: Kafka) -> None:
    """The wait ends with Kafka's return, the deadline, or the process."""
    topic = Topic(guarded)
    written = topic.write(3)
    ledger = topic.ledger()
    guarded.freeze()
    try:
        with pytest.raises(Unavailable, match="the topic can't be read") as caught:
            find(ledger, written[0], seconds=1)
        assert caught.value.held
        stopping = threading.Event()
        threading.Timer(0.5, stopping.set).start()
        with pytest.raises(Interrupted):
            ledger.find(written[0], NOW, Deadline(PATIENCE, stopping))
        with ThreadPoolExecutor() as pool:
            asked = [pool.submit(find, ledger, it) for it in written]
            time.sleep(1)
            assert not any(it.done() for it in asked)
            guarded.thaw()
            assert [it.result() for it in asked] == [PRE] * 3
    finally:
        guarded.thaw()
