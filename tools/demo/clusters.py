"""Which Kafka the demo uses: a mock, a real one of its own, or the one of `KAFKA_…` variables."""

import contextlib
from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

from confluent_kafka import KafkaException

from tools.brokers.clusters import KafkaCluster
from tools.brokers.kafka import Kafka, MockKafka
from tools.demo.interrupts import Interrupts
from tools.demo.topic import Topic

#: The daemon's own default, for a Kafka that nobody else uses.
TOPIC = "kafka.tx.cki.ready-for-test"

SERVERS = "KAFKA_BOOTSTRAP_SERVERS"
_FILES = ("_FILE", "_LOCATION")


class Cluster:
    """A Kafka that is up, with a topic that is there.

    Attributes:
        title: what it is, for the screen.
        variables: lead the daemon to it.
        topic: the one the daemon writes to.
    """

    def __init__(self, title: str, variables: Mapping[str, str]) -> None:
        self.title = title
        self.variables = dict(variables)
        self.topic = Topic(variables)

    @property
    def bootstrap(self) -> str:
        """The brokers' addresses."""
        return self.variables[SERVERS]


def mock(stack: contextlib.ExitStack) -> Cluster:
    """Start librdkafka's mock, which needs no Java; it ends with the stack."""
    kafka = stack.enter_context(MockKafka())
    cluster = Cluster("Kafka (librdkafka's mock cluster)", _variables(kafka.bootstrap))
    cluster.topic.ask_for()
    return cluster


def real(stack: contextlib.ExitStack, kafka: Kafka | KafkaCluster) -> Cluster:
    """Start a real broker, or three; it ends with the stack."""
    # Before the start, so that it is ended however far the start came. Nothing has to be kept.
    stack.callback(kafka.kill)
    kafka.start()
    kafka.create_topic(TOPIC)
    return Cluster("Kafka (a real broker)", _variables(kafka.bootstrap))


def given(
    stack: contextlib.ExitStack, environ: Mapping[str, str], interrupts: Interrupts
) -> Cluster:
    """Use the Kafka that the environment leads to.

    The topic is `KAFKA_TOPIC`, or one with a name of its own, so that nobody's topic is written to
    by surprise. When it isn't there it is made, and removed with the stack.

    Raises:
        ConfigurationError: there are faults in the variables.
        KafkaException: the server can't be reached or refuses.
    """
    own_name = f"cki-notifier-demo-{uuid4().hex[:8]}"
    variables = {"KAFKA_TOPIC": own_name} | given_variables(environ)
    cluster = Cluster("Kafka (yours)", variables)
    if not cluster.topic.exists():
        with interrupts.postponed():
            cluster.topic.create()
            stack.callback(_delete, cluster.topic)
        cluster.topic.wait()
    return cluster


def is_given(environ: Mapping[str, str]) -> bool:
    """Tell whether the environment names a Kafka."""
    return bool(environ.get(SERVERS))


def given_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment's `KAFKA_…` variables, with paths that hold in any folder."""
    return {
        name: str(Path(value).absolute()) if name.endswith(_FILES) else value
        for name, value in environ.items()
        if name.startswith("KAFKA_") and value
    }


def _variables(bootstrap: str) -> dict[str, str]:
    return {SERVERS: bootstrap, "KAFKA_TOPIC": TOPIC}


def _delete(topic: Topic) -> None:
    try:
        topic.delete()
    except (KafkaException, TimeoutError) as error:
        print(f"The topic {topic.name} could not be deleted: {error}")
