"""Values that only look right: each is a fault that says what to write, or is understood."""

from pathlib import Path
from typing import Any

import certifi
import pytest

from cki_notifier.configuration.secret import Secret
from cki_notifier.configuration.settings import (
    VARIABLES,
    KafkaConfig,
    RabbitMQConfig,
    read_config,
    read_operator_config,
    read_with_faults,
)
from cki_notifier.configuration.variables import Variable
from cki_notifier.doctor.configuration import findings
from cki_notifier.notification.errors import ConfigurationError
from tests.factories.environment import SECRETS, environment, full_environment

ENVIRONMENT, BROKERS = "CKI_DEPLOYMENT_ENVIRONMENT", "KAFKA_BOOTSTRAP_SERVERS"
PASSWORDS = ("RABBITMQ_PASSWORD", "KAFKA_SASL_PASSWORD", "KAFKA_SSL_KEY_PASSWORD")
TOKENS = ("DATAWAREHOUSE_TOKEN", "JIRA_TOKEN_AUTH", "COM_GITLAB_TOKEN", "SENTRY_DSN")


def everything() -> dict[str, str]:
    """Return an environment that sets every variable that is no file's name."""
    return full_environment(RABBITMQ_CAFILE=certifi.where(), KAFKA_SSL_CA_LOCATION=certifi.where())


def faults(environ: dict[str, str]) -> list[str]:
    """Return the faults that are found without librdkafka."""
    with pytest.raises(ConfigurationError) as caught:
        read_config(environ)
    return caught.value.faults


def only_fault(environ: dict[str, str]) -> tuple[str, str]:
    """Return the variable and the text of the one fault that is found without librdkafka."""
    (fault,) = faults(environ)
    variable, _, text = fault.partition(": ")
    return variable, text


def rabbitmq(**changes: str | None) -> RabbitMQConfig:
    """Return the part for RabbitMQ of a changed environment."""
    config = read_config(environment(**changes)).rabbitmq
    assert config is not None
    return config


def kafka(**changes: str | None) -> KafkaConfig:
    """Return the part for Kafka of a changed environment."""
    config = read_config(environment(**changes)).kafka
    assert config is not None
    return config


@pytest.mark.parametrize(
    "value",
    [
        *("Production", "PRODUCTION", "Staging", "sTAGING", "prod", "PROD", "prd", "stage", "Stg"),
        *("production.", "-production", "production;", "'staging", "staging\\n", "`staging`"),
        *("production # not staging", "staging#x", "production (the real one)", "pro duction"),
        *("CKI_DEPLOYMENT_ENVIRONMENT=production", "=staging", "env = staging", "staging="),
        *("prodution", "producttion", "produciton", "produktion", "productio", "roduction"),
        *("stagging", "stagin", "stagign", "steging", "productions", "\u0440roduction"),
        *("\uff50\uff52\uff4f\uff44\uff55\uff43\uff54\uff49\uff4f\uff4e", "production,staging"),
    ],
)
def test_an_environment_that_looks_like_a_sending_one_is_a_fault(value: str) -> None:
    """Else it would look on without a word; the fault says which one is meant."""
    name, text = only_fault(environment(**{ENVIRONMENT: value}))
    assert name == ENVIRONMENT
    assert text.endswith(("write production", "write staging", "remove them"))


@pytest.mark.parametrize(
    "value",
    [
        *(
            "development",
            "dev",
            "test",
            "testing",
            "qa",
            "mr",
            "local",
            "ci",
            "live",
            "Development",
        ),
        *("pre-production", "preprod", "non-production", "nonprod", "reproduction", "product"),
        *("staging-2", "staging2", "production-eu", "production1", "prod-2", "prod2", "stage-9"),
        *(
            "tagging",
            "sandbox",
            "introduction",
            "stable",
            "stages",
            "p",
            "s",
            "-",
            "2",
            "\u00e9t\u00e9",
        ),
        *("not production", "pre production"),
    ],
)
def test_any_other_environment_is_allowed(value: str) -> None:
    """There messages are only shown."""
    config = read_config(environment(**{ENVIRONMENT: value}))
    assert (config.environment, config.sends, config.kafka) == (value, False, None)


