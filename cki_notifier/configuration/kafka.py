"""librdkafka's settings: from variables and a properties file, without what voids a promise."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import javaproperties

from cki_notifier.configuration import addresses, checks
from cki_notifier.configuration.environment import NO_TEXT, Reader, content
from cki_notifier.configuration.secret import Secret
from cki_notifier.configuration.variables import Variable, setting, settings, variables_of

Check = Callable[[Mapping[str, str]], Mapping[str, str]]


@settings
class KafkaConfig:
    """How to reach Kafka; ``settings`` are librdkafka's, with secrets among them."""

    topic: str = setting(
        "KAFKA_TOPIC",
        checks.topic,
        "the name of the topic",
        "It is never created by us.",
        default="kafka.tx.cki.ready-for-test",
    )
    settings: Mapping[str, str | Secret]


def _properties(path: str) -> Mapping[str, str]:
    """Return what a Java properties file holds."""
    text = content(path, repr(path))
    try:
        return dict(javaproperties.loads(text))
    except ValueError:  # which quotes the file, and there may be secrets in it
        why = f"the file {path!r} is no properties file: an invalid \\u escape"
        raise ValueError(why) from None


def _setting_of(name: str) -> str:
    """Return librdkafka's name for what a variable sets."""
    return name.removeprefix("KAFKA_").replace("_", ".").lower()


def _variable(name: str, note: str = "", unset: str = "") -> Variable[Any]:
    """Return a variable whose value is passed on as it is."""
    parse = Secret if name.endswith("_PASSWORD") else str
    holds = f"the value of librdkafka's {_setting_of(name)}"
    return Variable(name, parse, holds, note, "", unset)


_LIBRDKAFKAS: Final = "librdkafka's"
_BOOTSTRAP_SERVERS: Final = Variable(
    "KAFKA_BOOTSTRAP_SERVERS",
    addresses.brokers,
    "the brokers of Kafka, as host:port, separated by commas",
    "Only for the first contact: the cluster tells the others. Without a port it is 9092; an "
    "address of IPv6 with a port is in brackets.",
    unset="required in production and staging",
)
_PASSED_ON: Final = (
    _variable(
        "KAFKA_SECURITY_PROTOCOL",
        "librdkafka's own is `PLAINTEXT`. A variable below that the protocol does without is a "
        "fault, but for a password.",
        _LIBRDKAFKAS,
    ),
    _variable("KAFKA_SASL_MECHANISM", unset=_LIBRDKAFKAS),
    _variable("KAFKA_SASL_USERNAME"),
    _variable("KAFKA_SASL_PASSWORD"),
    _variable("KAFKA_SSL_CA_LOCATION", unset=_LIBRDKAFKAS),
    _variable("KAFKA_SSL_CERTIFICATE_LOCATION"),
    _variable("KAFKA_SSL_KEY_LOCATION"),
    _variable("KAFKA_SSL_KEY_PASSWORD"),
)
_CONFIG_FILE: Final = Variable(
    "KAFKA_CONFIG_FILE",
    _properties,
    "the path of a Java properties file with any of librdkafka's settings",
    "The variables above win, whatever the file calls what they set. A setting that would void a "
    "promise is a fault: of `acks`, idempotence, the order (`partitioner`, `queuing.strategy`), "
    "reports (`delivery.report.only.error`, `enabled_events`), a cluster that is made up "
    "(`test.mock.num.brokers`), batches, topics that are made, transactions. "
    "`delivery.timeout.ms` is at most 600000, `message.max.bytes` at least 1000000.",
    default="",
)
#: All that concern Kafka.
KAFKA: Final = (_BOOTSTRAP_SERVERS, *variables_of(KafkaConfig).values(), *_PASSED_ON, _CONFIG_FILE)

#: Settings of the file that mean the same as a variable, or more, and would beat it.
_RIVALS = {
    "metadata.broker.list": {"bootstrap.servers"},
    "sasl.mechanisms": {"sasl.mechanism"},
    "ssl.ca.pem": {"ssl.ca.location"},
    "ssl.certificate.pem": {"ssl.certificate.location"},
    "ssl.key.pem": {"ssl.key.location"},
    "ssl.keystore.location": {"ssl.certificate.location", "ssl.key.location"},
}
_TRUE, _FALSE = {"true", "t", "1"}, {"false", "f", "0"}
_HASHES = {"consistent", "murmur2", "fnv1a"}
_ALL_REPLICAS = "every replica in sync has to have a message before it counts as sent"
_A_CLUSTER = "messages have to reach a cluster, and none that is made up"
_IN_ORDER = "the messages of one checkout have to stay in their order, in one partition"
_REPORTED = "what became of each message has to be reported to us"
_ALONE = "each message is sent alone, so that the broker's answer is about no other"
_PROGRAMS = "that is for programs, not for files"
#: What the delivery rests on: the only values that a setting may have, and why.
_PROMISES: dict[str, tuple[set[str], str]] = {
    "acks": ({"all", "-1"}, _ALL_REPLICAS),
    "request.required.acks": ({"all", "-1"}, _ALL_REPLICAS),
    "enable.idempotence": (_TRUE, "no message may be written twice"),
    "transactional.id": (set(), "nothing is sent in transactions"),
    "test.mock.num.brokers": ({"0"}, _A_CLUSTER),
    "test.mock.broker.rtt": ({"0"}, _A_CLUSTER),
    "partitioner": (_HASHES | {f"{it}_random" for it in _HASHES}, _IN_ORDER),
    "queuing.strategy": ({"fifo"}, _IN_ORDER),
    "delivery.report.only.error": (_FALSE, _REPORTED),
    "produce.offset.report": (_TRUE, _REPORTED),
    "enabled_events": ({"0"}, _REPORTED),
    "enable.gapless.guarantee": (_FALSE, "one message that fails must not stop all others"),
    "allow.auto.create.topics": (_FALSE, "no topic is ever created by us"),
    "batch.num.messages": ({"1"}, _ALONE),
    "batch.size": (set(), _ALONE),
    "internal.termination.signal": ({"0"}, "signals are for the daemon itself"),
    "logger": (set(), _PROGRAMS),
    "ut_handle_ProduceResponse": (set(), _PROGRAMS),
}
#: What there is to choose from is for librdkafka; all else it does anyway, or is told by us.
_SAID_ANYWAY = _PROMISES.keys() - {"partitioner"}
#: The least and the most that a number may be. librdkafka's own time-out, in milliseconds, has to
#: be far below RabbitMQ's 30 minutes. The broker, not librdkafka, says which message is too large.
_RANGES = {
    "delivery.timeout.ms": (1, 600_000),
    "message.timeout.ms": (1, 600_000),
    "message.max.bytes": (1_000_000, 1_000_000_000),
}
#: The protocols that have use for a variable, by the word behind KAFKA_ in its name.
_USES = {"SASL": ("SASL_SSL", "SASL_PLAINTEXT"), "SSL": ("SASL_SSL", "SSL")}


