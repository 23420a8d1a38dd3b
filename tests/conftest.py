"""Fixtures of several rooms: real brokers for the whole run, services for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cki_notifier.configuration.certificates import certificate_authorities
from cki_notifier.sources.transfer import Transfers
from cki_notifier.telemetry import metrics
from tests.brokers.stage import Stage
from tools.brokers.kafka import Kafka
from tools.brokers.rabbitmq import RabbitMQ
from tools.stand_ins import Sentry, Services, Warehouse


@pytest.fixture(autouse=True)
def _connections() -> None:
    """Forget how the connections of the test before did."""
    metrics.connected.clear()


@pytest.fixture(scope="session")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQ]:
    """A private RabbitMQ."""
    with RabbitMQ(tmp_path_factory.mktemp("rabbitmq")) as broker:
        yield broker


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """A private Kafka."""
    with Kafka(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker


@pytest.fixture
def services() -> Iterator[Services]:
    """A warehouse, a GitLab and a Jira."""
    with Services() as running:
        yield running


@pytest.fixture
def elsewhere() -> Iterator[Warehouse]:
    """Another server, which nobody has any business with."""
    server = Warehouse()
    server.up()
    yield server
    server.stop()


@pytest.fixture
def transfers() -> Iterator[Transfers]:
    """The HTTP transfers."""
    transfers = Transfers(certificate_authorities())
    yield transfers
    transfers.close()


@pytest.fixture
def sentry() -> Iterator[Sentry]:
    """A Sentry that is up."""
    service = Sentry()
    service.up()
    yield service
    service.stop()


@pytest.fixture
def stage(rabbitmq: RabbitMQ, kafka: Kafka, services: Services, tmp_path: Path) -> Iterator[Stage]:
    """Everything around a daemon that is not started yet."""
    with Stage(rabbitmq, kafka.bootstrap, services, tmp_path) as prepared:
        kafka.create_topic(prepared.topic)
        yield prepared