@pytest.mark.parametrize("value", ["Production", "staging ", '"production"', "\ufeffstaging"])
def test_what_the_meant_environment_needs_is_told_at_once(value: str) -> None:
    """Nobody has to mend the one fault to hear of the next."""
    found = faults(environment(**{ENVIRONMENT: value, BROKERS: None}))
    assert [it.partition(":")[0] for it in found] == [ENVIRONMENT, BROKERS]


def test_what_no_sending_environment_is_meant_by_needs_no_kafka() -> None:
    """A space too many is all that is wrong with this one."""
    assert only_fault(environment(**{ENVIRONMENT: "qa ", BROKERS: None}))[0] == ENVIRONMENT


def test_the_doctor_says_what_the_daemon_says() -> None:
    """And not that messages are sent, or only shown, as neither is so."""
    changes = {ENVIRONMENT: "Production", "RABBITMQ_HOST": "a,b"}
    config, told = read_with_faults(environment(**changes))
    rows = [(row.name, row.text) for row in findings(config, told)]
    assert rows == [
        (f"configuration {name}", text) for name, _, text in (it.partition(": ") for it in told)
    ]
    assert len(rows) == len(changes)


@pytest.mark.parametrize("variable", VARIABLES, ids=lambda it: it.name)
@pytest.mark.parametrize(
    ("before", "after"), [("", " "), ("", "\n"), (" ", ""), ("", "\r\n"), ("\ufeff", "")]
)
def test_what_is_around_a_value_is_a_fault_or_no_part_of_it(
    variable: Variable[Any], before: str, after: str
) -> None:
    """No value is used with spaces, a line end or a mark that nobody sees."""
    environ = everything()
    value = environ.get(variable.name, "/nowhere")
    changed = environ | {variable.name: f"{before}{value}{after}"}
    if variable.is_spaced and before != "\ufeff":
        assert read_config(changed) == read_config(environ)
        return
    name, text = only_fault(changed)
    assert name == variable.name
    assert not variable.is_secret or value not in text


@pytest.mark.parametrize("name", [it.name for it in VARIABLES])
@pytest.mark.parametrize("quotes", ['""', "''", "\u201c\u201d"])
def test_quotes_around_a_value_are_a_fault(name: str, quotes: str) -> None:
    """As docker leaves them, which reads no shell's syntax."""
    environ = everything()
    value = environ.get(name, "/nowhere")
    found, text = only_fault(environ | {name: quotes[0] + value + quotes[1]})
    assert found == name
    assert "quotes" in text or name == "SENTRY_DSN" or quotes[0] == "\u201c"


@pytest.mark.parametrize("name", [it.name for it in VARIABLES])
@pytest.mark.parametrize("hidden", ["\u200b", "\x07", "\x7f", "\u202e", "\u00ad"])
def test_what_can_not_be_seen_within_a_value_is_a_fault(name: str, hidden: str) -> None:
    """It is not shown as it is either."""
    environ = everything()
    value = environ.get(name, "/nowhere")
    found, text = only_fault(environ | {name: value[:1] + hidden + value[1:]})
    assert found == name
    assert text.isprintable()


@pytest.mark.parametrize("name", [*TOKENS, *PASSWORDS])
@pytest.mark.parametrize("path", [" {}", "{}\n", '"{}"', "{}\u200b"])
def test_the_path_of_a_secrets_file_is_looked_at(tmp_path: Path, name: str, path: str) -> None:
    """As any value."""
    file = tmp_path / "secret"
    file.write_text(everything()[name])
    found, _ = only_fault(everything() | {name: "", f"{name}_FILE": path.format(file)})
    assert found == f"{name}_FILE"


@pytest.mark.parametrize("name", TOKENS)
@pytest.mark.parametrize("content", ["{} ", " {}", '"{}"\n', "\n{}", "{}\u200b", "\ufeff\ufeff{}"])
def test_a_token_has_nothing_around_it_in_a_file_either(
    tmp_path: Path, name: str, content: str
) -> None:
    """Nothing of it is shown."""
    file = tmp_path / "secret"
    value = everything()[name]
    file.write_text(content.format(value))
    found, text = only_fault(everything() | {name: "", f"{name}_FILE": str(file)})
    assert found == name
    assert value not in text


