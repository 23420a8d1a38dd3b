"""Kafka: what is written, and what each failure means.

The broker is librdkafka's own mock cluster, which answers with whatever error it is told to.
"""

import logging
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import pytest
from confluent_kafka import KafkaError, KafkaException

from cki_notifier.configuration.settings import KafkaConfig
from cki_notifier.kafka.publish import Publisher, Record
from cki_notifier.notification.errors import (
    DeliveryUnknown,
    Interrupted,
    NotifierError,
    TooLarge,
    Unavailable,
)
from cki_notifier.telemetry.metrics import REGISTRY
from cki_notifier.workers.deadline import Deadline
from tests.brokers.mock_kafka import PATIENCE, TOPIC, MockCluster
from tests.brokers.stage import eventually
from tests.factories.website import answering, connected

RECORD: Final = Record("redhat:1", b'{"checkout_id": "redhat:1"}', {"ce_id": "1", "ce_type": "é"})
#: A producer that gives up soon, tries a retriable error once more, and asks for the topic often.
HASTY: Final = {
    "delivery.timeout.ms": "2000",
    "retries": "1",
    "retry.backoff.ms": "1",
    "retry.backoff.max.ms": "1",
    "topic.metadata.refresh.interval.ms": "10",
}
#: What a broker may answer.
CODES: Final = {
    code: name
    for name in dir(KafkaError)
    if isinstance(code := getattr(KafkaError, name), int) and (code > 0 or name == "UNKNOWN")
}
MakePublisher = Callable[..., Publisher]


@pytest.fixture(name="cluster")
def _cluster() -> Iterator[MockCluster]:
    """Return a running cluster."""
    cluster = MockCluster()
    yield cluster
    cluster.close()


@pytest.fixture(name="publisher")
def _publisher(cluster: MockCluster) -> Iterator[MakePublisher]:
    """Return a factory of publishers to the cluster, closed after the test."""
    made = []

    def make(**settings: str) -> Publisher:
        changed = {name.replace("_", "."): value for name, value in settings.items()}
        config = {"bootstrap.servers": cluster.address} | HASTY | changed
        made.append(Publisher(KafkaConfig(topic=TOPIC, settings=config)))
        return made[-1]

    yield make
    for one in made:
        one.close(0)


def publish(publisher: Publisher, record: Record = RECORD, seconds: float = PATIENCE) -> str:
    """Publish a record and return what came of it, in a word."""
    try:
        publisher.publish(record, Deadline(seconds))
    except NotifierError as error:
        return type(error).__name__
    return "delivered"


def publish_until_it_works(publisher: Publisher, record: Record = RECORD) -> None:
    """Publish until a record is delivered, as the delay queues do."""
    eventually(lambda: publish(publisher, record) == "delivered")


def test_a_record_arrives_as_it_is(cluster: MockCluster, publisher: MakePublisher) -> None:
    """When publishing returns, key, value and headers are in the topic."""
    assert publish(publisher()) == "delivered"
    (written,) = cluster.records()
    assert (written.topic(), written.key(), written.value()) == (TOPIC, b"redhat:1", RECORD.value)
    assert written.headers() == [("ce_id", b"1"), ("ce_type", "é".encode())]


def test_a_check_tells_whether_kafka_answers(
    cluster: MockCluster, publisher: MakePublisher
) -> None:
    """It passes again as soon as Kafka is back, and the metric says the same."""
    sending = publisher()
    with answering():
        for _ in range(2):
            check_until_it_passes(sending)
            assert connected("kafka") == 1
            with cluster.down(), pytest.raises(Unavailable, match=r"^kafka: "):
                sending.check()
            assert connected("kafka") == 0
        check_until_it_passes(sending)


def fault(publisher: Publisher) -> str:
    """Return what a check says, ``""`` when it passes."""
    try:
        publisher.check()
    except Unavailable as error:
        return str(error)
    return ""


def check_until_it_passes(publisher: Publisher) -> None:
    """Check until it passes."""
    eventually(lambda: not fault(publisher))


def test_a_check_waits_for_no_more_than_two_seconds(
    cluster: MockCluster, publisher: MakePublisher
) -> None:
    """A broker that says nothing does not hold up who asks, however late it would answer."""
    sending = publisher()
    check_until_it_passes(sending)
    with cluster.answering_after(600_000), pytest.raises(Unavailable, match=r"^kafka: "):
        sending.check()


