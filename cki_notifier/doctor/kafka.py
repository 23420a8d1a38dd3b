"""Kafka: does it let us in, is the topic there, can it be written to and read, and may we?

No question makes a topic or writes anything. The client's ``list_topics`` never gets a topic's
name: where brokers create topics by themselves, a producer that asks for a topic gets it made.
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
#: How long librdkafka may go on trying after it could not use a broker, in seconds.
_TRIES_SECONDS = 3.0
_POLL_SECONDS = 0.1
_LEAST_IN_SYNC = "min.insync.replicas"
#: What is in the way, and what to do about it.
_LOGIN, _TLS, _NETWORK = "the login is refused", "no TLS connection", "can't be reached"
_ADVICE = {
    _LOGIN: "check KAFKA_SASL_MECHANISM, KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD, or what "
    "KAFKA_CONFIG_FILE has in their place",
    _TLS: "check KAFKA_SECURITY_PROTOCOL, whether KAFKA_SSL_CA_LOCATION holds the authority that "
    "signed the brokers' certificates, and our own certificate if they ask for one",
    _NETWORK: "check KAFKA_BOOTSTRAP_SERVERS and KAFKA_SECURITY_PROTOCOL, whether the brokers run, "
    "and whether something in between lets nobody through",
}
#: By the names of librdkafka's errors.
_OBSTACLES = {"_AUTHENTICATION": _LOGIN, "SASL_AUTHENTICATION_FAILED": _LOGIN, "_SSL": _TLS}
#: What fails in TLS may go by the name of any error; OpenSSL and librdkafka say it so.
_TLS_WORDS = re.compile("SSL[ _](handshake|routines)", re.IGNORECASE)
#: These say only that there is no answer; what was heard before says why.
_SAYS_LITTLE = frozenset({"_ALL_BROKERS_DOWN", "_TIMED_OUT"})
_SILENT = KafkaError(KafkaError._TIMED_OUT, "nothing was heard of it in time")  # noqa: SLF001  # its name
_ALLOW = "have our user (KAFKA_SASL_USERNAME, or that of our certificate) allowed to write to it"
_TWICE = (
    ". What was on its way when a process died, or what Kafka confirmed too late, is sent twice"
)
_ALLOW_READ = (
    "have our user allowed to read it too: then what is in the topic already is seen, and not sent "
    "again"
)
_CONTROLLER = (
    "records can be written and read, but partitions whose broker goes away get no other one: see "
    "what the brokers' logs say of an election"
)
_BROKERS = "see which brokers are down or slow"


class _Cluster:
    """A cluster that is asked about itself; see :func:`check`."""

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
        """Return what each broker knows of all topics; raise KafkaException."""

        def ask(request_timeout: float) -> Future[ClusterMetadata]:
            return beside(_NAME, lambda: self._client.list_topics(timeout=request_timeout))

        return self._answer(ask)

    def allowed(self) -> frozenset[str] | None:
        """Return which operations on the topic we may do; raise KafkaException."""

        def ask(**options: Any) -> Future[TopicDescription]:
            topics = TopicCollection([self._topic])
            options["include_authorized_operations"] = True
            return self._client.describe_topics(topics, **options)[self._topic]

        allowed: Any = self._answer(ask).authorized_operations
        return None if allowed is None else frozenset(it.name.lower() for it in allowed)

    def least_in_sync(self) -> int | None:
        """Return how many replicas of the topic must have a record; None when we may not know."""
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
        """Return why there is no answer: what was heard of the brokers if that says more."""
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
    text = f"lets us in; {number(len(told.brokers), 'broker')}"
    allowed = least_in_sync = None
    if told.controller_id in told.brokers:
        yield ok(_NAME, text)
        try:
            allowed, least_in_sync = cluster.allowed(), cluster.least_in_sync()
        except KafkaException as error:
            yield _no_topic(name, error.args[0])
            return
    else:  # such a cluster takes and hands out records, but answers no further question
        yield warning(_NAME, f"{text}, and none is the controller", _CONTROLLER)
    if name not in told.topics:
        yield _hidden(name)
        return
    yield partitions(name, tuple(told.topics[name].partitions.values()), least_in_sync)
    yield from permissions(name, allowed)


def _obstacle(error: KafkaError) -> str:
    """Tell what keeps us from the cluster."""
    is_tls = _TLS_WORDS.search(error.str())
    return _TLS if is_tls else _OBSTACLES.get(error.name(), _NETWORK)


def _no_topic(name: str, error: KafkaError) -> Finding:
    if error.name() == "UNKNOWN_TOPIC_OR_PART":
        return failed(_TOPIC, f"there is no topic {name}", "check KAFKA_TOPIC, or have it created")
    if error.name() == "TOPIC_AUTHORIZATION_FAILED":
        return _hidden(name)
    return failed(_TOPIC, f"{name}: {described(error)}", "see the brokers' logs")


def _hidden(name: str) -> Finding:
    text = f"there is no topic {name}, or we may neither write to it nor see it"
    return failed(_TOPIC, text, f"check KAFKA_TOPIC, or {_ALLOW}")


def partitions(name: str, seen: Sequence[PartitionMetadata], least_in_sync: int | None) -> Finding:
    """Tell whether all partitions of a topic can be written to.

    Args:
        name: the topic's.
        seen: its partitions.
        least_in_sync: how many replicas must have a record; None when we may not know.
    """
    least = least_in_sync or 0
    if headless := _ids(it for it in seen if it.leader < 0):
        return failed(_TOPIC, f"{name}: nobody leads the partitions {headless}", _BROKERS)
    if short := _ids(it for it in seen if len(it.isrs) < least):
        text = (
            f"{name}: the partitions {short} have fewer replicas in sync than {_LEAST_IN_SYNC}, "
            f"{least}: Kafka refuses what is written to them"
        )
        return failed(_TOPIC, text, _BROKERS)
    if behind := _ids(it for it in seen if len(it.isrs) < len(it.replicas)):
        text = f"{name}: the partitions {behind} have replicas that are not in sync"
        return warning(_TOPIC, text, _BROKERS)
    return ok(_TOPIC, f"{name}: {number(len(seen), 'partition')}, all in sync")


def _ids(partitions: Iterable[PartitionMetadata]) -> str:
    return ", ".join(str(it.id) for it in partitions)


def permissions(name: str, allowed: Collection[str] | None) -> Iterator[Finding]:
    """Tell whether we may write to a topic, and read it.

    Args:
        name: the topic's.
        allowed: the operations we may do, in lower case; None when the cluster does not tell.
    """
    told = ", ".join(sorted(allowed or ())) or "nothing"
    for right, what, bad, more, advice in (
        ("write", f"write to {name}", failed, "", _ALLOW),
        ("read", f"read {name}", warning, _TWICE, _ALLOW_READ),
    ):
        row = f"kafka {right}"
        if allowed is None:
            yield skipped(row, "the cluster does not tell what we may do")
        elif right in allowed:
            yield ok(row, f"we may {what}")
        else:
            yield bad(row, f"we may not {what}; allowed is: {told}{more}", advice)
