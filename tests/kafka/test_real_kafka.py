"""Publishing to a real Kafka: behavior that only a real broker has."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from confluent_kafka.admin import AdminClient

from cki_notifier.configuration.settings import KafkaConfig
from cki_notifier.kafka.publish import Publisher, Record
from cki_notifier.notification.errors import NotifierError, Unavailable
from cki_notifier.workers.deadline import Deadline
from tools.brokers.kafka import Kafka, read_topic

PATIENCE = 60.0
MakePublisher = Callable[..., Publisher]


@pytest.fixture(name="publisher")
def _publisher() -> Iterator[MakePublisher]:
    """Return a factory of publishers, closed after the test."""
    made = []

    def make(kafka: Kafka, topic: str, **settings: str) -> Publisher:
        config = {"bootstrap.servers": kafka.bootstrap} | settings
        made.append(Publisher(KafkaConfig(topic=topic, settings=config)))
        return made[-1]

    yield make
    for one in made:
        one.close(0)


def test_no_topic_is_ever_made(guarded: Kafka, publisher: MakePublisher) -> None:
    """Probes and records create no topic, even if the cluster creates topics automatically."""
    topic = f"mistyped.{uuid4().hex[:8]}"
    sending = publisher(guarded, topic, **{"delivery.timeout.ms": "2000"})
    for _ in range(3):
        with pytest.raises(Unavailable, match=topic):
            sending.check()
    with pytest.raises(Unavailable):
        sending.publish(Record("redhat:1", b"{}", {}), Deadline(PATIENCE))
    with pytest.raises(Unavailable, match=topic):
        sending.check()
    admin = AdminClient({"bootstrap.servers": guarded.bootstrap})
    assert topic not in admin.list_topics(timeout=PATIENCE).topics


def test_many_records_at_once_are_not_too_large_together(
    kafka: Kafka, publisher: MakePublisher
) -> None:
    """The broker limits a batch, and each record is its own batch."""
    topic = f"topic.{uuid4().hex[:8]}"
    kafka.create_topic(topic, partitions=1, config={"max.message.bytes": "60000"})
    sending = publisher(kafka, topic)
    sizes = [15_700] * 100 + [59_000, 61_000]

    def publish(number: int) -> str:
        record = Record(f"redhat:{number}", bytes(sizes[number]), {"ce_id": "1"})
        try:
            sending.publish(record, Deadline(PATIENCE))
        except NotifierError as error:
            return type(error).__name__
        return "delivered"

    with ThreadPoolExecutor(32) as pool:
        outcomes = list(pool.map(publish, range(len(sizes))))
    assert outcomes == ["delivered"] * 101 + ["TooLarge"]
    found = read_topic(
        kafka.bootstrap, topic, seconds=PATIENCE, until=lambda seen: len(seen) >= 101
    )
    assert len({record.key for record in found}) == 101