def test_a_broker_that_answers_and_confirms_nothing_is_not_well(
    cluster: MockCluster, publisher: MakePublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too few replicas are in sync: metadata can be had, but a check says what stands still."""
    monkeypatch.setattr("cki_notifier.kafka.publish._UNCONFIRMED_SECONDS", 0.05)
    sending = publisher(delivery_timeout_ms="30000", retries="1000000")
    with answering(), ThreadPoolExecutor() as pool:
        check_until_it_passes(sending)
        with cluster.failing(KafkaError.NOT_ENOUGH_REPLICAS, times=1000):
            told = pool.submit(publish, sending)
            assert eventually(lambda: fault(sending)) == (
                "kafka: it answers, but confirms nothing: partition 0 has 1 of 1 replicas in sync"
            )
            assert connected("kafka") == 0
        assert told.result(PATIENCE) == "delivered"
        check_until_it_passes(sending)
        assert connected("kafka") == 1


def test_records_with_the_same_key_stay_in_order(
    cluster: MockCluster, publisher: MakePublisher
) -> None:
    """What is published later is read later, though the broker refused it in between."""
    sending = publisher(retries="100")
    values = [str(number).encode() for number in range(20)]
    for value in values:
        with cluster.failing(KafkaError.NOT_ENOUGH_REPLICAS):
            assert publish(sending, Record("redhat:1", value, {})) == "delivered"
    assert [message.value() for message in cluster.records()] == values


@pytest.mark.parametrize("size", [1_000_001, 5_000_000])
def test_a_large_record_is_left_to_the_broker(
    cluster: MockCluster, publisher: MakePublisher, size: int
) -> None:
    """The client's own limit does not stand in the way of what the broker takes."""
    assert publish(publisher(), Record("redhat:1", b"x" * size, {})) == "delivered"
    assert len(cluster.records()[0].value() or b"") == size


def test_a_record_above_the_clients_own_limit_is_too_large(publisher: MakePublisher) -> None:
    """Where the configuration has a limit, the record is refused for good, and at once."""
    limited = publisher(message_max_bytes="1000")
    with pytest.raises(TooLarge, match=r"kafka: .*too large"):
        limited.publish(Record("redhat:1", b"x" * 2000, {}), Deadline(PATIENCE))


def test_every_error_of_a_broker_is_mapped(cluster: MockCluster, publisher: MakePublisher) -> None:
    """Only a size is final, any other error is tried again, and after each one sending goes on.

    Some errors librdkafka gets over by itself, so that the record is delivered after all.
    """
    sending, outcomes = publisher(), {}
    for code, name in CODES.items():
        with cluster.failing(code):
            outcomes[name] = publish(sending)
        publish_until_it_works(sending)
    assert {name for name, it in outcomes.items() if it == "TooLarge"} == {
        "MSG_SIZE_TOO_LARGE",
        "RECORD_LIST_TOO_LARGE",
    }
    assert set(outcomes.values()) == {"TooLarge", "DeliveryUnknown", "delivered"}
    assert outcomes["TOPIC_AUTHORIZATION_FAILED"] == "DeliveryUnknown"
    assert outcomes["NOT_ENOUGH_REPLICAS"] == "DeliveryUnknown"
    assert outcomes["DUPLICATE_SEQUENCE_NUMBER"] == "DeliveryUnknown"  # it says not where it is


def test_what_kafka_did_not_confirm_is_counted(
    cluster: MockCluster, publisher: MakePublisher
) -> None:
    """A record that has to be tried again counts; one that is delivered or too large does not."""
    sending, limited = publisher(), publisher(message_max_bytes="1000")
    publish_until_it_works(sending)
    before = failures()
    with cluster.failing(KafkaError.NOT_ENOUGH_REPLICAS):
        assert publish(sending) == "DeliveryUnknown"
    assert failures() == before + 1
    assert publish(limited, Record("redhat:1", b"x" * 2000, {})) == "TooLarge"
    publish_until_it_works(limited)
    assert failures() == before + 1


def failures() -> float:
    """Return how many records Kafka did not confirm, as the metrics say."""
    return REGISTRY.get_sample_value("cki_notifier_kafka_failures_total") or 0


def test_after_an_authorisation_failure_it_is_unavailable_until_it_works(
    cluster: MockCluster, publisher: MakePublisher
) -> None:
    """Until the next look at the topic the client refuses records itself, which is no bug."""
    sending = publisher(topic_metadata_refresh_interval_ms="3000")
    refusal = None
    for _ in range(10):  # the client may look at the topic just between one record and the next
        publish_until_it_works(sending)
        with cluster.failing(KafkaError.TOPIC_AUTHORIZATION_FAILED):
            assert publish(sending) == "DeliveryUnknown"
            with pytest.raises(Unavailable, match="authorization") as caught:
                sending.publish(RECORD, Deadline(PATIENCE))
        refusal = re.search("Unable to produce", str(caught.value))
        if refusal:
            break
    assert refusal
    publish_until_it_works(sending)


def test_after_a_fatal_error_there_is_a_new_producer(
    cluster: MockCluster, publisher: MakePublisher, caplog: pytest.LogCaptureFixture
) -> None:
    """A producer that can't go on is replaced, and whoever waited is told that it is unknown."""
    sending = publisher()
    publish_until_it_works(sending)
    for fatal in (KafkaError.POLICY_VIOLATION, KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER):
        with cluster.failing(fatal):
            assert publish(sending) == "DeliveryUnknown"
    publish_until_it_works(sending)
    assert "kafka: down: " in caplog.text
    assert "kafka: back after" in caplog.text


def test_producers_that_are_refused_are_replaced_more_and_more_seldom(
    cluster: MockCluster, publisher: MakePublisher, caplog: pytest.LogCaptureFixture
) -> None:
    """Without the right to write there is no storm, of clients or of lines, and nobody waits.

    And once the right is there, it works by itself.
    """
    caplog.set_level(logging.INFO)
    before = renewals()
    with cluster.refusing_producers():
        sending = publisher()
        eventually(lambda: renewals() > before)
        for _ in range(3):
            began = time.monotonic()
            with pytest.raises(
                Unavailable,
                match=r"authorization failed|when the client was replaced|notification is over",
            ):
                sending.publish(RECORD, Deadline(1))
            assert time.monotonic() - began < PATIENCE / 3
            with pytest.raises(Unavailable, match=r"broker .*: Cluster authorization failed"):
                sending.check()
            assert connected("kafka") == 0
            time.sleep(1)
        assert 2 <= renewals() - before <= 4  # at first, after 1 s, after 2 s more, and 4 s more
    publish_until_it_works(sending)
    check_until_it_passes(sending)
    lines = [
        it.getMessage()
        for it in caplog.records
        if it.levelno > logging.WARNING and it.name != "librdkafka"
    ]
    assert len(lines) == 1
    assert lines[0].startswith("kafka: refuses us: ")
    assert "Cluster authorization failed" in lines[0]


def test_after_a_confirmed_record_the_pause_is_short_again(
    cluster: MockCluster, publisher: MakePublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One bad hour does not make the next hiccup long."""
    monkeypatch.setattr("cki_notifier.kafka.publish._FIRST_PAUSE_SECONDS", 0.01)
    with cluster.refusing_producers():
        sending, before = publisher(), renewals()
        eventually(lambda: renewals() - before > 5)
    publish_until_it_works(sending)
    with cluster.failing(KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER):
        assert publish(sending) == "DeliveryUnknown"
    publish_until_it_works(sending)
    assert sending._pause < 0.1  # noqa: SLF001  # the next one


def test_a_producer_whose_reports_can_not_be_had_makes_no_busy_loop(
    publisher: MakePublisher,
) -> None:
    """It is replaced like one that was refused."""
    sending, broken = publisher(), Broken()
    sending._producer = broken  # type: ignore[assignment]  # noqa: SLF001  # a stand-in
    eventually(lambda: broken.polls)
    time.sleep(0.5)
    assert broken.polls <= 2
    publish_until_it_works(sending)


def test_a_report_that_never_comes_is_not_waited_for(publisher: MakePublisher) -> None:
    """When its producer is replaced, what it had under way is unknown, and that at once."""
    sending = publisher(delivery_timeout_ms="60000")
    sending._producer = Mute()  # type: ignore[assignment]  # noqa: SLF001  # a stand-in
    began = time.monotonic()
    with pytest.raises(DeliveryUnknown):
        sending.publish(RECORD, Deadline(10 * PATIENCE))
    assert time.monotonic() - began < PATIENCE / 2
    publish_until_it_works(sending)


class Mute:
    """A producer that takes records and fails before it has reported any of them."""

    def __init__(self) -> None:
        self._has_records = False

    def produce(self, *_arguments: object, **_settings: object) -> None:
        """Take a record."""
        self._has_records = True

    def poll(self, seconds: float) -> int:
        """Fail as soon as there is something to report."""
        if self._has_records:
            raise KafkaException(KafkaError(KafkaError._FATAL))  # noqa: SLF001  # its own name
        time.sleep(seconds)
        return 0

    def purge(self) -> None:
        """Have nothing."""


class Broken:
    """A producer that can nothing."""

    def __init__(self) -> None:
        self.polls = 0

    def poll(self, _seconds: float) -> int:
        """Fail, and count that."""
        self.polls += 1
        raise KafkaException(KafkaError(KafkaError._FAIL))  # noqa: SLF001  # its own name

    def purge(self) -> None:
        """Have nothing."""


def test_where_no_producer_can_be_made_it_is_tried_again(
    cluster: MockCluster, publisher: MakePublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No thread, descriptor or memory may be left for a while: the process goes on."""
    monkeypatch.setattr("cki_notifier.kafka.publish._FIRST_PAUSE_SECONDS", 0.01)
    sending = publisher()
    publish_until_it_works(sending)
    make, failures = sending._new_producer, [MemoryError(), KafkaException(KafkaError(-1))]  # noqa: SLF001  # what fails

    def lacking() -> object:
        if failures:
            raise failures.pop()
        return make()

    monkeypatch.setattr(sending, "_new_producer", lacking)
    with cluster.failing(KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER):
        assert publish(sending) == "DeliveryUnknown"
    publish_until_it_works(sending)
    assert not failures


def test_it_is_closed_in_the_middle_of_a_pause(
    cluster: MockCluster, publisher: MakePublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end of the process does not wait for a new producer."""
    monkeypatch.setattr("cki_notifier.kafka.publish._FIRST_PAUSE_SECONDS", 1000.0)
    monkeypatch.setattr("cki_notifier.kafka.publish._LONGEST_PAUSE_SECONDS", 1000.0)
    before = renewals()
    with cluster.refusing_producers():
        sending = publisher()
        eventually(lambda: renewals() > before)
        began = time.monotonic()
        sending.close(1)
        assert time.monotonic() - began < PATIENCE / 2


def test_a_client_that_hangs_does_not_hold_up_the_end(publisher: MakePublisher) -> None:
    """As one that is taken down while its broker is frozen may."""
    sending, hanging = publisher(), Hanging()
    sending._producer = hanging  # type: ignore[assignment]  # noqa: SLF001  # a stand-in
    eventually(hanging.is_asked.is_set)
    began = time.monotonic()
    sending.close(0)
    assert time.monotonic() - began < PATIENCE / 2
    hanging.goes_on.set()


class Hanging:
    """A producer that does not return."""

    def __init__(self) -> None:
        self.is_asked, self.goes_on = threading.Event(), threading.Event()

    def poll(self, _seconds: float) -> int:
        """Hang."""
        self.is_asked.set()
        self.goes_on.wait(10 * PATIENCE)
        return 0

    def flush(self, _seconds: float) -> int:
        """Have nothing."""
        return 0


def renewals() -> float:
    """Return how many producers were replaced, as the metrics say."""
    labels = {"dependency": "kafka"}
    return REGISTRY.get_sample_value("cki_notifier_reconnects_total", labels) or 0


def test_what_only_seems_to_be_written_is_not_known_to_be(
    cluster: MockCluster, publisher: MakePublisher
) -> None:
    """A record is not taken for written because one that was sent after it is.

    The cluster refuses the first of two requests and takes the second, as a broker does whose topic
    is made again in between.
    """
    # With a hasty client's many looks at the topic, it would have none when the answers are late.
    patient = {"retries": "5", "topic_metadata_refresh_interval_ms": "300000"}
    sending = publisher(delivery_timeout_ms="20000", **patient)
    publish_until_it_works(sending)
    for attempt in range(10):  # on a slow machine the first may be answered before the second
        with (
            cluster.answering_after(500),
            cluster.failing(KafkaError.NOT_ENOUGH_REPLICAS, times=1),
            ThreadPoolExecutor() as pool,
        ):
            told = []
            for place in ("first", "second"):
                record = Record(f"redhat:{attempt}-{place}", b"{}", {})
                told.append(pool.submit(publish, sending, record))
                time.sleep(0.1)
        first, second = (it.result() for it in told)
        if first == "DeliveryUnknown":
            break
    assert (first, second) == ("DeliveryUnknown", "delivered")
    keys = [key.decode() for record in cluster.records() if isinstance(key := record.key(), bytes)]
    assert f"redhat:{attempt}-first" not in keys
    assert f"redhat:{attempt}-second" in keys


def test_without_an_answer_it_is_unknown(cluster: MockCluster, publisher: MakePublisher) -> None:
    """A broker that takes the record and says nothing may have written it."""
    sending = publisher()
    publish_until_it_works(sending)
    with cluster.answering_after(5000), pytest.raises(DeliveryUnknown) as caught:
        sending.publish(RECORD, Deadline(0.2))
    assert caught.value.service == "kafka"


def test_what_is_known_only_later_is_waited_for(
    cluster: MockCluster, publisher: MakePublisher
) -> None:
    """Once a record is handed over nobody can take it back, so its deadline does not count."""
    sending = publisher(delivery_timeout_ms="20000")
    publish_until_it_works(sending)
    with cluster.answering_after(1000):
        sending.publish(RECORD, Deadline(0.3, is_ours=lambda: True))
    assert len(cluster.records()) == 2


def test_what_is_not_ours_any_more_is_not_sent(
    cluster: MockCluster, publisher: MakePublisher
) -> None:
    """The broker hands it out to somebody else; while nobody can tell, it is not sent either."""
    sending = publisher()
    publish_until_it_works(sending)
    with pytest.raises(Interrupted, match="RabbitMQ redelivers the notification"):
        sending.publish(RECORD, Deadline(PATIENCE, is_ours=lambda: False))
    with pytest.raises(Unavailable, match="no data from RabbitMQ"):
        sending.publish(RECORD, Deadline(0.5, is_ours=lambda: None))
    told = iter([None, None, False])
    with pytest.raises(Interrupted):
        sending.publish(RECORD, Deadline(PATIENCE, is_ours=lambda: next(told)))
    assert len(cluster.records()) == 1
    told = iter([None, None, True])
    sending.publish(RECORD, Deadline(PATIENCE, is_ours=lambda: next(told)))
    assert len(cluster.records()) == 2


def test_a_broker_that_is_down_is_waited_for_until_the_timeout(
    cluster: MockCluster, publisher: MakePublisher
) -> None:
    """The client gives up after its own time, not that of the deadline; then it works again."""
    sending = publisher(delivery_timeout_ms="300", reconnect_backoff_max_ms="100")
    with cluster.down():
        started = time.monotonic()
        assert publish(sending) == "DeliveryUnknown"
        assert time.monotonic() - started < PATIENCE / 2
    publish_until_it_works(sending)


def test_a_full_queue_is_unavailable(cluster: MockCluster, publisher: MakePublisher) -> None:
    """While a record waits that can't be sent, the next one was certainly not sent."""
    sending = publisher(queue_buffering_max_messages="1", delivery_timeout_ms="20000")
    with cluster.down():
        assert publish(sending, seconds=0.1) == "DeliveryUnknown"
        assert publish(sending, seconds=0.3) == "Unavailable"


def test_closing_tells_what_is_left(
    cluster: MockCluster, publisher: MakePublisher, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is left after a delivery; what could not be sent is told of."""
    sending = publisher(delivery_timeout_ms="20000")
    assert publish(sending) == "delivered"
    sending.close(PATIENCE)
    assert "are left" not in caplog.text
    stuck = publisher(delivery_timeout_ms="20000")
    with cluster.down():
        assert publish(stuck, seconds=0.1) == "DeliveryUnknown"
        stuck.close(0.1)
    assert "are left" in caplog.text


def test_the_promise_can_not_be_configured_away(
    cluster: MockCluster, publisher: MakePublisher
) -> None:
    """Even settings that would weaken it are overruled: the producer asks for an identity."""
    sending = publisher(acks="0", enable_idempotence="false")
    with (
        cluster.failing(KafkaError.DUPLICATE_SEQUENCE_NUMBER, times=1),  # others don't know it
        pytest.raises(DeliveryUnknown, match="confirms only what was sent after"),
    ):
        sending.publish(RECORD, Deadline(PATIENCE))
    with cluster.failing(KafkaError.INVALID_REQUIRED_ACKS):  # with acks=0 nobody would hear
        assert publish(sending) == "DeliveryUnknown"
