"""Which of librdkafka's settings are refused, and under which name."""

import pytest

from cki_notifier.kafka.client import setting_faults


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
    """Other names for what we set ourselves do not contradict it."""
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
    """The fault is that setting's alone, and says who refuses it."""
    ((found, text),) = setting_faults(settings).items()
    assert found == name
    assert text.startswith(f"librdkafka refuses {name or 'the settings'}: ")


def test_all_refused_settings_are_found() -> None:
    """One fault does not hide the next."""
    refused = {"security.protocol": "x", "a.b": "1", "linger.ms": "y", "retries": "0"}
    assert setting_faults(refused | {"client.id": "fine"}).keys() == refused.keys()
