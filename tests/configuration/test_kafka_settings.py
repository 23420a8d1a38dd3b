"""The settings for Kafka: from variables and from a properties file, checked by librdkafka."""

from pathlib import Path

import pytest
import trustme

from cki_notifier.configuration.secret import Secret
from cki_notifier.configuration.settings import read_config, revealed
from cki_notifier.kafka.client import setting_faults
from tests.factories.environment import environment, faults, only_fault, read

SASL = {
    "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
    "KAFKA_SASL_MECHANISM": "PLAIN",
    "KAFKA_SASL_USERNAME": "notifier",
    "KAFKA_SASL_PASSWORD": "hush",
}


@pytest.fixture(name="properties")
def _properties(tmp_path: Path) -> Path:
    """Return where a test may write its properties file."""
    return tmp_path / "client.properties"


def settings(**changes: str | None) -> dict[str, str]:
    """Return librdkafka's settings of a changed environment, but for the brokers' addresses."""
    config = read(environment(**changes)).kafka
    assert config is not None
    told = revealed(config.settings)
    assert told.pop("bootstrap.servers") == "kafka.example:9092"
    return told


def with_file(properties: Path, content: str, **changes: str | None) -> dict[str, str]:
    """Return an environment with a properties file."""
    properties.write_text(content)
    return environment(KAFKA_CONFIG_FILE=str(properties), **changes)


def test_each_variable_is_a_setting_of_librdkafka(tmp_path: Path) -> None:
    """The variables' values reach librdkafka under its own names."""
    authority = trustme.CA()
    client = authority.issue_cert("client.example")
    paths = {name: str(tmp_path / name) for name in ("ca", "certificate", "key")}
    authority.cert_pem.write_to_path(paths["ca"])
    client.cert_chain_pems[0].write_to_path(paths["certificate"])
    client.private_key_pem.write_to_path(paths["key"])
    changes = SASL | {
        "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "KAFKA_SSL_CA_LOCATION": paths["ca"],
        "KAFKA_SSL_CERTIFICATE_LOCATION": paths["certificate"],
        "KAFKA_SSL_KEY_LOCATION": paths["key"],
        "KAFKA_SSL_KEY_PASSWORD": "not needed",
    }
    assert settings(**changes) == {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "PLAIN",
        "sasl.username": "notifier",
        "sasl.password": "hush",
        "ssl.ca.location": paths["ca"],
        "ssl.certificate.location": paths["certificate"],
        "ssl.key.location": paths["key"],
        "ssl.key.password": "not needed",
    }


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("KAFKA_SECURITY_PROTOCOL", {"KAFKA_SECURITY_PROTOCOL": "TLS"}),
        ("KAFKA_SASL_MECHANISM", SASL | {"KAFKA_SASL_MECHANISM": "NOPE"}),
        ("KAFKA_SASL_USERNAME", SASL | {"KAFKA_SASL_USERNAME": None}),
        ("KAFKA_SASL_PASSWORD", SASL | {"KAFKA_SASL_PASSWORD": None}),
        *[
            (name, {"KAFKA_SECURITY_PROTOCOL": "SSL", name: "/nowhere"})
            for name in (
                "KAFKA_SSL_CA_LOCATION",
                "KAFKA_SSL_CERTIFICATE_LOCATION",
                "KAFKA_SSL_KEY_LOCATION",
            )
        ],
    ],
)
def test_what_librdkafka_refuses_is_reported_by_its_variable(
    name: str, changes: dict[str, str | None]
) -> None:
    """Faults only librdkafka can find, a missing credential among them, name the variable."""
    variable, text = only_fault(environment(**changes))
    assert variable == name
    assert "librdkafka refuses" in text
    assert "hush" not in text


def test_a_file_can_hold_any_setting(properties: Path) -> None:
    """The file is a Java properties file, with its comments, separators and long lines."""
    content = "# comment\ncompression.type = zstd\nsocket.timeout.ms: 30000\nclient.id=a\\\n  b\n"
    properties.write_text(content)
    assert settings(KAFKA_CONFIG_FILE=str(properties)) == {
        "compression.type": "zstd",
        "socket.timeout.ms": "30000",
        "client.id": "ab",
    }