@pytest.mark.parametrize("password", ["hush ", ' "hush"', "'hush'", "  "])
def test_a_password_is_taken_from_a_file_as_it_is(tmp_path: Path, password: str) -> None:
    """In a variable a fault says that it can come from there, as it might be meant."""
    name, text = only_fault(environment(RABBITMQ_PASSWORD=password))
    assert name == "RABBITMQ_PASSWORD"
    assert "RABBITMQ_PASSWORD_FILE" in text
    assert "hush" not in text
    file = tmp_path / "secret"
    file.write_text(f"{password}\n")
    assert rabbitmq(RABBITMQ_PASSWORD_FILE=str(file)).password == Secret(password)


@pytest.mark.parametrize("name", [it for it in SECRETS if it != "SENTRY_DSN"])
def test_a_path_in_the_place_of_a_secret_is_a_fault(tmp_path: Path, name: str) -> None:
    """It belongs into the variable for the file."""
    file = tmp_path / "secret"
    file.touch()
    found, text = only_fault(full_environment(**{name: str(file)}))
    assert (found, f"set {name}_FILE" in text) == (name, True)


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize(
    "value", ["hush", "hush/hush", "https://hush@sentry.example/42", "h" * 999]
)
def test_a_secret_in_the_place_of_its_path_is_not_shown(name: str, value: str) -> None:
    """The fault tells only that there is no such file."""
    found, text = only_fault(full_environment(**{name: None, f"{name}_FILE": value}))
    assert found == f"{name}_FILE"
    assert "can't be read" in text
    assert value not in text


@pytest.mark.parametrize("name", SECRETS)
def test_the_mark_of_an_editor_is_no_part_of_a_file(tmp_path: Path, name: str) -> None:
    """Some begin every file in UTF-8 with one."""
    file = tmp_path / "secret"
    file.write_text(f"{SECRETS[name]}\r\n", encoding="utf-8-sig", newline="")
    changed = full_environment(**{name: None, f"{name}_FILE": str(file)})
    assert read_config(changed) == read_config(full_environment())


def test_the_mark_of_an_editor_is_no_part_of_a_properties_file(tmp_path: Path) -> None:
    """Else it would begin the first setting's name."""
    file = tmp_path / "client.properties"
    file.write_text("linger.ms=5\n", encoding="utf-8-sig")
    assert kafka(KAFKA_CONFIG_FILE=str(file)).settings["linger.ms"] == Secret("5")


@pytest.mark.parametrize("changes", [{}, {"RABBITMQ_PORT": "5672"}, {"RABBITMQ_PORT": "15671"}])
def test_authorities_without_tls_are_a_fault(changes: dict[str, str | None]) -> None:
    """An operator who sets them does not expect plain text. Operators' commands agree."""
    environ = environment(RABBITMQ_CAFILE=certifi.where(), **changes)
    name, text = only_fault(environ)
    assert name == "RABBITMQ_CAFILE"
    assert "5671" in text
    with pytest.raises(ConfigurationError, match="RABBITMQ_CAFILE"):
        read_operator_config(environ)


@pytest.mark.parametrize(
    "changes",
    [{"RABBITMQ_PORT": "5671"}, {"RABBITMQ_PORT": "443"}, {"RABBITMQ_HOST": None}],
)
def test_authorities_are_fine_with_tls_or_without_rabbitmq(changes: dict[str, str | None]) -> None:
    """A manual run needs no RabbitMQ."""
    read_config(environment(RABBITMQ_CAFILE=certifi.where(), **changes), needs_rabbitmq=False)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("one,two", "by spaces"),
        ("one, two", "by spaces"),
        ("one;two", "by spaces"),
        ("one:5672", "RABBITMQ_PORT"),
        ("two one:5671", "RABBITMQ_PORT"),
        ("one:", "RABBITMQ_PORT"),
        ("10.0.0.1:5672", "RABBITMQ_PORT"),
        ("[::1]:5672", "RABBITMQ_PORT"),
        ("amqps://one", "without ://"),
        ("amqp://one:5672/", "without ://"),
        ("[::1]", "write ::1"),
        ("guest:hush@one", "contains an @"),
        ("amqps://guest:hush@one:5671", "contains an @"),
        ("one/vhost", "is not a valid host name"),
        ("one 'two'", "is not a valid host name"),
        ("$RABBIT", "is not a valid host name"),
        ("::1::", "is not a valid host name"),
    ],
)
def test_nodes_that_nobody_could_reach_are_a_fault(value: str, text: str) -> None:
    """Else they would be tried for ever."""
    name, found = only_fault(environment(RABBITMQ_HOST=value))
    assert name == "RABBITMQ_HOST"
    assert text in found
    assert "hush" not in found


