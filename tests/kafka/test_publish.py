"""Publishing to Kafka: the written records, and the meaning of each failure.

The broker is librdkafka's own mock cluster, which answers with any given error.
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
#: A producer that gives up soon, retries once, and asks for the topic often.
HASTY: Final = {
    "delivery.timeout.ms": "2000",
    "retries": "1",
    "retry.backoff.ms": "1",
    "retry.backoff.max.ms": "1",
    "topic.metadata.refresh.interval.ms": "10",
}
#: The errors of a broker.
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
    """Publish a record and return the result in a word."""
    try:
        publisher.publish(record, Deadline(seconds))
    except NotifierError as error:
        return type(error).__name__
    return "delivered"


def publish_until_it_works(publisher: Publisher, record: Record = RECORD) -> None:
    """Publish until a record is delivered, like the retry queues."""
    eventually(lambda: publish(publisher, record) == "delivered")


def test_a_record_arrives_as_it_is(cluster: MockCluster, publisher: MakePublisher) -> None:
    """After publishing, key, value and headers are in the topic."""
    assert publish(publisher()) == "delivered"
    (written,) = cluster.records()
    assert (written.topic(), written.key(), written.value()) == (TOPIC, b"redhat:1", RECORD.value)
    assert written.headers() == [("ce_id", b"1"), ("ce_type", "é".encode())]


def test_a_check_tells_whether_kafka_answers(
    cluster: MockCluster, publisher: MakePublisher
) -> None:
    """The check and the metric recover with Kafka."""
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
    """Return the error of a check, ``""`` if it passes."""
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
    """A silent broker does not hold up the check."""
    sending = publisher()
    check_until_it_passes(sending)
    with cluster.answering_after(600_000), pytest.raises(Unavailable, match=r"^kafka: "):
        sending.check()


def test_a_broker_that_answers_and_confirms_nothing_is_not_well(
    cluster: MockCluster, publisher: MakePublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With too few replicas in sync, the metadata are available, but a check fails."""
    monkeypatch.setattr("cki_notifier.kafka.publish._UNCONFIRMED_SECONDS", 0.05)
    sending = publisher(delivery_timeout_ms="30000", retries="1000000")
    with answering(), ThreadPoolExecutor() as pool:
        check_until_it_passes(sending)
        with cluster.failing(KafkaError.NOT_ENOUGH_REPLICAS, times=1000):
            told = pool.submit(publish, sending)
            assert eventually(lambda: fault(sending)) == (
                "kafka: the broker answers, but confirms nothing: "
                "partition 0 has 1 of 1 replicas in sync"
            )
            assert connected("kafka") == 0
        assert told.result(PATIENCE) == "delivered"
        check_until_it_passes(sending)
        assert connected("kafka") == 1


def test_records_with_the_same_key_stay_in_order(
    cluster: MockCluster, publisher: MakePublisher
) -> None:
    """The order of publishing stays, though the broker refused some in between."""
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
    """The client has no limit of its own."""
    assert publish(publisher(), Record("redhat:1", b"x" * size, {})) == "delivered"
    assert len(cluster.records()[0].value() or b"") == size


def test_a_record_above_the_clients_own_limit_is_too_large(publisher: MakePublisher) -> None:
    """With a limit in the configuration, the client refuses the record at once."""
    limited = publisher(message_max_bytes="1000")
    with pytest.raises(TooLarge, match=r"kafka: .*too large"):
        limited.publish(Record("redhat:1", b"x" * 2000, {}), Deadline(PATIENCE))


def test_every_error_of_a_broker_is_mapped(cluster: MockCluster, publisher: MakePublisher) -> None:
    """Only a wrong size is final. After each error, the publisher works again.

    librdkafka itself recovers from some errors and delivers the record.
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
    assert outcomes["DUPLICATE_SEQUENCE_NUMBER"] == "DeliveryUnknown"  # it has no offset


def test_what_kafka_did_not_confirm_is_counted(
    cluster: MockCluster, publisher: MakePublisher
) -> None:
    """A record to retry counts. A delivered or too large one does not."""
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
    """Return the number of unconfirmed records, from the metrics."""
    return REGISTRY.get_sample_value("cki_notifier_kafka_failures_total") or 0


def test_after_an_authorisation_failure_it_is_unavailable_until_it_works(
    cluster: MockCluster, publisher: MakePublisher
) -> None:
    """Until it next asks for the topic, the client itself refuses records."""
    sending = publisher(topic_metadata_refresh_interval_ms="3000")
    refusal = None
    for _ in range(10):  # the client may ask for the topic just between two records
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
    """The producer is replaced, and the waiting records end as delivery unknown."""
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
    """Without the right to write, there are few new clients and log lines, and no waits.

    With the right, the publisher works again by itself.
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
                match=r"authorization failed|replaced before|notification is over",
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
    assert lines[0].startswith("kafka: refuses access: ")
    assert "Cluster authorization failed" in lines[0]


