"""The topic on the Kafka that the ``KAFKA_…`` variables lead to.

``python -m tools.demo.topic`` makes it, if it is missing.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from cki_notifier.configuration.settings import read_config, revealed
from cki_notifier.kafka.client import setting_faults
from tools.brokers.kafka import Topic

SERVERS = "KAFKA_BOOTSTRAP_SERVERS"

#: The daemon's own default, for a Kafka that nobody else uses.
TOPIC = "kafka.tx.cki.ready-for-test"

#: What the daemon's configuration asks for besides Kafka.
_ELSEWHERE = {
    "CKI_DEPLOYMENT_ENVIRONMENT": "staging",
    "DATAWAREHOUSE_URL": "http://127.0.0.1",
    "DATAWAREHOUSE_TOKEN": "none",
}


def given_variables() -> dict[str, str]:
    """Return the environment's `KAFKA_…` variables, with paths that hold in any folder."""
    return {
        name: str(Path(value).absolute()) if name.endswith(("_FILE", "_LOCATION")) else value
        for name, value in os.environ.items()
        if name.startswith("KAFKA_") and value
    }


def topic_of(variables: Mapping[str, str]) -> Topic:
    """Return the topic that `KAFKA_…` variables lead the daemon to.

    The daemon's own reading of the variables is used, so that whatever leads the daemon to the
    server leads here as well.

    Raises:
        ConfigurationError: there are faults in the variables.
    """
    config = read_config(
        _ELSEWHERE | dict(variables), needs_rabbitmq=False, check_kafka=setting_faults
    )
    assert config.kafka is not None  # read for staging, which needs it
    # librdkafka's log is shown from errors on: why a server can't be reached is only there.
    return Topic(config.kafka.topic, {**revealed(config.kafka.settings), "log_level": 3})


def main() -> int:
    """Make the topic, unless it is there; return the exit code."""
    topic = topic_of(os.environ)
    if not topic.partitions():
        topic.create()
        topic.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
