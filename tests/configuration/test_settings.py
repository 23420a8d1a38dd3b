"""The configuration: every variable of the design's table, its default, its value, its faults."""

import json

import certifi
import pytest

from cki_notifier.configuration.secret import Secret
from cki_notifier.configuration.settings import (
    VARIABLES,
    Config,
    DataWarehouseConfig,
    JiraConfig,
    KafkaConfig,
    RabbitMQConfig,
)
from tests.factories.environment import (
    SECRETS,
    environment,
    faults,
    full_environment,
    only_fault,
    read,
)

GITLAB = '{"gitlab.com": "COM_GITLAB_TOKEN"}'
#: Texts that can't be the host of a merge request's URL.
NO_HOSTS = (
    *("", " ", "/", "https://", "http://gitlab.com", "http://host:8080", "ftp://host", "//host"),
    *("user@host", "user:hush@host", "https://user:hush@host/gitlab", "two hosts", "host name/x"),
    *("*.example", "host?a=b", "host#a", "host/a?b", "host/a b", "host/..", "host/a/../b", "a..b"),
    *(".host", "host.", "host:", "host:port", "host:123456", "host//gitlab", "[::1", "::1:80"),
    *("j\u00fcrgen.example", "host\u200b", "host/\u00e4", "ho\\st", "{host}"),
)


def rabbitmq(**changes: str | None) -> RabbitMQConfig:
    """Return the part for RabbitMQ of a changed environment."""
    config = read(environment(**changes)).rabbitmq
    assert config is not None
    return config


def test_defaults() -> None:
    """With the least that is needed, everything else has the table's default."""
    assert read(environment()) == Config(
        environment="production",
        datawarehouse=DataWarehouseConfig(
            url="https://datawarehouse.example", token=Secret(SECRETS["DATAWAREHOUSE_TOKEN"])
        ),
        gitlab_tokens={},
        jira=None,
        rabbitmq=RabbitMQConfig(
            hosts=("rabbitmq.example",),
            port=5672,
            virtual_host="/",
            user="guest",
            password=Secret("guest"),
            ca_file=None,
            exchange="cki.exchange.webhooks",
            queue="cki.queue.webhooks.cki_notifier",
            routing_keys=("datawarehouse.checkout.*",),
        ),
        kafka=KafkaConfig(
            topic="kafka.tx.cki.ready-for-test",
            settings={"bootstrap.servers": "kafka.example:9092"},
        ),
        logging_level="WARNING",
        logging_format="text",
        metrics_port=None,
        in_flight=32,
        shutdown_seconds=25,
        retry_hours=72,
        sentry_dsn=None,
    )


def test_a_part_has_the_defaults_of_its_variables() -> None:
    """A part made without the environment equals that of an empty one."""
    assert RabbitMQConfig(hosts=("rabbitmq.example",)) == rabbitmq()


def test_every_variable_counts() -> None:
    """With every variable set, nothing has its default."""
    secret = {name: Secret(value) for name, value in SECRETS.items()}
    assert read(full_environment(RABBITMQ_CAFILE=certifi.where())) == Config(
        environment="production",
        datawarehouse=DataWarehouseConfig(
            url="https://datawarehouse.example", token=secret["DATAWAREHOUSE_TOKEN"]
        ),
        gitlab_tokens={"gitlab.com": secret["COM_GITLAB_TOKEN"]},
        jira=JiraConfig(
            url="https://jira.example/root",
            token=secret["JIRA_TOKEN_AUTH"],
            email="notifier@jira.example",
        ),
        rabbitmq=RabbitMQConfig(
            hosts=("one.example", "two.example"),
            port=443,
            virtual_host="staging",
            user="notifier",
            password=secret["RABBITMQ_PASSWORD"],
            ca_file=certifi.where(),
            exchange="other.exchange",
            queue="other.queue",
            routing_keys=("datawarehouse.checkout.*", "datawarehouse.build.new"),
            management_url="https://rabbitmq.example:15671/root",
        ),
        kafka=KafkaConfig(
            topic="other-topic",
            settings={
                "bootstrap.servers": "kafka.example:9092",
                "security.protocol": "SASL_SSL",
                "sasl.mechanism": "SCRAM-SHA-512",
                "sasl.username": "notifier",
                "sasl.password": secret["KAFKA_SASL_PASSWORD"],
                "ssl.key.password": secret["KAFKA_SSL_KEY_PASSWORD"],
            },
        ),
        logging_level="DEBUG",
        logging_format="json",
        metrics_enabled=True,
        metrics_port=9100,
        in_flight=4,
        shutdown_seconds=10,
        retry_hours=0.5,
        sentry_dsn=secret["SENTRY_DSN"],
    )


