"""Fixtures of several rooms: real brokers for the whole run, services for each test."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from cki_notifier.configuration.certificates import certificate_authorities
from cki_notifier.sources.transfer import Transfers
from cki_notifier.telemetry import metrics
from tests.brokers.stage import Stage
from tools.brokers.kafka import Kafka
from tools.brokers.rabbitmq import RabbitMQ
from tools.stand_ins import Sentry, Services, Warehouse

#: The folders and files that take longest, in this order. The others are quick, and come last.
LONGEST: Final = (
    *("dead_letters/test_on_rabbitmq", "daemon/test_failures", "tools/supply", "docs/test_c"),
    *("by_hand", "doctor/test_p", "docs", "daemon", "test_redirections", "audit", "doctor"),
    *("deploy", "tools", "dead_letters", "test_unprintable", "web", "test_any_input"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest, so that in the end no worker is left alone with one of them."""
    items.sort(key=_rank)


def _rank(item: pytest.Item) -> int:
    name = item.path.relative_to(Path(__file__).parent).as_posix()
    return next((rank for rank, it in enumerate(LONGEST) if name.startswith(it)), len(LONGEST))


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