@pytest.mark.parametrize("host", ["::1", "2001:db8::5672", "rabbit_1", "localhost", "a-b.c"])
def test_nodes_have_names_and_addresses(host: str) -> None:
    """The configuration accepts the names that pika accepts."""
    assert rabbitmq(RABBITMQ_HOST=host).hosts == (host,)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("RABBITMQ_VIRTUAL_HOST", "%2F", "write /"),
        ("RABBITMQ_VIRTUAL_HOST", "%2fcki", "write /cki"),
        ("RABBITMQ_VIRTUAL_HOST", "v" * 256, "longer than 255 bytes"),
        ("WEBHOOK_RECEIVER_EXCHANGE", "\u00e4" * 128, "longer than 255 bytes"),
        ("RABBITMQ_ROUTING_KEYS", "a.b,a.c", "by spaces"),
        ("RABBITMQ_ROUTING_KEYS", "a.b, a.c", "by spaces"),
        ("RABBITMQ_ROUTING_KEYS", "a.b;a.c", "by spaces"),
        ("RABBITMQ_ROUTING_KEYS", "a.b a.c*", "whole words"),
        ("RABBITMQ_ROUTING_KEYS", "a.##", "whole words"),
        ("RABBITMQ_ROUTING_KEYS", "k" * 256, "longer than 255 bytes"),
        ("DATAWAREHOUSE_URL", "https://host/api/1", "write https://host"),
        ("DATAWAREHOUSE_URL", "https://host/dw/api/1/kcidb/", "write https://host/dw"),
    ],
)
def test_names_that_lead_nowhere_are_a_fault(name: str, value: str, text: str) -> None:
    """And the fault says what would."""
    found, told = only_fault(environment(**{name: value}))
    assert found == name
    assert text in told


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RABBITMQ_VIRTUAL_HOST", "/cki"),
        ("RABBITMQ_VIRTUAL_HOST", "100%"),
        ("RABBITMQ_ROUTING_KEYS", "#"),
        ("RABBITMQ_ROUTING_KEYS", "a.*.b.# *.c\n"),
        ("RABBITMQ_PORT", "15672"),
        ("DATAWAREHOUSE_URL", "https://host/api"),
        ("DATAWAREHOUSE_URL", "https://host/api/1x"),
        ("KAFKA_SECURITY_PROTOCOL", "plaintext"),
        ("GITLAB_TOKENS", "{}\n"),
        ("CKI_NOTIFIER_RETRY_HOURS", " 1.5\n"),
    ],
)
def test_what_is_only_unusual_is_allowed(name: str, value: str) -> None:
    """It has always worked."""
    read_config(environment(**{name: value}))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *[(it, "names no broker") for it in (",", " , ", ",,")],
        ("kafka://a:9092", "without kafka://"),
        ("https://a:9092", "without https://"),
        ("://a:9092", "without ://"),
        ("SSL://a:9093", "KAFKA_SECURITY_PROTOCOL to SSL"),
        ("a:9092,SASL_SSL://b:9093", "KAFKA_SECURITY_PROTOCOL to SASL_SSL"),
        *[(f"a:{it}", "a port between") for it in ("99999999", "65536", "0", "", "x", "-1", "9e3")],
        *[(f"ok:1,{it}", "a port between") for it in ("b:", "[::1]:", "[::1]:0", "b:90/2")],
        ("9092:a", "a port between"),
        *[
            (it, "separate brokers by commas")
            for it in ("a;b", "a:1;b", "a:1;b:2", "a:1 b:2", "a b:1")
        ],
        *[(it, "separate brokers by commas") for it in ("a:1:2", "a:1\nb:2", "a|b", "a :1")],
        (":9092", "localhost:9092"),
        ("::1:9092", "write [::1]:9092"),
        ("[::1", "is not a broker"),
        ("[a]:9092", "is not a valid host name"),
        ("[]:9092", "is not a valid host name"),
        ("r\u00e4tsel:9092", "is not a valid host name"),
        ("a/b:9092", "is not a valid host name"),
        ("a..b:9092", "is not a valid host name"),
        ("user:hush@a:9092", "contains an @"),
    ],
)
def test_brokers_that_librdkafka_would_leave_out_are_a_fault(value: str, text: str) -> None:
    """Or take for others: it says nothing."""
    name, found = only_fault(environment(**{BROKERS: value}))
    assert name == BROKERS
    assert text in found
    assert "hush" not in found