def read_kafka(reader: Reader, check: Check, *, needed: bool) -> KafkaConfig | None:
    """Return the part for Kafka, None where it is not needed; its faults are faults anyway.

    Args:
        reader: of the variables.
        check: takes librdkafka settings and returns a fault for each setting it refuses.
        needed: whether messages are sent.
    """
    variables = {_setting_of(it.name): it for it in (_BOOTSTRAP_SERVERS, *_PASSED_ON)}
    from_file = _from_file(reader)
    brokers = reader.value(_BOOTSTRAP_SERVERS, needed=needed) or ()
    given = {"bootstrap.servers": ",".join(brokers)}
    given |= {_setting_of(it.name): reader.value(it) for it in _PASSED_ON}
    given = {name: value for name, value in given.items() if value}
    # What is faulty has a stand-in, or it would be reported as missing, too.
    faulty = {name for name, it in variables.items() if reader.is_set(it)} - given.keys()
    rivals = {rival for rival, ours in _RIVALS.items() if ours & given.keys()}
    held: dict[str, str | Secret] = {
        **{name: Secret(text) for name, text in from_file.items() if name not in rivals},
        **given,
        **dict.fromkeys(faulty, Secret("-")),
    }
    for name, text in check(revealed(held)).items():
        is_in_file = name in from_file.keys() - given.keys()
        origin = _CONFIG_FILE if is_in_file else variables.get(name, _CONFIG_FILE)
        if name not in faulty:
            reader.fault(origin.name, text)
    protocol = revealed(held).get("security.protocol", "PLAINTEXT").strip().upper()
    if protocol in addresses.SECURITY_PROTOCOLS:  # else that is a fault of its own
        _check_protocol(reader, protocol, brokers)
    values = reader.values(KafkaConfig)
    return KafkaConfig(settings=held, **values) if needed else None


def _check_protocol(reader: Reader, protocol: str, brokers: Sequence[str]) -> None:
    """Note what does not go with the protocol by which Kafka is talked to."""
    for broker in brokers:
        scheme, separator, _ = broker.rpartition("://")
        if separator and scheme.upper() != protocol:
            reader.fault(
                _BOOTSTRAP_SERVERS.name,
                f"{broker!r} is left out while KAFKA_SECURITY_PROTOCOL is {protocol}; write "
                f"host:port, and set that to {scheme.upper()}",
            )
    for variable in _PASSED_ON:
        name, kind = variable.name, variable.name.split("_")[1]
        uses = _USES.get(kind, (protocol,))
        if protocol in uses or variable.is_secret:  # a password alone is of no use anyhow
            continue
        if reader.is_set(variable) and not reader.has_fault(name):
            reader.fault(
                name,
                f"is set, but KAFKA_SECURITY_PROTOCOL is {protocol}, which does without; set that "
                f"to {' or '.join(uses)}, or leave this out",
            )


def _from_file(reader: Reader) -> dict[str, str]:
    """Return what the properties file sets, without what would void a promise of ours."""
    # librdkafka takes topic.acks for acks, say.
    meant = {f"topic.{name}": name for name in (*_PROMISES, *_RANGES)}
    said = reader.value(_CONFIG_FILE) or {}
    from_file = {meant.get(name, name): value for name, value in said.items()}
    for name in [name for name, value in from_file.items() if NO_TEXT.search(name + value)]:
        reader.fault(_CONFIG_FILE.name, f"{name!r} has a \\u escape that is no text")
        del from_file[name]
    for name, (allowed, why) in _PROMISES.items():
        if name in from_file and from_file[name].strip().lower() not in allowed:
            value = from_file.pop(name)
            reader.fault(_CONFIG_FILE.name, f"sets {name} to {value!r}, but {why}; leave it out")
    for name, (least, most) in _RANGES.items():
        text = from_file.get(name, str(most)).strip()
        if not (re.fullmatch("[1-9][0-9]{0,9}", text) and least <= int(text) <= most):
            del from_file[name]
            reader.fault(_CONFIG_FILE.name, f"{name} is not between {least} and {most}")
    return {name: value for name, value in from_file.items() if name not in _SAID_ANYWAY}


def revealed(settings: Mapping[str, str | Secret]) -> dict[str, str]:
    """Return settings with their secrets told, for the library that needs them."""
    return {
        name: value.reveal() if isinstance(value, Secret) else value
        for name, value in settings.items()
    }
