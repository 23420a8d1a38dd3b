"""librdkafka: the names of refused settings, and the descriptions of its errors."""

import pytest

from cki_notifier.kafka.client import (
    KafkaError,
    KafkaException,
    described,
    setting_faults,
)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"bootstrap.servers": "kafka.example:9092"},
        {"message.timeout.ms": "1000"},
        {"queue.buffering.max.ms": "5"},
        {"security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN"}
        | {"sasl.username": "u", "sasl.password": "p"},
    ],
)
def test_good_settings_have_no_faults(settings: dict[str, str]) -> None:
    """Other names of the default settings cause no conflict."""
    assert setting_faults(settings) == {}


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"no.such.setting": "1"}, "no.such.setting"),
        ({"compression.type": "x"}, "compression.type"),  # librdkafka says compression.codec
        ({"retries": "-1"}, "retries"),
        ({"plugin.library.paths": "/nowhere"}, "plugin.library.paths"),
        ({"on_delivery": "x"}, "on_delivery"),
        ({"security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN"}, "sasl.username"),
        ({"security.protocol": "SASL_SSL", "sasl.mechanism": "X"}, "sasl.mechanism"),
        ({"": "x"}, ""),
    ],
)
def test_a_refused_setting_is_named(settings: dict[str, str], name: str) -> None:
    """Only that setting has a fault, which names librdkafka."""
    ((found, text),) = setting_faults(settings).items()
    assert found == name
    assert text.startswith(f"librdkafka refuses {name or 'the settings'}: ")


def test_all_refused_settings_are_found() -> None:
    """One fault does not hide the next."""
    refused = {"security.protocol": "x", "a.b": "1", "linger.ms": "y", "retries": "0"}
    assert setting_faults(refused | {"client.id": "fine"}).keys() == refused.keys()


def error_number(name: str) -> int:
    """Return the number of a local error of librdkafka."""
    return int(getattr(KafkaError, name))


def local_errors() -> list[str]:
    """Return the names of librdkafka's local errors."""
    names = [name for name in vars(KafkaError) if name.startswith("_") and name[1].isupper()]
    return [name for name in names if KafkaError(error_number(name)).str()[:6] == "Local:"]


@pytest.mark.parametrize("name", local_errors())
def test_errors_of_the_client_are_said_in_words(name: str) -> None:
    """The text has no prefix. The test also covers new errors of librdkafka."""
    text = described(KafkaError(error_number(name)))
    assert text
    assert not text.startswith("Local")
    assert "_" not in text


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (KafkaError(error_number("_PURGE_QUEUE")), "the client was replaced before it"),
        (KafkaError(error_number("_MSG_TIMED_OUT")), "no confirmation in time"),
        (KafkaError(error_number("_TRANSPORT")), "the connection to a broker failed"),
        (KafkaError(error_number("_ALL_BROKERS_DOWN"), "2/2 brokers are down"), "(2/2 brokers"),
        (
            KafkaError(error_number("_TRANSPORT"), "b:9092: Connect to ipv4#1 failed"),
            "b:9092: Connect",
        ),
        (KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED), "topic authorization failed"),
        (KafkaException(KafkaError(error_number("_SSL"))), "TLS failed"),
        (KafkaError(31, "no PID from b:9092: Broker: Cluster x"), "no PID from b:9092: Cluster x"),
        (KafkaError(9999), "Err-9999?"),
        (MemoryError(), "no memory is left"),
    ],
)
def test_errors_are_described(error: KafkaError | KafkaException | MemoryError, text: str) -> None:
    """Texts of brokers, and of librdkafka about a connection, stay as they are."""
    assert text in described(error)
