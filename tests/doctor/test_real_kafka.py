"""The doctor's findings about a real Kafka, with and without users, and about other servers."""

import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from socket import create_server
from uuid import uuid4

import pytest
import trustme
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # it has no list of its names
    AclOperation,
    AdminClient,
)

from tests.brokers.stage import Stage
from tests.doctor.running import Report, doctor
from tools.brokers.kafka import Kafka, MockKafka
from tools.brokers.rabbitmq import RabbitMQ
from tools.stand_ins import Services

PASSWORDS = {"writer": "hush-writer", "reader": "hush-reader"}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """A Kafka whose users may do what they are allowed, and that makes topics by itself."""
    settings = {"auto.create.topics.enable": "true"}
    folder = tmp_path_factory.mktemp("guarded")
    with Kafka(folder, settings=settings, users=PASSWORDS) as broker:
        yield broker


@pytest.fixture
def guarded_stage(
    rabbitmq: RabbitMQ, guarded: Kafka, services: Services, tmp_path: Path
) -> Iterator[Stage]:
    """A stage around the Kafka with users, of whom one may write to the topic and one may not."""
    with Stage(rabbitmq, guarded.bootstrap, services, tmp_path) as prepared:
        guarded.create_topic(prepared.topic)
        guarded.allow("writer", AclOperation.WRITE, prepared.topic)
        guarded.allow("reader", AclOperation.READ, prepared.topic)
        yield prepared


def log_in(guarded: Kafka, user: str, password: str | None = None) -> dict[str, str]:
    """Return the variables of a user."""
    return {
        "KAFKA_BOOTSTRAP_SERVERS": guarded.sasl_bootstrap,
        "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "KAFKA_SASL_MECHANISM": "PLAIN",
        "KAFKA_SASL_USERNAME": user,
        "KAFKA_SASL_PASSWORD": password or PASSWORDS[user],
    }


def states(report: Report) -> dict[str, str]:
    """Return the states of the rows about Kafka; no password is in any row."""
    rows = {name: row for name, row in report.rows.items() if name.startswith("kafka")}
    assert "hush" not in repr(rows)
    return {name: row.state for name, row in rows.items()}


def test_a_kafka_that_guards_nothing_is_fine(stage: Stage) -> None:
    """Without users everything is allowed."""
    report = doctor(stage)
    assert states(report) == {
        "kafka": "ok",
        "kafka topic": "ok",
        "kafka write": "ok",
        "kafka read": "ok",
    }
    assert report.rows["kafka"].text == "connected; the cluster has 1 broker"
    assert report.rows["kafka topic"].text == f"{stage.topic}: 3 partitions, all in sync"


def test_a_kafka_without_a_controller_can_be_used(stage: Stage) -> None:
    """It is not called unreachable: only what just a controller tells is left out."""
    mock = MockKafka()
    there = {"KAFKA_BOOTSTRAP_SERVERS": mock.bootstrap}
    missing = doctor(stage, **there)
    mock.create_topic(stage.topic)
    report = doctor(stage, **there)
    assert states(missing) == {"kafka": "warning", "kafka topic": "failed"}
    assert states(report) == {
        "kafka": "warning",
        "kafka topic": "ok",
        "kafka write": "skipped",
        "kafka read": "skipped",
    }
    assert report.rows["kafka"].text == "connected; the cluster has 1 broker and no controller"
    assert report.rows["kafka topic"].text == f"{stage.topic}: 4 partitions, all in sync"


def test_a_user_who_may_write_is_fine(guarded_stage: Stage, guarded: Kafka) -> None:
    """The doctor asks for permissions, and writes nothing."""
    report = doctor(guarded_stage, **log_in(guarded, "writer"))
    assert states(report) == {
        "kafka": "ok",
        "kafka topic": "ok",
        "kafka write": "ok",
        "kafka read": "warning",
    }


def test_a_user_who_may_not_write_fails(guarded_stage: Stage, guarded: Kafka) -> None:
    """The row says what is allowed instead."""
    report = doctor(guarded_stage, **log_in(guarded, "reader"))
    assert report.code == 1
    assert states(report) == {
        "kafka": "ok",
        "kafka topic": "ok",
        "kafka write": "failed",
        "kafka read": "ok",
    }
    assert report.rows["kafka write"].text.endswith("allowed operations: describe, read")


def test_a_topic_that_a_user_may_not_see_fails(guarded_stage: Stage, guarded: Kafka) -> None:
    """Kafka does not say whether it is there."""
    report = doctor(guarded_stage, **log_in(guarded, "writer"), KAFKA_TOPIC="hidden")
    assert states(report) == {"kafka": "ok", "kafka topic": "failed"}
    assert "or the user may neither write to it nor see it" in report.rows["kafka topic"].text


