"""Questions to a Kafka cluster, none of which makes a topic or writes anything.

Not the client's ``list_topics`` with a topic's name: where brokers create topics by themselves, a
producer that asks for a topic gets it made.
"""

import re
import time
from collections.abc import Callable
from concurrent.futures import Future
from enum import StrEnum
from typing import Any, TypeVar

from msgspec import Struct

from cki_notifier.configuration.settings import KafkaConfig, revealed
from cki_notifier.kafka.client import (
    LIBRDKAFKA_LOG,
    AdminClient,
    ClusterMetadata,
    ConfigResource,
    KafkaError,
    KafkaException,
    ResourceType,
    TopicCollection,
    TopicDescription,
    described,
)
from cki_notifier.workers.deadline import Deadline

T = TypeVar("T")

#: How long a broker may take to say who is there, before it is asked in the other way alone.
_METADATA_SECONDS = 2.0
#: How long librdkafka may go on trying after it could not use a broker, in seconds.
_TRIES_SECONDS = 3.0
_POLL_SECONDS = 0.1
_LEAST_IN_SYNC = "min.insync.replicas"


class Trouble(StrEnum):
    """What is in the way of an answer."""

    LOGIN = "login"
    TLS = "TLS"
    NO_TOPIC = "no topic"
    FORBIDDEN = "forbidden"
    OTHER = "other"


#: By the names of librdkafka's errors.
_TROUBLES = {
    "_AUTHENTICATION": Trouble.LOGIN,
    "SASL_AUTHENTICATION_FAILED": Trouble.LOGIN,
    "_SSL": Trouble.TLS,
    "UNKNOWN_TOPIC_OR_PART": Trouble.NO_TOPIC,
    "TOPIC_AUTHORIZATION_FAILED": Trouble.FORBIDDEN,
}
#: What fails in TLS may go by the name of any error; OpenSSL and librdkafka say it so.
_TLS = re.compile("SSL[ _](handshake|routines)", re.IGNORECASE)
#: These say only that there is no answer; what was heard before says why.
_SAYS_LITTLE = frozenset({"_ALL_BROKERS_DOWN", "_TIMED_OUT"})


class NoAnswer(Exception):
    """The cluster gave no answer, or not the one to this question.

    Attributes:
        trouble: what is in the way.
    """

    def __init__(self, text: str, trouble: Trouble = Trouble.OTHER) -> None:
        super().__init__(text)
        self.trouble = trouble


class Partition(Struct, frozen=True):
    """A partition: whether a broker leads it, and how many replicas it has, and has in sync."""

    id: int
    is_led: bool
    in_sync: int
    replicas: int


class Topic(Struct, frozen=True):
    """A topic.

    Attributes:
        partitions: all of them.
        allowed: the operations we may do, in lower case; None when the cluster does not tell.
        least_in_sync: how many replicas must have a record; None when we may not know.
    """

    partitions: tuple[Partition, ...]
    allowed: frozenset[str] | None
    least_in_sync: int | None


class Cluster:
    """A cluster that is asked about itself.

    Args:
        config: how to reach it; settings that
            :func:`cki_notifier.kafka.client.setting_faults` accepted.
        deadline: for all questions together.
    """

    def __init__(self, config: KafkaConfig, deadline: Deadline) -> None:
        self._topic = config.topic
        self._deadline = deadline
        self._errors: list[KafkaError] = []
        self._failing_since: float | None = None
        # An idempotent producer would ask for an identity.
        settings: dict[str, Any] = revealed(config.settings) | {"enable.idempotence": "false"}
        settings["error_cb"] = self._on_error
        self._client = AdminClient(settings, logger=LIBRDKAFKA_LOG)

    def metadata(self) -> ClusterMetadata | None:
        """Return what each broker knows of a cluster without a controller, None where there is one.

        Such a cluster takes and hands out records, but answers nothing of what else is asked here.
        """
        try:
            told = self._client.list_topics(
                timeout=min(_METADATA_SECONDS, self._deadline.remaining())
            )
        except KafkaException:
            return None  # why is found out in the other way
        return None if not told.brokers or told.controller_id in told.brokers else told

    def brokers(self) -> int:
        """Return how many brokers there are; raise :class:`NoAnswer`."""
        return len(self._answer(self._client.describe_cluster).nodes)

    def topic(self) -> Topic:
        """Return what is known of the topic; raise :class:`NoAnswer`."""

        def ask(**options: Any) -> "Future[TopicDescription]":
            topics = TopicCollection([self._topic])
            options["include_authorized_operations"] = True
            return self._client.describe_topics(topics, **options)[self._topic]

        described = self._answer(ask)
        allowed: Any = described.authorized_operations
        return Topic(
            tuple(_partition(it) for it in described.partitions),
            None if allowed is None else frozenset(it.name.lower() for it in allowed),
            self._least_in_sync(),
        )

    def _least_in_sync(self) -> int | None:
        resource = ConfigResource(ResourceType.TOPIC, self._topic)
        try:
            settings = self._answer(
                lambda **options: self._client.describe_configs([resource], **options)[resource]
            )
        except NoAnswer:
            return None
        text = str(settings[_LEAST_IN_SYNC].value) if _LEAST_IN_SYNC in settings else ""
        return int(text) if text.isdecimal() else None

    def _answer(self, ask: "Callable[..., Future[T]]") -> T:
        future = ask(request_timeout=max(1.0, self._deadline.remaining()))
        while not future.done() and not self._is_hopeless():
            self._client.poll(_POLL_SECONDS)  # serves the errors
        if not future.done():
            raise self._no_answer(None)
        try:
            return future.result()
        except KafkaException as error:
            raise self._no_answer(error.args[0]) from error

    def _is_hopeless(self) -> bool:
        since = self._failing_since
        is_failing = since is not None and time.monotonic() - since > _TRIES_SECONDS
        return is_failing or not self._deadline.remaining()

    def _no_answer(self, error: KafkaError | None) -> NoAnswer:
        """Say why there is no answer, with what was heard of the brokers if that says more."""
        if error is None or error.name() in _SAYS_LITTLE:
            telling = [it for it in self._errors if it.name() not in _SAYS_LITTLE]
            error = next(reversed(telling or self._errors), error)
        if error is None:
            return NoAnswer("nothing was heard of it in time")
        is_tls = _TLS.search(error.str())
        trouble = Trouble.TLS if is_tls else _TROUBLES.get(error.name(), Trouble.OTHER)
        return NoAnswer(described(error), trouble)

    def _on_error(self, error: KafkaError) -> None:
        self._errors.append(error)
        if self._failing_since is None:
            self._failing_since = time.monotonic()


def without_controller(told: ClusterMetadata, name: str) -> Topic | None:
    """Return what metadata tell of a topic, None when it is not among them."""
    topic = told.topics.get(name)
    if topic is None:
        return None
    partitions = tuple(
        Partition(it.id, it.leader >= 0, len(it.isrs), len(it.replicas))
        for it in topic.partitions.values()
    )
    return Topic(partitions, None, None)


def _partition(described: Any) -> Partition:
    leader = described.leader  # None, or a broker that is none, when nobody leads it
    return Partition(
        described.id,
        leader is not None and leader.id >= 0,
        len(described.isr),
        len(described.replicas),
    )