def test_empty_variables_count_as_unset() -> None:
    """A variable that is there but empty has its default."""
    names = full_environment(KAFKA_CONFIG_FILE="", RABBITMQ_CAFILE="")
    files = {f"{name}_FILE": "" for name in SECRETS}
    assert read(dict.fromkeys(names, "") | files | environment()) == read(environment())


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"DATAWAREHOUSE_URL": None}, "is not set"),
        ({"DATAWAREHOUSE_URL": ""}, "is not set"),
        ({"DATAWAREHOUSE_URL": "datawarehouse.example"}, "is not an http(s) URL"),
        ({"DATAWAREHOUSE_URL": "ftp://datawarehouse.example"}, "is not an http(s) URL"),
        ({"DATAWAREHOUSE_URL": "https://"}, "is not an http(s) URL"),
        ({"DATAWAREHOUSE_URL": "https://host:99999"}, "is not an http(s) URL"),
        ({"DATAWAREHOUSE_URL": "https://[host"}, "is not an http(s) URL"),
        ({"DATAWAREHOUSE_URL": "https://host/?a=b"}, "is not an http(s) URL"),
        ({"DATAWAREHOUSE_URL": "https://host/#a"}, "is not an http(s) URL"),
        ({"DATAWAREHOUSE_URL": "https://host/a b"}, "is not an http(s) URL"),
        ({"DATAWAREHOUSE_TOKEN": None}, "DATAWAREHOUSE_TOKEN_FILE"),
        ({"DATAWAREHOUSE_TOKEN": ""}, "is not set"),
        ({"DATAWAREHOUSE_TOKEN": "two\nlines"}, "one line"),
        ({"JIRA_SERVER": "jira.example"}, "is not an http(s) URL"),
        ({"RABBITMQ_MANAGEMENT_URL": "rabbitmq.example:15671"}, "is not an http(s) URL"),
        ({"GITLAB_TOKENS": "gitlab.com"}, "is not a JSON object"),
        ({"GITLAB_TOKENS": '["gitlab.com"]'}, "is not a JSON object"),
        ({"GITLAB_TOKENS": '{"gitlab.com": 1}'}, "is not a JSON object"),
        ({"GITLAB_TOKENS": GITLAB}, "names COM_GITLAB_TOKEN for the token of gitlab.com"),
        ({"GITLAB_TOKENS": GITLAB, "COM_GITLAB_TOKEN": ""}, "is not set"),
        ({"GITLAB_TOKENS": '{"gitlab.com": ""}'}, "must name a variable"),
        ({"GITLAB_TOKENS": '{"a.example": "A", "A.example/": "B"}'}, "names a.example twice"),
        ({"GITLAB_TOKENS": '{"a.example": "A", "a.example": "B"}'}, "names a.example twice"),
        ({"GITLAB_TOKENS": '{"gitlab.com/redhat": "A"}'}, "names a group"),
        ({"GITLAB_TOKENS": '{"https://gitlab.com/redhat/kernel": "A"}'}, "names a group"),
        ({"GITLAB_TOKENS": '{"host/api/v4": "A"}'}, "is not the root"),
        (
            {"GITLAB_TOKENS": '{"host/group/kernel/-/merge_requests": "A"}'},
            "is not the root",
        ),
        *[({"GITLAB_TOKENS": f'{{"host:{it}": "A"}}'}, "has a port") for it in (0, 65_536)],
        *[({"GITLAB_TOKENS": json.dumps({it: "A"})}, "is not a host like") for it in NO_HOSTS],
        ({"RABBITMQ_HOST": None}, "is not set"),
        ({"RABBITMQ_HOST": " \t"}, "host name of a RabbitMQ node"),
        *[({"RABBITMQ_PORT": port}, repr(port)) for port in ("amqp", "0", "65536", "5672.0")],
        ({"RABBITMQ_CAFILE": "/nowhere/ca.pem"}, "No such file"),
        ({"RABBITMQ_CAFILE": "/"}, "'/'"),
        ({"RABBITMQ_CAFILE": __file__}, "can't load certificates"),
        ({"RABBITMQ_QUEUE": "q" * 201}, "longer than 200 bytes"),
        ({"RABBITMQ_QUEUE": "amq.queue"}, "amq."),
        ({"RABBITMQ_ROUTING_KEYS": " \n"}, "write a routing key"),
        ({"KAFKA_BOOTSTRAP_SERVERS": None}, "is not set"),
        *[({"KAFKA_TOPIC": topic}, repr(topic)) for topic in ("a topic", "..", ".", "t" * 250)],
        ({"KAFKA_SECURITY_PROTOCOL": "tls"}, "security.protocol"),
        ({"KAFKA_CONFIG_FILE": "/nowhere/client.properties"}, "No such file"),
        ({"CKI_LOGGING_LEVEL": "LOUD"}, "'LOUD'"),
        ({"CKI_LOGGING_FORMAT": "xml"}, "'xml' is not one of text, json"),
        ({"CKI_METRICS_ENABLED": "maybe"}, "'maybe' is neither true nor false"),
        *[({"CKI_METRICS_PORT": port}, repr(port)) for port in ("http", "0", "70000")],
        *[({"CKI_NOTIFIER_IN_FLIGHT": n}, repr(n)) for n in ("0", "-1", "1.5", "many", "40000")],
        *[
            ({name: value}, repr(value))
            for name in ("CKI_NOTIFIER_SHUTDOWN_SECONDS", "CKI_NOTIFIER_RETRY_HOURS")
            for value in ("0", "-1", "nan", "inf", "soon")
        ],
    ],
)
def test_a_fault_names_its_variable(changes: dict[str, str | None], text: str) -> None:
    """Each kind of fault is reported once, under the variable to change."""
    name, found = only_fault(environment(**changes))
    assert name == next(iter(changes))
    assert text in found


