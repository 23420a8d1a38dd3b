"""The topic on the Kafka of the ``KAFKA_…`` variables.

``python -m tools.demo.topic`` creates a missing topic.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from cki_notifier.configuration.settings import read_config, revealed
from cki_notifier.kafka.client import setting_faults
from tools.brokers.kafka import Topic

SERVERS = "KAFKA_BOOTSTRAP_SERVERS"

#: The daemon's default, for a private Kafka.
TOPIC = "kafka.tx.cki.ready-for-test"

#: Values that the daemon's configuration requires besides Kafka.
_ELSEWHERE = {
    "CKI_DEPLOYMENT_ENVIRONMENT": "staging",
    "DATAWAREHOUSE_URL": "http://127.0.0.1",
    "DATAWAREHOUSE_TOKEN": "none",
}


def given_variables() -> dict[str, str]:
    """Return the environment's `KAFKA_…` variables, with absolute paths."""
    return {
        name: str(Path(value).absolute()) if name.endswith(("_FILE", "_LOCATION")) else value
        for name, value in os.environ.items()
        if name.startswith("KAFKA_") and value
    }


def topic_of(variables: Mapping[str, str]) -> Topic:
    """Return the topic of the daemon with these `KAFKA_…` variables.

    Uses the daemon's own code to read the variables.

    Raises:
        ConfigurationError: a variable is invalid.
    """
    config = read_config(
        _ELSEWHERE | dict(variables), needs_rabbitmq=False, check_kafka=setting_faults
    )
    assert config.kafka is not None  # staging requires it
    # Shows errors of librdkafka's log: only they say why a server can't be reached.
    return Topic(config.kafka.topic, {**revealed(config.kafka.settings), "log_level": 3})


def main() -> int:
    """Create the topic, if it is missing; return the exit code."""
    topic = topic_of(os.environ)
    if not topic.partitions():
        topic.create()
        topic.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