def test_a_variable_comes_before_the_file(properties: Path) -> None:
    """A setting in both places has the variable's value."""
    properties.write_text("sasl.username=other\nsasl.password=other\n")
    told = settings(KAFKA_CONFIG_FILE=str(properties), **SASL)
    assert (told["sasl.username"], told["sasl.password"]) == ("notifier", "hush")


def test_a_file_complements_the_variables(properties: Path) -> None:
    """Credentials may be in the file while the rest is in variables."""
    properties.write_text("sasl.username=other\nsasl.password=other\n")
    changes = SASL | {"KAFKA_SASL_USERNAME": None, "KAFKA_SASL_PASSWORD": None}
    told = settings(KAFKA_CONFIG_FILE=str(properties), **changes)
    assert told["sasl.password"] == "other"


def test_nothing_of_a_file_is_shown(properties: Path) -> None:
    """Any setting of a file may be a secret, so all are treated as one."""
    config = read(with_file(properties, "ssl.key.pem=hush\nsasl.password=hush\n")).kafka
    assert config is not None
    assert config.settings["ssl.key.pem"] == Secret("hush")
    assert "hush" not in f"{config} {config!r} {config.settings}"


@pytest.mark.parametrize("line", ["acks=1", "acks=0", "request.required.acks=1"])
@pytest.mark.parametrize("also", ["", "enable.idempotence=false"])
def test_a_file_can_not_weaken_the_delivery(properties: Path, line: str, also: str) -> None:
    """Weaker acks and idempotence are faults, each of its own."""
    found = faults(with_file(properties, f"{line}\n{also}\n"))
    assert len(found) == (2 if also else 1)
    assert all(fault.startswith("KAFKA_CONFIG_FILE: sets ") for fault in found)
    name, _, value = line.partition("=")
    assert any(f"sets {name} to '{value}', but every replica" in fault for fault in found)


@pytest.mark.parametrize(
    "line",
    [
        "retries=0",
        "message.send.max.retries=0",
        "max.in.flight.requests.per.connection=10",
        "max.in.flight=6",
    ],
)
def test_a_file_can_not_contradict_idempotence(properties: Path, line: str) -> None:
    """A setting that an idempotent producer excludes is a fault instead of a surprise."""
    name, text = only_fault(with_file(properties, line))
    assert name == "KAFKA_CONFIG_FILE"
    assert "enable.idempotence" in text
    assert line.partition("=")[0] in text


#: Settings that would void a promise, however they are spelled, and a word of why.
VOIDING = {
    "acks=": "replica",
    "topic.acks=0": "replica",
    "request.required.acks= 1": "replica",
    "enable.idempotence=F": "twice",
    "transactional.id=x": "transactions",
    "test.mock.num.brokers=3": "cluster",
    "test.mock.num.brokers= 0x3": "cluster",
    "test.mock.broker.rtt=100": "cluster",
    "partitioner=random": "order",
    "partitioner=\\ random": "order",
    "partitioner=RANDOM": "order",
    "topic.partitioner=random": "order",
    "partitioner=": "order",
    "queuing.strategy=lifo": "order",
    "topic.queuing.strategy=LIFO ": "order",
    "delivery.report.only.error=true": "reported",
    "delivery.report.only.error=T": "reported",
    "produce.offset.report=false": "reported",
    "enabled_events=2": "reported",
    "enable.gapless.guarantee=true": "others",
    "allow.auto.create.topics=True": "topic",
    "allow.auto.create.topics=1": "topic",
    "batch.num.messages=10000": "alone",
    "batch.size=1000000": "alone",
    "internal.termination.signal=15": "signals",
    "logger=x": "programs",
    "ut_handle_ProduceResponse=1": "programs",
}


@pytest.mark.parametrize("line", VOIDING)
def test_a_setting_that_voids_a_promise_is_refused(properties: Path, line: str) -> None:
    """By its name, once, with the promise."""
    name, text = only_fault(with_file(properties, line))
    assert name == "KAFKA_CONFIG_FILE"
    assert f"sets {line.partition('=')[0].removeprefix('topic.')} to" in text
    assert VOIDING[line] in text


