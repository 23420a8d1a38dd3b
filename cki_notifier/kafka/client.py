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
#: Settings that the delivery guarantee needs. The configuration can't override them.
_PROMISED = {
    "acks": "all",
    "enable.idempotence": "true",
    "allow.auto.create.topics": "false",
    # A broker answers for a whole batch. With one record each, the answer is about that record.
    "batch.num.messages": "1",
}
#: Settings of a consumer that leaves nothing at the cluster. librdkafka requires a group's
#: name, but joins no group.
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
    "fetch.queue.backoff.ms": "10",  # while the queue above is full; the default is 1 s
    "log_level": "3",  # errors only: no warnings about producer settings
}
_DEFAULTS = {
    "client.id": "cki-notifier",
    "delivery.timeout.ms": "60000",  # far below RabbitMQ's timeout of 30 minutes
    # Only the broker knows its limit. librdkafka's default may refuse smaller messages.
    "message.max.bytes": "1000000000",
    "linger.ms": "0",
    "reconnect.backoff.max.ms": "2000",
}
#: A setting's other name, which would contradict the default.
_ALIASES = {"delivery.timeout.ms": "message.timeout.ms", "linger.ms": "queue.buffering.max.ms"}

#: Texts for librdkafka's own errors, by their names. Other errors keep their texts.
_MEANINGS = {
    "_ALL_BROKERS_DOWN": "no broker can be reached",
    "_AUTHENTICATION": "the login is refused",
    "_CRIT_SYS_RESOURCE": "no thread, memory or file descriptor is left",
    "_DESTROY": "the client was closed before the confirmation",
    "_FAIL": "a broker's answer is invalid",
    "_FENCED": "another producer replaced this one",
    "_GAPLESS_GUARANTEE": "an earlier record was not written",
    "_INVALID_DIFFERENT_RECORD": "the broker refuses another record of the batch",
    "_ISR_INSUFF": "too few replicas are in sync",
    "_MSG_TIMED_OUT": "no confirmation in time",
    "_PURGE_INFLIGHT": "the client was replaced before the confirmation",
    "_PURGE_QUEUE": "the client was replaced before it sent the record",
    "_QUEUE_FULL": "too many records wait to be sent",
    "_RESOLVE": "a broker's name can't be resolved",
    "_SSL": "TLS failed",
    "_TIMED_OUT": "no answer in time",
    "_TIMED_OUT_QUEUE": "the record was not sent in time",
    "_TRANSPORT": "the connection to a broker failed",
    "_UNKNOWN_PARTITION": "there is no such partition",
    "_UNKNOWN_TOPIC": "there is no such topic",
    "_UNSUPPORTED_FEATURE": "the brokers don't support it",
}
_LOCAL, _BROKER = "Local: ", "Broker: "


def described(error: KafkaError | KafkaException | MemoryError) -> str:
    """Describe an error in a sentence. A broker's own text stays as it is."""
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
    """Lower the first letter, unless an abbreviation or a name comes first."""
    is_word = text[:1].isupper() and text[1:2].islower()
    return text[0].lower() + text[1:] if is_word else text


def complete(settings: Mapping[str, str]) -> dict[str, str]:
    """Add the defaults and the fixed settings of a producer."""
    defaults = {
        name: text for name, text in _DEFAULTS.items() if _ALIASES.get(name) not in settings
    }
    complete = defaults | dict(settings) | _PROMISED
    if "message.timeout.ms" in complete:
        complete["delivery.timeout.ms"] = complete.pop("message.timeout.ms")
    return complete


def reading(settings: Mapping[str, str]) -> dict[str, str]:
    """Turn a producer's settings into those of a consumer that joins no group."""
    return dict(settings) | _READING


def setting_faults(settings: Mapping[str, str]) -> dict[str, str]:
    """Return the settings that librdkafka refuses, without connecting.

    Args:
        settings: librdkafka's names and values.

    Returns:
        A text for each wrong or missing setting. A fault of no known setting has an empty name.
    """
    faults: dict[str, str] = {}
    left = {name: text for name, text in settings.items() if name != "bootstrap.servers"}
    while refusal := _refusal(left):
        told = re.findall(r"[\w.]*\w", refusal.replace("SASL mechanism", "sasl.mechanism"))
        name = _culprit(refusal, told, left)
        if faults.keys() & {name, *told}:
            break  # only a consequence of a removed setting
        faults[name] = f"librdkafka refuses {name or 'the settings'}: {refusal}"
        if name in left:
            del left[name]
        else:
            left[name] = "-"  # replaces the missing value, to check the rest
    return faults


def _refusal(settings: Mapping[str, str]) -> str:
    """Return why librdkafka refuses settings, or ``""``."""
    try:
        Producer(complete(settings), logger=LIBRDKAFKA_LOG)
        Consumer(reading(settings), logger=LIBRDKAFKA_LOG).close()
    except KafkaException as error:
        return str(error.args[0].str()).strip()
    except (TypeError, ValueError, AttributeError) as error:
        return str(error)  # a setting for programs only, such as a callback
    return ""


def _culprit(refusal: str, told: list[str], settings: Mapping[str, str]) -> str:
    """Return the name of the refused setting, or ``""`` if unknown.

    The words of the refusal, ``told``, may include it. librdkafka may also use the setting's other
    name, or none. Then it is the setting that causes the same refusal alone.
    """
    missing = [name for name in told if "." in name and name not in settings]
    if missing and refusal.endswith("must be set"):
        return missing[0]
    for name in told:
        if name in settings:
            return name
    return next((name for name in settings if _refusal({name: settings[name]}) == refusal), "")
