"""Kafka: the connection, the topic with its partitions, and the user's permissions.

The checks create and write nothing. ``list_topics`` never gets the topic's name: brokers that
create topics automatically would create it.
"""

import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from cki_notifier.configuration.settings import KafkaConfig, revealed
from cki_notifier.doctor.check import Check, Finding, NoAnswer, failed, number, ok, skipped, warning
from cki_notifier.kafka.client import (
    LIBRDKAFKA_LOG,
    AdminClient,
    ClusterMetadata,
    ConfigResource,
    KafkaError,
    KafkaException,
    PartitionMetadata,
    ResourceType,
    TopicCollection,
    TopicDescription,
    described,
)
from cki_notifier.workers.deadline import Deadline
from cki_notifier.workers.threads import beside

T = TypeVar("T")

_NAME, _TOPIC = "kafka", "kafka topic"
#: The time for retries after the first failure of a broker, in seconds.
_TRIES_SECONDS = 3.0
_POLL_SECONDS = 0.1
_LEAST_IN_SYNC = "min.insync.replicas"
#: The obstacles, and the advice for each.
_LOGIN, _TLS, _NETWORK = "Kafka refuses the login", "no TLS connection", "can't be reached"
_ADVICE = {
    _LOGIN: "check KAFKA_SASL_MECHANISM, KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD, or these "
    "settings in KAFKA_CONFIG_FILE",
    _TLS: "check KAFKA_SECURITY_PROTOCOL, whether KAFKA_SSL_CA_LOCATION has the authority (CA) of "
    "the brokers' certificates, and the client certificate if the brokers ask for one",
    _NETWORK: "check KAFKA_BOOTSTRAP_SERVERS and KAFKA_SECURITY_PROTOCOL, whether the brokers run, "
    "and whether a firewall or network policy blocks the connection",
}
#: The obstacle by the name of librdkafka's error.
_OBSTACLES = {"_AUTHENTICATION": _LOGIN, "SASL_AUTHENTICATION_FAILED": _LOGIN, "_SSL": _TLS}
#: Words of OpenSSL and librdkafka about TLS, which come with errors of any name.
_TLS_WORDS = re.compile("SSL[ _](handshake|routines)", re.IGNORECASE)
#: Errors that only say "no answer"; an earlier error has the reason.
_SAYS_LITTLE = frozenset({"_ALL_BROKERS_DOWN", "_TIMED_OUT"})
_SILENT = KafkaError(KafkaError._TIMED_OUT, "no answer in time")  # noqa: SLF001  # its name
_COMMAND = "kafka-topics.sh --bootstrap-server BROKER"
_ACLS = "kafka-acls.sh --bootstrap-server BROKER --add --allow-principal User:USER"
_DUPLICATES = (
    ". Without the right to read, the daemon may publish a duplicate after a crash or a late "
    "confirmation of Kafka"
)
_CONTROLLER = (
    "find failed controller elections in the brokers' logs: messages can be written and read, but "
    "a partition gets no new leader when its broker fails"
)


class _Cluster:
    """A cluster that answers questions about itself; see :func:`check`."""

    def __init__(self, config: KafkaConfig, deadline: Deadline) -> None:
        self._topic = config.topic
        self._deadline = deadline
        self._errors: list[KafkaError] = []
        self._failing_since: float | None = None
        # An idempotent producer would ask for an identity.
        settings: dict[str, Any] = revealed(config.settings) | {"enable.idempotence": "false"}
        settings["error_cb"] = self._on_error
        self._client = AdminClient(settings, logger=LIBRDKAFKA_LOG)

    def metadata(self) -> ClusterMetadata:
        """Return the brokers, and the partitions of all topics; raise KafkaException."""

        def ask(request_timeout: float) -> Future[ClusterMetadata]:
            return beside(_NAME, lambda: self._client.list_topics(timeout=request_timeout))

        return self._answer(ask)

    def allowed(self) -> frozenset[str] | None:
        """Return the operations on the topic that the user may do; raise KafkaException."""

        def ask(**options: Any) -> Future[TopicDescription]:
            topics = TopicCollection([self._topic])
            options["include_authorized_operations"] = True
            return self._client.describe_topics(topics, **options)[self._topic]

        allowed: Any = self._answer(ask).authorized_operations
        return None if allowed is None else frozenset(it.name.lower() for it in allowed)

    def least_in_sync(self) -> int | None:
        """Return the topic's ``min.insync.replicas``; None if the user may not know."""
        topic = ConfigResource(ResourceType.TOPIC, self._topic)
        try:
            settings = self._answer(
                lambda **options: self._client.describe_configs([topic], **options)[topic]
            )
        except KafkaException:
            return None
        text = str(settings[_LEAST_IN_SYNC].value) if _LEAST_IN_SYNC in settings else ""
        return int(text) if text.isdecimal() else None

    def _answer(self, ask: Callable[..., Future[T]]) -> T:
        future = ask(request_timeout=max(1.0, self._deadline.remaining()))
        while not future.done() and not self._is_hopeless():
            self._client.poll(_POLL_SECONDS)  # serves the errors
        if not future.done():
            raise self._failure(_SILENT)
        try:
            return future.result()
        except KafkaException as error:
            raise self._failure(error.args[0]) from error

    def _is_hopeless(self) -> bool:
        since = self._failing_since
        is_failing = since is not None and time.monotonic() - since > _TRIES_SECONDS
        return is_failing or not self._deadline.remaining()

    def _failure(self, error: KafkaError) -> KafkaException:
        """Return the reason for no answer: an earlier error of a broker if that says more."""
        if error.name() in {*_SAYS_LITTLE, "_TRANSPORT"}:
            telling = [it for it in self._errors if it.name() not in _SAYS_LITTLE]
            error = next(reversed(telling or self._errors), error)
        return KafkaException(error)

    def _on_error(self, error: KafkaError) -> None:
        self._errors.append(error)
        if self._failing_since is None:
            self._failing_since = time.monotonic()