@pytest.mark.parametrize("name", sorted({it.partition("=")[0] for it in VOIDING}))
def test_what_is_refused_is_a_setting_of_librdkafkas(name: str) -> None:
    """A name that it doesn't know would be no way to void anything."""
    refusals = setting_faults({name: "no such value"}).values()
    assert not any("No such configuration property" in it for it in refusals)


@pytest.mark.parametrize(
    "line",
    [
        "dr_cb=x",
        "dr_msg_cb=x",
        "on_delivery=x",
        "error_cb=x",
        "stats_cb=x",
        "throttle_cb=x",
        "partitioner_cb=x",
        "msg_order_cmp=x",
        "background_event_cb=x",
        "interceptors=x",
    ],
)
def test_what_a_program_alone_can_set_is_refused(properties: Path, line: str) -> None:
    """Reports would go to nobody."""
    assert line.partition("=")[0] in only_fault(with_file(properties, line))[1]


@pytest.mark.parametrize("name", ["delivery.timeout.ms", "message.timeout.ms"])
@pytest.mark.parametrize("prefix", ["", "topic."])
@pytest.mark.parametrize("value", ["0", "-1", "600001", "2147483647", "060000", "0x10", "1e3", ""])
def test_a_record_is_given_up_in_time(properties: Path, name: str, prefix: str, value: str) -> None:
    """Neither never, nor later than the broker takes its notification back."""
    found = only_fault(with_file(properties, f"{prefix}{name}={value}"))
    text = f"sets {name} to {value!r}, which is not between 1 and 600000"
    assert found == ("KAFKA_CONFIG_FILE", text)


@pytest.mark.parametrize("value", ["1000", "999999", "1000000001", "x"])
def test_the_broker_says_what_is_too_large(properties: Path, value: str) -> None:
    """Not a limit of librdkafka's, by which all messages could be too large."""
    found = only_fault(with_file(properties, f"message.max.bytes={value}"))
    text = f"sets message.max.bytes to {value!r}, which is not between 1000000 and 1000000000"
    assert found == ("KAFKA_CONFIG_FILE", text)


@pytest.mark.parametrize(
    ("line", "passed_on"),
    [
        *((f"partitioner={it}", True) for it in ("consistent", "murmur2", "murmur2_random")),
        *((f"partitioner={it}", True) for it in ("consistent_random", "fnv1a", "fnv1a_random")),
        ("partitioner=\\ murmur2", True),
        ("delivery.timeout.ms=600000", True),
        ("message.timeout.ms=30000 ", True),
        ("message.max.bytes=1000000", True),
        ("linger.ms=5", True),
        ("compression.codec=lz4", True),
        ("max.in.flight=5", True),
        ("enable.metrics.push=false", True),
        ("topic.metadata.refresh.interval.ms=60000", True),
        ("queuing.strategy= FIFO ", False),
        ("delivery.report.only.error=False", False),
        ("produce.offset.report=true", False),
        ("enable.gapless.guarantee=f", False),
        ("allow.auto.create.topics=0", False),
        ("batch.num.messages=1", False),
        ("enabled_events=0", False),
        ("internal.termination.signal=0", False),
        ("test.mock.num.brokers=0", False),
    ],
)
def test_good_values_are_taken(properties: Path, line: str, passed_on: bool) -> None:  # noqa: FBT001  # parametrized
    """Free settings reach librdkafka. Settings with their only value need not."""
    told = settings(**with_file(properties, line))
    assert (line.partition("=")[0] in told) == passed_on


@pytest.mark.parametrize("names", ["metadata.broker.list", "bootstrap.servers"])
def test_the_variables_brokers_are_asked(properties: Path, names: str) -> None:
    """The file can't override them by either name."""
    config = read(with_file(properties, f"{names}=other.example:9092")).kafka
    assert config is not None
    assert revealed(config.settings) == {"bootstrap.servers": "kafka.example:9092"}


def test_the_variables_mechanism_is_used(properties: Path) -> None:
    """The file can't override it by another name, which counts without the variable."""
    environ = with_file(properties, "sasl.mechanisms=SCRAM-SHA-512", **SASL)
    told = settings(**environ)
    assert (told["sasl.mechanism"], "sasl.mechanisms" in told) == ("PLAIN", False)
    told = settings(**(environ | {"KAFKA_SASL_MECHANISM": ""}))
    assert told["sasl.mechanisms"] == "SCRAM-SHA-512"


