"""librdkafka's settings from variables and a properties file, except those that void a promise."""

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
    """How to reach Kafka. ``settings`` are librdkafka's, some of them secret."""

    topic: str = setting(
        "KAFKA_TOPIC",
        checks.topic,
        "the name of the topic",
        "cki-notifier never creates the topic.",
        default="kafka.tx.cki.ready-for-test",
        values="up to 249 letters, digits, `.`, `_` and `-`",
    )
    settings: Mapping[str, str | Secret]


def _properties(path: str) -> Mapping[str, str]:
    """Return the settings in a Java properties file."""
    text = content(path, repr(path))
    try:
        return dict(javaproperties.loads(text))
    except ValueError:  # its text quotes the file, perhaps a secret
        why = f"the file {path!r} is not a properties file: invalid \\u escape"
        raise ValueError(why) from None


def _setting_of(name: str) -> str:
    """Return librdkafka's name of the setting that a variable sets."""
    return name.removeprefix("KAFKA_").replace("_", ".").lower()


def _variable(name: str, holds: str, note: str = "", **more: str) -> Variable[Any]:
    """Return a variable whose text becomes the setting as it is."""
    parse = Secret if name.endswith("_PASSWORD") else str
    return Variable(name, parse, holds, note, "", **more)


_BOOTSTRAP_SERVERS: Final = Variable(
    "KAFKA_BOOTSTRAP_SERVERS",
    addresses.brokers,
    "the Kafka brokers for the first contact",
    "The cluster then names all its brokers. The default port is 9092. An IPv6 address with a port "
    "needs brackets.",
    unset="**required** in production and staging",
    values="`host:port`, separated by commas",
    example="kafka-1.example.com:9093,kafka-2.example.com:9093",
)
_FORMAT, _NEEDED = "in PEM format", "**required** with SASL"
_LOGIN = "Used with `PLAIN` and SCRAM."
_PASSED_ON: Final = (
    _variable(
        "KAFKA_SECURITY_PROTOCOL",
        "the security protocol of the brokers",
        "`SSL` means TLS, `SASL` a login, and `SASL_SSL` both.",
        unset="`PLAINTEXT`",
        values="`PLAINTEXT`, `SSL`, `SASL_PLAINTEXT` or `SASL_SSL`",
    ),
    _variable(
        "KAFKA_SASL_MECHANISM",
        "the SASL mechanism of the login",
        "`OAUTHBEARER` needs further settings in `KAFKA_CONFIG_FILE`. `GSSAPI` (Kerberos) is not "
        "available.",
        unset=_NEEDED,
        values="`PLAIN`, `SCRAM-SHA-256`, `SCRAM-SHA-512` or `OAUTHBEARER`",
    ),
    _variable("KAFKA_SASL_USERNAME", "the user of the login", _LOGIN, values="any text"),
    _variable("KAFKA_SASL_PASSWORD", "the password of the login", _LOGIN, values="any text"),
    _variable(
        "KAFKA_SSL_CA_LOCATION",
        "the path of the file with the brokers' certificate authorities (CA)",
        unset="the system's",
        values=_FORMAT,
        example="/etc/cki-notifier/kafka-ca.pem",
    ),
    _variable(
        "KAFKA_SSL_CERTIFICATE_LOCATION",
        "the path of the file with the client certificate",
        "For brokers that ask for one (mutual TLS).",
        values=_FORMAT,
    ),
    _variable(
        "KAFKA_SSL_KEY_LOCATION",
        "the path of the file with the client certificate's private key",
        values=_FORMAT,
    ),
    _variable(
        "KAFKA_SSL_KEY_PASSWORD",
        "the password of the client certificate's private key",
        values="any text",
    ),
)
_CONFIG_FILE: Final = Variable(
    "KAFKA_CONFIG_FILE",
    _properties,
    "the path of the file with further settings of librdkafka",
    "See [Kafka settings from a file](#kafka-settings-from-a-file).",
    default="",
    values="in Java properties format",
    example="/etc/cki-notifier/kafka.properties",
)
#: All variables for Kafka.
KAFKA: Final = (_BOOTSTRAP_SERVERS, *variables_of(KafkaConfig).values(), *_PASSED_ON, _CONFIG_FILE)

