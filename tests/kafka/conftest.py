"""Fixtures for the tests of the edge to Kafka."""

from collections.abc import Iterator

import pytest

from tools.brokers.kafka import Kafka

#: A cluster that creates topics automatically, and takes transactions with a single node.
_SETTINGS = {
    "auto.create.topics.enable": "true",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
}


@pytest.fixture(scope="session")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """A Kafka that creates topics automatically, with a user without rights."""
    folder = tmp_path_factory.mktemp("guarded")
    with Kafka(folder, settings=_SETTINGS, users={"writer": "hush"}) as broker:
        yield broker