def test_all_faults_are_reported_together() -> None:
    """An operator need not run it once for each fault."""
    environ = environment(
        DATAWAREHOUSE_URL=None,
        DATAWAREHOUSE_TOKEN=None,
        RABBITMQ_HOST=None,
        RABBITMQ_PORT="x",
        GITLAB_TOKENS='{"a.example": "MISSING", "b.example": "GITLAB_TOKEN"}',
        KAFKA_BOOTSTRAP_SERVERS=None,
        KAFKA_SECURITY_PROTOCOL="x",
        CKI_LOGGING_LEVEL="x",
    )
    expected = """DATAWAREHOUSE_URL DATAWAREHOUSE_TOKEN RABBITMQ_HOST RABBITMQ_PORT GITLAB_TOKENS
        GITLAB_TOKENS KAFKA_BOOTSTRAP_SERVERS KAFKA_SECURITY_PROTOCOL CKI_LOGGING_LEVEL"""
    names = [fault.partition(":")[0] for fault in faults(environ)]
    assert sorted(names) == sorted(expected.split())


def test_jira_can_be_read_anonymously() -> None:
    """Without a token there is Jira all the same; a token alone is of no use."""
    jira = "https://jira.example"
    assert read(environment(JIRA_SERVER=jira)).jira == JiraConfig(url=jira, token=None)
    assert read(environment(JIRA_TOKEN_AUTH="hush")).jira is None


