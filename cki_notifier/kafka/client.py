"""The edge to Kafka: librdkafka and its settings. The only importer of confluent_kafka."""

import logging
import re
from collections.abc import Mapping

from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # it has no list of its names
    AdminClient,
    ClusterMetadata,
    ConfigResource,
    PartitionMetadata,
    ResourceType,
    TopicDescription,
    TopicMetadata,
)

__all__ = [
    "AdminClient",
    "ClusterMetadata",
    "ConfigResource",
    "Consumer",
    "KafkaError",
    "KafkaException",
    "Message",
    "PartitionMetadata",
    "Producer",
    "ResourceType",
    "TopicCollection",
    "TopicDescription",
    "TopicMetadata",
    "TopicPartition",
]

#: Where librdkafka's own log goes.
LIBRDKAFKA_LOG = logging.getLogger("librdkafka")
#: What everything rests on; the configuration can't change these.
_PROMISED = {
    "acks": "all",
    "enable.idempotence": "true",
    "allow.auto.create.topics": "false",
    # A broker's answer is about a batch: of records that are sent alone it is about each of them.
    "batch.num.messages": "1",
}
#: How the topic is read: by hand, so that nothing of it is left at the cluster. librdkafka asks for
#: a group's name, and joins none.
_READING = {
    "group.id": "cki-notifier",
    "enable.auto.commit": "false",
    "enable.auto.offset.store": "false",
    "enable.partition.eof": "true",
    "auto.offset.reset": "earliest",
    "isolation.level": "read_uncommitted",
    "allow.auto.create.topics": "false",
    "fetch.wait.max.ms": "20",
    "queued.max.messages.kbytes": "8192",
    "fetch.queue.backoff.ms": "10",  # while so much waits to be looked at; else it would be 1 s
    "log_level": "3",  # errors: settings of producers would be warned about
}
_DEFAULTS = {
    "client.id": "cki-notifier",
    "delivery.timeout.ms": "60000",  # far below the 30 minutes that RabbitMQ waits for us
    # The broker alone knows its limit; librdkafka's own would refuse what the broker may take.
    "message.max.bytes": "1000000000",
    "linger.ms": "0",
    "reconnect.backoff.max.ms": "2000",
}
#: A setting's other name, which would contradict ours.
_ALIASES = {"delivery.timeout.ms": "message.timeout.ms", "linger.ms": "queue.buffering.max.ms"}

#: What librdkafka's own errors mean, by their names; what it says of others stays as it is.
_MEANINGS = {
    "_ALL_BROKERS_DOWN": "no broker can be reached",
    "_AUTHENTICATION": "the login is refused",
    "_CRIT_SYS_RESOURCE": "no thread, memory or file descriptor is left",
    "_DESTROY": "it was under way when the client was closed",
    "_FAIL": "a broker's answer was not understood",
    "_FENCED": "another producer has taken the place of this one",
    "_GAPLESS_GUARANTEE": "a record before it was not written, so it can't be either",
    "_INVALID_DIFFERENT_RECORD": "another record that was sent with it is refused",
    "_ISR_INSUFF": "too few replicas are in sync",
    "_MSG_TIMED_OUT": "it was not confirmed in time",
    "_PURGE_INFLIGHT": "it was on its way when the client was replaced",
    "_PURGE_QUEUE": "it was waiting when the client was replaced",
    "_QUEUE_FULL": "too many records wait to be sent",
    "_RESOLVE": "a broker's name can't be resolved",
    "_SSL": "TLS failed",
    "_TIMED_OUT": "no answer in time",
    "_TIMED_OUT_QUEUE": "it was not sent in time",
    "_TRANSPORT": "the connection to a broker failed",
    "_UNKNOWN_PARTITION": "there is no such partition",
    "_UNKNOWN_TOPIC": "there is no such topic",
    "_UNSUPPORTED_FEATURE": "the brokers are too old for it",
}
_LOCAL, _BROKER = "Local: ", "Broker: "


def described(error: KafkaError | KafkaException | MemoryError) -> str:
    """Say in a sentence what an error means; what a broker said stays as it is."""
    if isinstance(error, MemoryError):
        return "no memory is left"
    told: KafkaError = error.args[0] if isinstance(error, KafkaException) else error
    LIBRDKAFKA_LOG.debug("%r", told)
    text = told.str()
    if text.startswith(_LOCAL):
        return _MEANINGS.get(told.name(), _lowered(text.removeprefix(_LOCAL)))
    if text.startswith(_BROKER):
        return _lowered(text.removeprefix(_BROKER))
    if told.name() == "_ALL_BROKERS_DOWN":
        return f"{_MEANINGS[told.name()]} ({text})"
    return text.replace(f": {_LOCAL}", ": ").replace(f": {_BROKER}", ": ")


def _lowered(text: str) -> str:
    """Begin in lower case, unless it is an abbreviation or a name that comes first."""
    is_word = text[:1].isupper() and text[1:2].islower()
    return text[0].lower() + text[1:] if is_word else text


def complete(settings: Mapping[str, str]) -> dict[str, str]:
    """Add to settings the defaults, and what the delivery rests on, of a producer."""
    defaults = {
        name: text for name, text in _DEFAULTS.items() if _ALIASES.get(name) not in settings
    }
    complete = defaults | dict(settings) | _PROMISED
    if "message.timeout.ms" in complete:
        complete["delivery.timeout.ms"] = complete.pop("message.timeout.ms")
    return complete


def reading(settings: Mapping[str, str]) -> dict[str, str]:
    """Turn the settings of a producer into those of a consumer that reads the topic by hand."""
    return dict(settings) | _READING


def setting_faults(settings: Mapping[str, str]) -> dict[str, str]:
    """Return what librdkafka refuses, by setting; nothing is connected.

    Args:
        settings: librdkafka's names and values.

    Returns:
        A text for each setting that is at fault, be it one that is missing; for what can't be put
        down to a setting, one by the empty string.
    """
    faults: dict[str, str] = {}
    left = {name: text for name, text in settings.items() if name != "bootstrap.servers"}
    while refusal := _refusal(left):
        told = re.findall(r"[\w.]*\w", refusal.replace("SASL mechanism", "sasl.mechanism"))
        name = _culprit(refusal, told, left)
        if faults.keys() & {name, *told}:
            break  # it only follows from what was taken away
        faults[name] = f"librdkafka refuses {name or 'the settings'}: {refusal}"
        if name in left:
            del left[name]
        else:
            left[name] = "-"  # stands in for what is missing, so that the rest is looked at
    return faults


def _refusal(settings: Mapping[str, str]) -> str:
    """Return why librdkafka can't work with settings, nothing when it can."""
    try:
        Producer(complete(settings), logger=LIBRDKAFKA_LOG)
        Consumer(reading(settings), logger=LIBRDKAFKA_LOG).close()
    except KafkaException as error:
        return str(error.args[0].str()).strip()
    except (TypeError, ValueError, AttributeError) as error:
        return str(error)  # what only a program can set, like a callback
    return ""


def _culprit(refusal: str, told: list[str], settings: Mapping[str, str]) -> str:
    """Return the name of the setting that a refusal is about, nothing when it can't be told.

    Among the words that it was ``told`` are the names of settings. librdkafka may call a setting by
    its other name, or by none: then it is the one that is refused on its own for the same reason.
    """
    missing = [name for name in told if "." in name and name not in settings]
    if missing and refusal.endswith("must be set"):
        return missing[0]
    for name in told:
        if name in settings:
            return name
    return next((name for name in settings if _refusal({name: settings[name]}) == refusal), "")