def check(config: KafkaConfig) -> Check:
    """Return the check of Kafka."""
    return Check(_NAME, lambda deadline: _look(config.topic, _Cluster(config, deadline)))


def _look(name: str, cluster: _Cluster) -> Iterator[Finding]:
    try:
        told = cluster.metadata()
    except KafkaException as error:
        obstacle = _obstacle(error.args[0])
        raise NoAnswer(f"{obstacle}: {described(error)}", _ADVICE[obstacle]) from error
    text = f"connected; the cluster has {number(len(told.brokers), 'broker')}"
    allowed = least_in_sync = None
    if told.controller_id in told.brokers:
        yield ok(_NAME, text)
        try:
            allowed, least_in_sync = cluster.allowed(), cluster.least_in_sync()
        except KafkaException as error:
            yield _no_topic(name, error.args[0])
            return
    else:  # such a cluster writes and reads records, but answers no further question
        yield warning(_NAME, f"{text} and no controller", _CONTROLLER)
    if name not in told.topics:
        yield _hidden(name)
        return
    yield partitions(name, tuple(told.topics[name].partitions.values()), least_in_sync)
    yield from permissions(name, allowed)


def _obstacle(error: KafkaError) -> str:
    """Return the obstacle that an error means."""
    is_tls = _TLS_WORDS.search(error.str())
    return _TLS if is_tls else _OBSTACLES.get(error.name(), _NETWORK)


def _no_topic(name: str, error: KafkaError) -> Finding:
    if error.name() == "UNKNOWN_TOPIC_OR_PART":
        advice = "check KAFKA_TOPIC, or create the topic"
        return failed(_TOPIC, f"the topic {name} does not exist", advice)
    if error.name() == "TOPIC_AUTHORIZATION_FAILED":
        return _hidden(name)
    return failed(_TOPIC, f"{name}: {described(error)}", "check the brokers' logs")


def _hidden(name: str) -> Finding:
    text = f"the topic {name} does not exist, or the user may neither write to it nor see it"
    return failed(_TOPIC, text, f"check KAFKA_TOPIC, or {_allow('Write', name)}")


def partitions(name: str, seen: Sequence[PartitionMetadata], least_in_sync: int | None) -> Finding:
    """Check that Kafka accepts messages to all partitions of a topic.

    Args:
        name: the name of the topic.
        seen: its partitions.
        least_in_sync: its ``min.insync.replicas``; None if unknown.
    """
    least = least_in_sync or 0
    advice = f"find the brokers that are down or slow: {_COMMAND} --describe --topic {name}"
    if headless := _ids(it for it in seen if it.leader < 0):
        return failed(_TOPIC, f"{name}: no leader for {headless}", advice)
    if short := _ids(it for it in seen if len(it.isrs) < least):
        text = f"fewer in-sync replicas than {_LEAST_IN_SYNC} ({least}) for {short}"
        return failed(_TOPIC, f"{name}: {text}: Kafka refuses messages", advice)
    if behind := _ids(it for it in seen if len(it.isrs) < len(it.replicas)):
        return warning(_TOPIC, f"{name}: replicas out of sync for {behind}", advice)
    return ok(_TOPIC, f"{name}: {number(len(seen), 'partition')}, all in sync")


def _ids(partitions: Iterable[PartitionMetadata]) -> str:
    ids = [str(it.id) for it in partitions]
    return f"partition{'s' if len(ids) > 1 else ''} {', '.join(ids)}" if ids else ""


def permissions(name: str, allowed: Collection[str] | None) -> Iterator[Finding]:
    """Check that the user may write to a topic, and read it.

    Args:
        name: the name of the topic.
        allowed: the operations that the user may do, in lower case; None if unknown.
    """
    told = ", ".join(sorted(allowed or ())) or "none"
    for right, what, bad, more in (
        ("write", f"write to {name}", failed, ""),
        ("read", f"read {name}", warning, _DUPLICATES),
    ):
        row = f"kafka {right}"
        if allowed is None:
            yield skipped(row, "Kafka does not report the user's permissions")
        elif right in allowed:
            yield ok(row, f"the user may {what}")
        else:
            text = f"the user may not {what}; allowed operations: {told}{more}"
            yield bad(row, text, _allow(right.title(), name))


def _allow(operation: str, topic: str) -> str:
    """Return the advice to allow an operation on a topic."""
    return (
        f"allow it: {_ACLS} --operation {operation} --topic {topic} (USER is KAFKA_SASL_USERNAME, "
        "or the name in the client certificate)"
    )