@pytest.mark.parametrize(
    ("key", "host"),
    [
        ("gitlab.com/", "gitlab.com"),
        (" GitLab.com ", "gitlab.com"),
        ("https://gitlab.com", "gitlab.com"),
        ("HTTPS://GitLab.COM//", "gitlab.com"),
        ("gitlab.com:443", "gitlab.com"),
        ("https://gitlab.com:443/", "gitlab.com"),
        ("host:80", "host:80"),
        ("[::1]:8443", "[::1]:8443"),
        ("[2001:DB8::1]", "[2001:db8::1]"),
        ("Host/GitLab/", "host/GitLab"),
        ("https://host:8443/tools/gitlab", "host:8443/tools/gitlab"),
    ],
)
def test_a_gitlab_is_named_as_its_merge_requests_name_it(key: str, host: str) -> None:
    """Spellings that can only mean one host are accepted."""
    environ = environment(GITLAB_TOKENS=json.dumps({key: "ONE"}), ONE="1")
    assert read(environ).gitlab_tokens == {host: Secret("1")}


def test_each_host_that_is_none_is_named() -> None:
    """All at once, as all faults are."""
    (fault,) = faults(environment(GITLAB_TOKENS='{"": "A", "a b": "A", "http://c": "A"}'))
    assert all(it in fault for it in ("''", "'a b'", "'http://c'"))


def test_a_password_in_a_host_is_not_shown() -> None:
    """Neither is a token in its place."""
    (fault,) = faults(environment(GITLAB_TOKENS='{"user:hush@gitlab.com": "ONE"}', ONE="1"))
    assert "is not a host like" in fault
    assert "hush" not in fault


def test_gitlab_tokens_are_by_host_with_its_port() -> None:
    """Several hosts may have tokens; the case of a host doesn't matter."""
    hosts = {"GitLab.example:8443": "ONE", "gitlab.com": "other_name"}
    changes = {"GITLAB_TOKENS": json.dumps(hosts), "ONE": "1", "other_name": "2"}
    expected = {"gitlab.example:8443": Secret("1"), "gitlab.com": Secret("2")}
    assert read(environment(**changes)).gitlab_tokens == expected


@pytest.mark.parametrize(
    ("port", "tls"), [("443", True), ("5671", True), ("5672", False), ("15671", False)]
)
def test_tls_is_a_matter_of_the_port(port: str, tls: bool) -> None:  # noqa: FBT001  # parametrized
    """443 and AMQPS' 5671 speak TLS, others do not."""
    assert rabbitmq(RABBITMQ_PORT=port).tls is tls


@pytest.mark.parametrize("value", ["one two", " one  two ", "one\ttwo\n"])
def test_nodes_and_routing_keys_are_separated_by_whitespace(value: str) -> None:
    """Any whitespace will do, and more of it does no harm."""
    config = rabbitmq(RABBITMQ_HOST=value, RABBITMQ_ROUTING_KEYS=value)
    assert config.hosts == config.routing_keys == ("one", "two")


def test_a_manual_run_needs_no_rabbitmq() -> None:
    """Without a node there is no part for RabbitMQ, and its faults are still faults."""
    manual = environment(RABBITMQ_HOST=None)
    assert read(manual, needs_rabbitmq=False).rabbitmq is None
    for name, value in (("RABBITMQ_PORT", "x"), ("RABBITMQ_HOST", " ")):
        (fault,) = faults(manual | {name: value}, needs_rabbitmq=False)
        assert fault.startswith(f"{name}:")


@pytest.mark.parametrize("name", ["production", "staging"])
def test_production_and_staging_need_kafka(name: str) -> None:
    """These environments publish messages, so they need the brokers."""
    config = read(environment(CKI_DEPLOYMENT_ENVIRONMENT=name))
    assert config.sends
    assert config.kafka is not None
    changed = environment(CKI_DEPLOYMENT_ENVIRONMENT=name, KAFKA_BOOTSTRAP_SERVERS=None)
    assert faults(changed)[0].startswith("KAFKA_BOOTSTRAP_SERVERS:")
    assert read(changed, needs_kafka=False).kafka is None  # a dry run