@pytest.mark.parametrize(
    ("variable", "rivals"),
    [
        ("KAFKA_SSL_CA_LOCATION", {"ssl.ca.pem"}),
        ("KAFKA_SSL_CERTIFICATE_LOCATION", {"ssl.certificate.pem", "ssl.keystore.location"}),
        ("KAFKA_SSL_KEY_LOCATION", {"ssl.key.pem", "ssl.keystore.location"}),
    ],
)
def test_the_variables_certificates_are_used(
    properties: Path, variable: str, rivals: set[str]
) -> None:
    """The same in another form from the file would override them."""
    names = ("ssl.ca.pem", "ssl.certificate.pem", "ssl.key.pem", "ssl.keystore.location")
    lines = "\n".join(f"{name}=x" for name in (*names, "ssl.keystore.password"))
    environ = with_file(properties, lines, KAFKA_SECURITY_PROTOCOL="SSL", **{variable: "/x"})
    config = read_config(environ).kafka  # librdkafka would look for the file
    assert config is not None
    assert set(names) - config.settings.keys() == rivals


@pytest.mark.parametrize("line", ["acks=all", "acks=-1", "acks=ALL", "enable.idempotence=true"])
def test_a_file_may_say_what_is_promised_anyway(properties: Path, line: str) -> None:
    """Saying it once more does no harm."""
    properties.write_text(line)
    assert settings(KAFKA_CONFIG_FILE=str(properties)) == {}


@pytest.mark.parametrize(
    "setting",
    [
        "no.such.setting=hush",
        "linger.ms=hush",
        "error_cb=hush",
        "default.topic.config=hush",
        "sasl.jaas.config=hush",
        "socket.timeout.ms=-1",
    ],
)
def test_a_faulty_setting_of_the_file_is_named(properties: Path, setting: str) -> None:
    """The fault names the variable and the setting as in the file, and not the value."""
    name, text = only_fault(with_file(properties, setting))
    assert name == "KAFKA_CONFIG_FILE"
    assert setting.partition("=")[0] in text
    assert "hush" not in text
    assert text.isprintable()


def test_all_faulty_settings_are_reported_together(properties: Path) -> None:
    """Several faults of the file and of the variables come at once."""
    content = "no.such.setting=1\nlinger.ms=x\nacks=0\n"
    found = faults(with_file(properties, content, KAFKA_SECURITY_PROTOCOL="x"))
    names = sorted(fault.partition(":")[0] for fault in found)
    assert names == [*["KAFKA_CONFIG_FILE"] * 3, "KAFKA_SECURITY_PROTOCOL"]


def test_a_file_that_is_no_properties_file_is_a_fault(properties: Path) -> None:
    """The fault does not quote what may be a piece of a secret."""
    name, text = only_fault(with_file(properties, "sasl.password=a\\uhush"))
    assert name == "KAFKA_CONFIG_FILE"
    assert "not a properties file" in text
    assert "hush" not in text


def test_what_is_no_text_in_a_file_hides_no_other_fault(properties: Path) -> None:
    """Each setting is reported by its name."""
    found = faults(with_file(properties, "client.id=\\ud800\nsasl.username=\\ud800\nlinger.ms=x\n"))
    assert len(found) == 3
    for name in ("client.id", "sasl.username", "linger.ms"):
        assert any(name in fault for fault in found)


def test_a_file_is_checked_even_where_nothing_is_sent(properties: Path) -> None:
    """A fault shows before the configuration reaches production."""
    environ = with_file(properties, "acks=0", CKI_DEPLOYMENT_ENVIRONMENT=None)
    assert only_fault(environ, needs_kafka=False)[0] == "KAFKA_CONFIG_FILE"


@pytest.mark.parametrize(
    "line",
    [r"sasl.password=hush\ud800", r"client.id=a\u0000hush", r"client\udfff=hush"],
)
def test_a_setting_that_is_no_text_is_a_fault(properties: Path, line: str) -> None:
    """The library would not get it, or only its beginning."""
    name, text = only_fault(with_file(properties, line))
    assert name == "KAFKA_CONFIG_FILE"
    assert "client" in text or "sasl.password" in text
    assert "hush" not in text
    assert text.isprintable()