@pytest.mark.parametrize(
    ("value", "taken"),
    [
        *[(it, it) for it in ("a", "a:1", "a:65535", "a:09092", "a,b:2", "10.0.0.1:9092", "a_b:1")],
        *[(it, it) for it in ("[::1]:9092", "[::1]", "::1", "2001:db8::2:9193", "localhost")],
        ("a:1, b:2 ,c", "a:1,b:2,c"),
        (" a:1,\n  b:2,\n", "a:1,b:2"),
        (",a:1,,b:2,", "a:1,b:2"),
        ("a: 1", "a:1"),
        ("a:1/", "a:1"),
        ("PLAINTEXT://a:1/,plaintext://[::1]:2", "PLAINTEXT://a:1,plaintext://[::1]:2"),
    ],
)
def test_brokers_are_taken_as_librdkafka_takes_them(value: str, taken: str) -> None:
    """Without what only separates them."""
    assert kafka(**{BROKERS: value}).settings["bootstrap.servers"] == taken


def test_the_protocol_of_a_broker_may_be_that_of_the_properties_file(tmp_path: Path) -> None:
    """The one that counts is compared."""
    file = tmp_path / "client.properties"
    file.write_text("security.protocol=ssl\n")
    changes = {BROKERS: "SSL://a:1", "KAFKA_CONFIG_FILE": str(file)}
    assert kafka(**changes).settings["bootstrap.servers"] == "SSL://a:1"


@pytest.mark.parametrize(
    ("protocol", "name", "value", "needed"),
    [
        (None, "KAFKA_SASL_USERNAME", "me", "SASL_SSL or SASL_PLAINTEXT"),
        (None, "KAFKA_SASL_MECHANISM", "SCRAM-SHA-512", "SASL_SSL or SASL_PLAINTEXT"),
        ("PLAINTEXT", "KAFKA_SASL_USERNAME", "me", "SASL_SSL or SASL_PLAINTEXT"),
        ("ssl", "KAFKA_SASL_USERNAME", "me", "SASL_SSL or SASL_PLAINTEXT"),
        (None, "KAFKA_SSL_CA_LOCATION", certifi.where(), "SASL_SSL or SSL"),
        ("plaintext", "KAFKA_SSL_CA_LOCATION", "/nowhere", "SASL_SSL or SSL"),
        ("PLAINTEXT", "KAFKA_SSL_CERTIFICATE_LOCATION", "/x", "SASL_SSL or SSL"),
        ("PLAINTEXT", "KAFKA_SSL_KEY_LOCATION", "/x", "SASL_SSL or SSL"),
    ],
)
def test_what_a_protocol_does_without_is_a_fault(
    protocol: str | None, name: str, value: str, needed: str
) -> None:
    """An operator who sets it expects a login, or TLS."""
    found, text = only_fault(environment(KAFKA_SECURITY_PROTOCOL=protocol, **{name: value}))
    assert found == name
    assert needed in text


def test_a_password_alone_is_none() -> None:
    """It can't be used without a name, or a key, anyway."""
    read_config(environment(KAFKA_SASL_PASSWORD="hush", KAFKA_SSL_KEY_PASSWORD="hush"))


@pytest.mark.parametrize(
    "name", ["KAFKA_CONFIG_FILE", "RABBITMQ_CAFILE", "DATAWAREHOUSE_TOKEN_FILE"]
)
@pytest.mark.parametrize("path", ["/nowhere", "/tmp", "/proc/self/mem"])  # noqa: S108  # a folder
def test_a_file_that_can_not_be_read_is_a_fault(name: str, path: str) -> None:
    """It isn't there, is a folder, or refuses to be read."""
    changes = {"DATAWAREHOUSE_TOKEN": None} if name == "DATAWAREHOUSE_TOKEN_FILE" else {}
    found, text = only_fault(environment(RABBITMQ_PORT="5671", **changes, **{name: path}))
    assert found == name
    assert path in text
