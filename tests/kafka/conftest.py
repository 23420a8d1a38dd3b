"""What the tests of the edge to Kafka share."""

from collections.abc import Iterator

import pytest

from tools.brokers.kafka import Kafka

#: A cluster that makes topics by itself, and takes transactions though it has one node.
_SETTINGS = {
    "auto.create.topics.enable": "true",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
}


@pytest.fixture(scope="session")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """A Kafka with a user who may do nothing yet, and that makes topics by itself."""
    folder = tmp_path_factory.mktemp("guarded")
    with Kafka(folder, settings=_SETTINGS, users={"writer": "hush"}) as broker:
        yield broker
