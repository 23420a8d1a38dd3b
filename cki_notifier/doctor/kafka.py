"""Kafka: does it let us in, is the topic there, can it be written to and read, and may we?"""

from collections.abc import Iterator, Sequence

from cki_notifier.configuration.settings import KafkaConfig
from cki_notifier.doctor.cluster import (
    Cluster,
    NoAnswer,
    Partition,
    Topic,
    Trouble,
    without_controller,
)
from cki_notifier.doctor.examine import Check
from cki_notifier.doctor.finding import Finding, failed, ok, skipped, warning
from cki_notifier.doctor.queue import number
from cki_notifier.workers.deadline import Deadline

_NAME, _TOPIC = "kafka", "kafka topic"
_WRITE, _READ = "kafka write", "kafka read"
_TEXT = {Trouble.LOGIN: "the login is refused", Trouble.TLS: "no TLS connection"}
_ELSE_TEXT = "can't be reached"
_ADVICE = {
    Trouble.LOGIN: "check KAFKA_SASL_MECHANISM, KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD, or "
    "what KAFKA_CONFIG_FILE has in their place",
    Trouble.TLS: "check KAFKA_SECURITY_PROTOCOL, whether KAFKA_SSL_CA_LOCATION holds the authority "
    "that signed the brokers' certificates, and our own certificate if they ask for one",
}
_ELSE_ADVICE = (
    "check KAFKA_BOOTSTRAP_SERVERS and KAFKA_SECURITY_PROTOCOL, whether the brokers run, and "
    "whether something in between lets nobody through"
)
_ALLOW = "have our user (KAFKA_SASL_USERNAME, or that of our certificate) allowed to write to it"
_ALLOW_READ = (
    "have our user allowed to read it too: then what is in the topic already is seen, and not sent "
    "again"
)
_HIDDEN = "there is no topic {}, or we may neither write to it nor see it"
_CONTROLLER = (
    "records can be written and read, but partitions whose broker goes away get no other one: see "
    "what the brokers' logs say of an election"
)
_BROKERS = "see which brokers are down or slow"


def check(config: KafkaConfig) -> Check:
    """Return the check of Kafka."""
    return Check(_NAME, lambda deadline: _look(config, deadline))


def partitions(name: str, topic: Topic) -> Finding:
    """Tell whether all partitions of a topic can be written to."""
    headless = [it for it in topic.partitions if not it.is_led]
    if headless:
        return failed(_TOPIC, f"{name}: nobody leads the partitions {_ids(headless)}", _BROKERS)
    least = topic.least_in_sync or 0
    short = [it for it in topic.partitions if it.in_sync < least]
    if short:
        text = (
            f"{name}: the partitions {_ids(short)} have fewer replicas in sync than "
            f"min.insync.replicas, {least}: Kafka refuses what is written to them"
        )
        return failed(_TOPIC, text, _BROKERS)
    behind = [it for it in topic.partitions if it.in_sync < it.replicas]
    if behind:
        text = f"{name}: the partitions {_ids(behind)} have replicas that are not in sync"
        return warning(_TOPIC, text, _BROKERS)
    return ok(_TOPIC, f"{name}: {number(len(topic.partitions), 'partition')}, all in sync")


def permissions(name: str, topic: Topic) -> Iterator[Finding]:
    """Tell whether we may write to a topic, and read it."""
    if topic.allowed is None:
        for row in (_WRITE, _READ):
            yield skipped(row, "the cluster does not tell what we may do")
        return
    allowed = ", ".join(sorted(topic.allowed)) or "nothing"
    if "write" in topic.allowed:
        yield ok(_WRITE, f"we may write to {name}")
    else:
        yield failed(_WRITE, f"we may not write to {name}; allowed is: {allowed}", _ALLOW)
    if "read" in topic.allowed:
        yield ok(_READ, f"we may read {name}")
    else:
        text = (
            f"we may not read {name}; allowed is: {allowed}. What was on its way when a process "
            "died, or what Kafka confirmed too late, is sent twice"
        )
        yield warning(_READ, text, _ALLOW_READ)


def _look(config: KafkaConfig, deadline: Deadline) -> Iterator[Finding]:
    cluster = Cluster(config, deadline)
    if (told := cluster.metadata()) is not None:
        text = f"lets us in; {number(len(told.brokers), 'broker')}, and none is the controller"
        yield warning(_NAME, text, _CONTROLLER)
        seen = without_controller(told, config.topic)
        if seen is None:
            yield failed(_TOPIC, _HIDDEN.format(config.topic), f"check KAFKA_TOPIC, or {_ALLOW}")
            return
        yield partitions(config.topic, seen)
        yield from permissions(config.topic, seen)
        return
    try:
        yield ok(_NAME, f"lets us in; {number(cluster.brokers(), 'broker')}")
    except NoAnswer as error:
        text = _TEXT.get(error.trouble, _ELSE_TEXT)
        yield failed(_NAME, f"{text}: {error}", _ADVICE.get(error.trouble, _ELSE_ADVICE))
        return
    try:
        topic = cluster.topic()
    except NoAnswer as error:
        yield _no_topic(config.topic, error)
        return
    yield partitions(config.topic, topic)
    yield from permissions(config.topic, topic)


def _no_topic(name: str, error: NoAnswer) -> Finding:
    if error.trouble == Trouble.NO_TOPIC:
        return failed(_TOPIC, f"there is no topic {name}", "check KAFKA_TOPIC, or have it created")
    if error.trouble == Trouble.FORBIDDEN:
        return failed(_TOPIC, _HIDDEN.format(name), f"check KAFKA_TOPIC, or {_ALLOW}")
    return failed(_TOPIC, f"{name}: {error}", "see the brokers' logs")


def _ids(partitions: Sequence[Partition]) -> str:
    return ", ".join(str(it.id) for it in partitions)