#: Settings of the file that would override those of variables: other names and other forms.
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
_ALL_REPLICAS = "every replica in sync must confirm each message"
_A_CLUSTER = "messages must reach a real cluster"
_IN_ORDER = "the messages of a checkout must stay in order, in one partition"
_REPORTED = "the result of each message must be reported"
_ALONE = "each message must be sent alone, so that the broker's answer is about it only"
_PROGRAMS = "it works in programs only, not in files"
#: Settings that the delivery depends on: the only values allowed, and why.
_PROMISES: dict[str, tuple[set[str], str]] = {
    "acks": ({"all", "-1"}, _ALL_REPLICAS),
    "request.required.acks": ({"all", "-1"}, _ALL_REPLICAS),
    "enable.idempotence": (_TRUE, "no message may be written twice"),
    "transactional.id": (set(), "cki-notifier uses no transactions"),
    "test.mock.num.brokers": ({"0"}, _A_CLUSTER),
    "test.mock.broker.rtt": ({"0"}, _A_CLUSTER),
    "partitioner": (_HASHES | {f"{it}_random" for it in _HASHES}, _IN_ORDER),
    "queuing.strategy": ({"fifo"}, _IN_ORDER),
    "delivery.report.only.error": (_FALSE, _REPORTED),
    "produce.offset.report": (_TRUE, _REPORTED),
    "enabled_events": ({"0"}, _REPORTED),
    "enable.gapless.guarantee": (_FALSE, "one message that fails must not stop all others"),
    "allow.auto.create.topics": (_FALSE, "cki-notifier never creates a topic"),
    "batch.num.messages": ({"1"}, _ALONE),
    "batch.size": (set(), _ALONE),
    "internal.termination.signal": ({"0"}, "the daemon handles signals itself"),
    "logger": (set(), _PROGRAMS),
    "ut_handle_ProduceResponse": (set(), _PROGRAMS),
}
#: The allowed value of these is in force anyway, so librdkafka need not get it from the file.
_SAID_ANYWAY = _PROMISES.keys() - {"partitioner"}
#: The least and the greatest value of a number. librdkafka's timeout, in milliseconds, must be far
#: below RabbitMQ's 30 minutes. The broker decides which message is too large, not librdkafka.
_RANGES = {
    "delivery.timeout.ms": (1, 600_000),
    "message.timeout.ms": (1, 600_000),
    "message.max.bytes": (1_000_000, 1_000_000_000),
}
#: The protocols that use a variable, by the word after KAFKA_ in its name.
_USES = {"SASL": ("SASL_SSL", "SASL_PLAINTEXT"), "SSL": ("SASL_SSL", "SSL")}


def read_kafka(reader: Reader, check: Check, *, needed: bool) -> KafkaConfig | None:
    """Return the configuration of Kafka, None if it is not needed; note all faults in any case.

    Args:
        reader: of the variables.
        check: takes librdkafka settings and returns a fault for each setting it refuses.
        needed: whether messages are published.
    """
    variables = {_setting_of(it.name): it for it in (_BOOTSTRAP_SERVERS, *_PASSED_ON)}
    from_file = _from_file(reader)
    brokers = reader.value(_BOOTSTRAP_SERVERS, needed=needed) or ()
    given = {"bootstrap.servers": ",".join(brokers)}
    given |= {_setting_of(it.name): reader.value(it) for it in _PASSED_ON}
    given = {name: value for name, value in given.items() if value}
    # A faulty variable gets a placeholder, or it would be reported as missing, too.
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
    if protocol in addresses.SECURITY_PROTOCOLS:  # otherwise the protocol itself is a fault
        _check_protocol(reader, protocol, brokers)
    values = reader.values(KafkaConfig)
    return KafkaConfig(settings=held, **values) if needed else None


def _check_protocol(reader: Reader, protocol: str, brokers: Sequence[str]) -> None:
    """Note brokers and variables that contradict the protocol."""
    for broker in brokers:
        scheme, separator, _ = broker.rpartition("://")
        if separator and scheme.upper() != protocol:
            reader.fault(
                _BOOTSTRAP_SERVERS.name,
                f"librdkafka ignores {broker!r} while KAFKA_SECURITY_PROTOCOL is {protocol}; write "
                f"host:port, and set KAFKA_SECURITY_PROTOCOL to {scheme.upper()}",
            )
    for variable in _PASSED_ON:
        name, kind = variable.name, variable.name.split("_")[1]
        uses = _USES.get(kind, (protocol,))
        if protocol in uses or variable.is_secret:  # a password alone does no harm
            continue
        if reader.is_set(variable) and not reader.has_fault(name):
            reader.fault(
                name,
                f"is set, but the protocol {protocol} does not use it; set "
                f"KAFKA_SECURITY_PROTOCOL to {' or '.join(uses)}, or unset {name}",
            )


def _from_file(reader: Reader) -> dict[str, str]:
    """Return the settings of the properties file; note and leave out those that void a promise."""
    # librdkafka reads topic.acks, for example, as acks.
    meant = {f"topic.{name}": name for name in (*_PROMISES, *_RANGES)}
    said = reader.value(_CONFIG_FILE) or {}
    from_file = {meant.get(name, name): value for name, value in said.items()}
    for name in [name for name, value in from_file.items() if NO_TEXT.search(name + value)]:
        reader.fault(_CONFIG_FILE.name, f"{name!r} contains a \\u escape that is not a character")
        del from_file[name]
    for name, (allowed, why) in _PROMISES.items():
        if name in from_file and from_file[name].strip().lower() not in allowed:
            value = from_file.pop(name)
            reader.fault(_CONFIG_FILE.name, f"sets {name} to {value!r}, but {why}; leave it out")
    for name, (least, most) in _RANGES.items():
        text = from_file.get(name, str(most)).strip()
        if not (re.fullmatch("[1-9][0-9]{0,9}", text) and least <= int(text) <= most):
            del from_file[name]
            text = f"sets {name} to {text!r}, which is not between {least} and {most}"
            reader.fault(_CONFIG_FILE.name, text)
    return {name: value for name, value in from_file.items() if name not in _SAID_ANYWAY}


def revealed(settings: Mapping[str, str | Secret]) -> dict[str, str]:
    """Return settings with their secrets in plain text, for librdkafka."""
    return {
        name: value.reveal() if isinstance(value, Secret) else value
        for name, value in settings.items()
    }