def test_after_a_confirmed_record_the_pause_is_short_again(
    cluster: MockCluster, publisher: MakePublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long outage does not prolong the next short one."""
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
    """It is replaced like a refused one."""
    sending, broken = publisher(), Broken()
    sending._producer = broken  # type: ignore[assignment]  # noqa: SLF001  # a stand-in
    eventually(lambda: broken.polls)
    time.sleep(0.5)
    assert broken.polls <= 2
    publish_until_it_works(sending)


def test_a_report_that_never_comes_is_not_waited_for(publisher: MakePublisher) -> None:
    """With the replacement of the producer, its records end as delivery unknown at once."""
    sending = publisher(delivery_timeout_ms="60000")
    sending._producer = Mute()  # type: ignore[assignment]  # noqa: SLF001  # a stand-in
    began = time.monotonic()
    with pytest.raises(DeliveryUnknown):
        sending.publish(RECORD, Deadline(10 * PATIENCE))
    assert time.monotonic() - began < PATIENCE / 2
    publish_until_it_works(sending)


class Mute:
    """A producer that takes records and fails before any report."""

    def __init__(self) -> None:
        self._has_records = False

    def produce(self, *_arguments: object, **_settings: object) -> None:
        """Take a record."""
        self._has_records = True

    def poll(self, seconds: float) -> int:
        """Fail as soon as there is a report."""
        if self._has_records:
            raise KafkaException(KafkaError(KafkaError._FATAL))  # noqa: SLF001  # its own name
        time.sleep(seconds)
        return 0

    def purge(self) -> None:
        """Have nothing."""


class Broken:
    """A producer that always fails."""

    def __init__(self) -> None:
        self.polls = 0

    def poll(self, _seconds: float) -> int:
        """Fail, and count the failure."""
        self.polls += 1
        raise KafkaException(KafkaError(KafkaError._FAIL))  # noqa: SLF001  # its own name

    def purge(self) -> None:
        """Have nothing."""


def test_where_no_producer_can_be_made_it_is_tried_again(
    cluster: MockCluster, publisher: MakePublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process survives a temporary lack of threads, descriptors or memory."""
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
    """Closing a client can hang while its broker is frozen."""
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
    """Return the number of replaced producers, from the metrics."""
    labels = {"dependency": "kafka"}
    return REGISTRY.get_sample_value("cki_notifier_reconnects_total", labels) or 0


def test_what_only_seems_to_be_written_is_not_known_to_be(
    cluster: MockCluster, publisher: MakePublisher
) -> None:
    """The confirmation of a later record does not confirm an earlier one.

    The cluster refuses the first of two requests and takes the second, like a broker whose topic is
    recreated in between.
    """
    # A client that asks for the topic often would lose it when the answers are late.
    patient = {"retries": "5", "topic_metadata_refresh_interval_ms": "300000"}
    sending = publisher(delivery_timeout_ms="20000", **patient)
    publish_until_it_works(sending)
    for attempt in range(10):  # on a slow machine, the first answer may precede the second request
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
    """A silent broker may have written the record."""
    sending = publisher()
    publish_until_it_works(sending)
    with cluster.answering_after(5000), pytest.raises(DeliveryUnknown) as caught:
        sending.publish(RECORD, Deadline(0.2))
    assert caught.value.service == "kafka"


def test_what_is_known_only_later_is_waited_for(
    cluster: MockCluster, publisher: MakePublisher
) -> None:
    """Nobody can withdraw a record from the client, so its deadline does not count."""
    sending = publisher(delivery_timeout_ms="20000")
    publish_until_it_works(sending)
    with cluster.answering_after(1000):
        sending.publish(RECORD, Deadline(0.3, is_ours=lambda: True))
    assert len(cluster.records()) == 2


def test_what_is_not_ours_any_more_is_not_sent(
    cluster: MockCluster, publisher: MakePublisher
) -> None:
    """RabbitMQ redelivers the notification. While that is uncertain, nothing is sent, either."""
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
    """The client's own timeout counts, not the deadline. Then the client works again."""
    sending = publisher(delivery_timeout_ms="300", reconnect_backoff_max_ms="100")
    with cluster.down():
        started = time.monotonic()
        assert publish(sending) == "DeliveryUnknown"
        assert time.monotonic() - started < PATIENCE / 2
    publish_until_it_works(sending)


def test_a_full_queue_is_unavailable(cluster: MockCluster, publisher: MakePublisher) -> None:
    """While a record waits in the queue, the next one was certainly not sent."""
    sending = publisher(queue_buffering_max_messages="1", delivery_timeout_ms="20000")
    with cluster.down():
        assert publish(sending, seconds=0.1) == "DeliveryUnknown"
        assert publish(sending, seconds=0.3) == "Unavailable"


def test_closing_tells_what_is_left(
    cluster: MockCluster, publisher: MakePublisher, caplog: pytest.LogCaptureFixture
) -> None:
    """The log has the number of undelivered records, and nothing after a delivery."""
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
    """The fixed settings override weaker ones: the producer asks for an identity."""
    sending = publisher(acks="0", enable_idempotence="false")
    with (
        cluster.failing(
            KafkaError.DUPLICATE_SEQUENCE_NUMBER, times=1
        ),  # others don't know this error
        pytest.raises(DeliveryUnknown, match="the delivery report has no offset"),
    ):
        sending.publish(RECORD, Deadline(PATIENCE))
    with cluster.failing(KafkaError.INVALID_REQUIRED_ACKS):  # with acks=0 it would get lost
        assert publish(sending) == "DeliveryUnknown"