def test_a_login_that_is_refused_fails(guarded_stage: Stage, guarded: Kafka) -> None:
    """The broker's words are there, the password is not."""
    report = doctor(guarded_stage, **log_in(guarded, "writer", "hush-wrong"))
    assert states(report) == {"kafka": "failed"}
    assert report.rows["kafka"].text.startswith("Kafka refuses the login: ")
    assert "Invalid username or password" in report.rows["kafka"].text
    assert "KAFKA_SASL_PASSWORD" in report.rows["kafka"].advice


def test_a_mechanism_that_the_broker_lacks_fails(guarded_stage: Stage, guarded: Kafka) -> None:
    """It is a login that is refused, too, and the broker says what it has."""
    changes = log_in(guarded, "writer") | {"KAFKA_SASL_MECHANISM": "SCRAM-SHA-512"}
    row = doctor(guarded_stage, **changes).rows["kafka"]
    assert row.text.startswith("Kafka refuses the login: ")
    assert "supported mechanisms: PLAIN" in row.text


def test_a_topic_that_is_missing_fails_and_is_not_made(
    guarded_stage: Stage, guarded: Kafka
) -> None:
    """Not even by a broker that creates each topic that a client asks for."""
    missing = f"missing.{uuid4().hex}"
    report = doctor(guarded_stage, KAFKA_TOPIC=missing)
    assert states(report) == {"kafka": "ok", "kafka topic": "failed"}
    assert report.rows["kafka topic"].text == f"the topic {missing} does not exist"
    admin = AdminClient({"bootstrap.servers": guarded.bootstrap})
    assert missing not in admin.list_topics(timeout=10).topics


def test_too_few_replicas_fail(stage: Stage, kafka: Kafka) -> None:
    """Kafka would refuse every record."""
    topic = f"{stage.topic}.strict"
    kafka.create_topic(topic, config={"min.insync.replicas": "2"})
    row = doctor(stage, KAFKA_TOPIC=topic).rows["kafka topic"]
    assert row.state == "failed"
    assert "fewer in-sync replicas than min.insync.replicas (2) for partitions 0, 1, 2" in row.text


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nowhere.invalid:9092"])
def test_brokers_that_can_not_be_reached_fail(stage: Stage, address: str) -> None:
    """The row has librdkafka's words, and comes before the time is over."""
    report = doctor(stage, KAFKA_BOOTSTRAP_SERVERS=address)
    assert states(report) == {"kafka": "failed"}
    assert report.rows["kafka"].text.startswith(f"can't be reached: {address}/bootstrap: ")
    assert "KAFKA_BOOTSTRAP_SERVERS" in report.rows["kafka"].advice


def test_one_of_several_brokers_is_enough(stage: Stage) -> None:
    """A broker that is down does not hide those that are not."""
    report = doctor(stage, KAFKA_BOOTSTRAP_SERVERS=f"127.0.0.1:1,{stage.bootstrap}")
    assert states(report)["kafka"] == "ok"


def test_brokers_without_tls_fail(stage: Stage) -> None:
    """It is told that TLS fails, not only that nobody answers."""
    row = doctor(stage, KAFKA_SECURITY_PROTOCOL="SSL").rows["kafka"]
    assert row.text.startswith("no TLS connection: ")
    assert "KAFKA_SECURITY_PROTOCOL" in row.advice


@pytest.fixture
def strange_tls() -> Iterator[int]:
    """Return the port of a server whose certificate nobody trusts."""
    certificate = trustme.CA().issue_cert("127.0.0.1")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.configure_cert(context)
    listener = create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                context.wrap_socket(client, server_side=True).close()
            except OSError:
                client.close()

    thread = threading.Thread(target=serve)
    thread.start()
    yield listener.getsockname()[1]
    listener.shutdown(2)
    thread.join()
    listener.close()


def test_a_certificate_that_nobody_trusts_fails(stage: Stage, strange_tls: int) -> None:
    """The advice names the variable that holds whom to trust."""
    changes = {
        "KAFKA_SECURITY_PROTOCOL": "SSL",
        "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{strange_tls}",
    }
    row = doctor(stage, **changes).rows["kafka"]
    assert row.text.startswith("no TLS connection: ")
    assert "certificate verify failed" in row.text
    assert "KAFKA_SSL_CA_LOCATION" in row.advice


def test_a_kafka_that_hangs_does_not_hold_up_the_report(
    guarded_stage: Stage, guarded: Kafka
) -> None:
    """It takes connections and says nothing."""
    guarded.freeze()
    try:
        report = doctor(guarded_stage, "--timeout", "3")
    finally:
        guarded.thaw()
    assert states(report) == {"kafka": "failed"}