@pytest.mark.parametrize("name", [None, "", "development", "mr"])
@pytest.mark.parametrize("servers", [None, "kafka.example:9092"])
def test_elsewhere_nothing_is_sent(name: str | None, servers: str | None) -> None:
    """In any other environment there is no Kafka, even if it is known where one is."""
    changes = {"CKI_DEPLOYMENT_ENVIRONMENT": name, "KAFKA_BOOTSTRAP_SERVERS": servers}
    config = read(environment(**changes))
    assert not config.sends
    assert config.kafka is None


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("WARN", "WARNING"),
        ("warning", "WARNING"),
        ("info", "INFO"),
        ("ERROR", "ERROR"),
        ("CRITICAL", "CRITICAL"),
    ],
)
def test_logging_levels(text: str, level: str) -> None:
    """The level is one that the logging module knows, in any letters' case."""
    assert read(environment(CKI_LOGGING_LEVEL=text)).logging_level == level


@pytest.mark.parametrize(
    ("enabled", "port"),
    [("true", 8000), ("True", 8000), ("1", 8000), ("false", None), ("0", None), ("no", None)],
)
def test_metrics_are_served_when_enabled(enabled: str, port: int | None) -> None:
    """Metrics have their default port once they are enabled."""
    assert read(environment(CKI_METRICS_ENABLED=enabled)).metrics_port == port


#: How Python reads a byte that is not UTF-8.
BYTE = "\udcff"


@pytest.mark.parametrize("name", [it.name for it in VARIABLES])
def test_bytes_that_are_no_text_are_a_fault(name: str) -> None:
    """Of any variable, once, whether or not it would be needed; the bytes are not shown."""
    found, text = only_fault(full_environment(**{name: f"hush{BYTE}"}))
    assert (found, text) == (name, "contains bytes that are not UTF-8")


@pytest.mark.parametrize("name", SECRETS)
def test_a_secrets_file_has_a_name_that_is_text(name: str) -> None:
    """As every variable."""
    found, text = only_fault(full_environment(**{name: None, f"{name}_FILE": f"/x{BYTE}"}))
    assert (found, text) == (f"{name}_FILE", "contains bytes that are not UTF-8")


@pytest.mark.parametrize("name", ["DATAWAREHOUSE_TOKEN", "JIRA_TOKEN_AUTH", "COM_GITLAB_TOKEN"])
@pytest.mark.parametrize("token", ["hush-\u00e4", "hush-\u200b", "hush\t", "hush\x7f", "hush😀"])
def test_a_token_that_no_header_can_hold_is_a_fault(name: str, token: str) -> None:
    """It would be refused with each request, or not even sent."""
    found, text = only_fault(full_environment(**{name: token}))
    assert found == name
    assert "HTTP can't send" in text
    assert "hush" not in text


@pytest.mark.parametrize("name", ["DATAWAREHOUSE_URL", "JIRA_SERVER"])
@pytest.mark.parametrize(
    "url", ["https://\u00e4.example", "https://a\u200b.example/x", "http://h/\x7f"]
)
def test_an_address_is_ascii(name: str, url: str) -> None:
    """Else nothing could be asked there."""
    found, text = only_fault(full_environment(**{name: url}))
    assert found == name
    assert "is not an http(s) URL" in text


@pytest.mark.parametrize("host", ["a..b", "\u200b", "x" * 64, "one " + "x" * 70 + ".example"])
def test_a_node_has_a_name_that_can_be_looked_up(host: str) -> None:
    """Looking it up would raise what nobody expects."""
    found, text = only_fault(environment(RABBITMQ_HOST=host))
    assert found == "RABBITMQ_HOST"
    assert "is not a valid host name" in text


@pytest.mark.parametrize("host", ["r\u00e4bbit.example", "10.0.0.1", "::1", "rabbit.example."])
def test_a_node_may_have_any_name_or_address(host: str) -> None:
    """International names and addresses among them."""
    assert rabbitmq(RABBITMQ_HOST=host).hosts == (host,)
