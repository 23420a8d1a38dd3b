"""The configuration: read from the environment once, into frozen values, all faults at a time.

Nothing else reads the environment. Each secret can come from a file instead, ``<NAME>_FILE``.
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cki_notifier.configuration import checks, variables
from cki_notifier.configuration.environment import Reader
from cki_notifier.configuration.secret import Secret
from cki_notifier.configuration.variables import Variable
from cki_notifier.notification.errors import ConfigurationError

#: Where messages are sent; anywhere else they are only shown.
SENDING_ENVIRONMENTS = frozenset({"production", "staging"})


@dataclass(frozen=True, kw_only=True)
class DataWarehouseConfig:
    """How to reach the warehouse; ``url`` has no slash at its end."""

    url: str
    token: Secret


@dataclass(frozen=True, kw_only=True)
class JiraConfig:
    """How to reach Jira; without a token it is read anonymously."""

    url: str
    token: Secret | None


@dataclass(frozen=True, kw_only=True)
class RabbitMQConfig:
    """How to reach RabbitMQ, and what to consume."""

    hosts: tuple[str, ...]
    port: int
    virtual_host: str
    user: str
    password: Secret
    ca_file: str | None
    exchange: str
    queue: str
    routing_keys: tuple[str, ...]

    @property
    def tls(self) -> bool:
        """Whether the port is one that speaks TLS: 443, or AMQPS' registered 5671."""
        return self.port in {443, 5671}


@dataclass(frozen=True, kw_only=True)
class KafkaConfig:
    """How to reach Kafka; ``settings`` are librdkafka's, with secrets among them."""

    topic: str
    settings: Mapping[str, str | Secret]


@dataclass(frozen=True, kw_only=True)
class Config:
    """All of it.

    Attributes:
        gitlab_tokens: by host, with the port where the address has one, and the path of a GitLab
            that is under one.
        rabbitmq: None in a manual run without RabbitMQ.
        kafka: None where nothing is sent.
        shutdown_seconds: for how long work in flight may go on after SIGTERM.
        retry_hours: for how long a notification is tried again.
        sentry_dsn: where errors are reported, None for nowhere.
    """

    environment: str
    datawarehouse: DataWarehouseConfig
    gitlab_tokens: Mapping[str, Secret]
    jira: JiraConfig | None
    rabbitmq: RabbitMQConfig | None
    kafka: KafkaConfig | None
    logging_level: str
    logging_format: str
    metrics_port: int | None
    in_flight: int
    shutdown_seconds: float
    retry_hours: float
    sentry_dsn: Secret | None

    @property
    def sends(self) -> bool:
        """Whether messages are sent (production, staging) or only shown."""
        return self.environment in SENDING_ENVIRONMENTS


@dataclass(frozen=True, kw_only=True)
class OperatorConfig:
    """What it takes to look after the queues, without the services and Kafka."""

    rabbitmq: RabbitMQConfig
    logging_level: str
    logging_format: str


def read_operator_config(environ: Mapping[str, str] | None = None) -> OperatorConfig:
    """Read and check what concerns RabbitMQ and logging, and nothing else.

    Args:
        environ: the variables; None for those of the process.

    Raises:
        ConfigurationError: with every fault found, each naming its variable.
    """
    reader = Reader(os.environ if environ is None else environ)
    rabbitmq = _rabbitmq(reader, needed=True)
    level, form = _logging_level(reader), _logging_format(reader)
    if rabbitmq is None or reader.faults:
        raise ConfigurationError(reader.faults)
    return OperatorConfig(rabbitmq=rabbitmq, logging_level=level, logging_format=form)


def read_config(
    environ: Mapping[str, str] | None = None,
    *,
    needs_rabbitmq: bool = True,
    needs_kafka: bool = True,
    check_kafka: Callable[[Mapping[str, str]], Mapping[str, str]] = lambda _: {},
) -> Config:
    """Read and check the whole configuration.

    Args:
        environ: the variables; None for those of the process.
        needs_rabbitmq: False for a manual run.
        needs_kafka: False for a dry run; elsewhere only production and staging need it.
        check_kafka: takes librdkafka settings and returns a fault for each setting it refuses.

    Raises:
        ConfigurationError: with every fault found, each naming its variable.
    """
    reader = Reader(os.environ if environ is None else environ)
    config = _config(reader, check_kafka, needs_rabbitmq=needs_rabbitmq, needs_kafka=needs_kafka)
    if reader.faults:
        raise ConfigurationError(reader.faults)
    return config


def read_with_faults(
    environ: Mapping[str, str] | None = None,
    *,
    check_kafka: Callable[[Mapping[str, str]], Mapping[str, str]] = lambda _: {},
) -> tuple[Config, list[str]]:
    """Read the daemon's configuration as :func:`read_config` does, whatever faults it has.

    Returns:
        The configuration, and its faults. What a faulty variable stands for is not to be used.
    """
    reader = Reader(os.environ if environ is None else environ)
    config = _config(reader, check_kafka, needs_rabbitmq=True, needs_kafka=True)
    return config, reader.faults


def _config(
    reader: Reader,
    check_kafka: Callable[[Mapping[str, str]], Mapping[str, str]],
    *,
    needs_rabbitmq: bool,
    needs_kafka: bool,
) -> Config:
    environment = reader.text(variables.CKI_DEPLOYMENT_ENVIRONMENT)
    sends = environment in SENDING_ENVIRONMENTS
    return Config(
        environment=environment,
        datawarehouse=DataWarehouseConfig(
            url=reader.value(variables.DATAWAREHOUSE_URL, checks.http_url, needed=True),
            token=reader.secret(variables.DATAWAREHOUSE_TOKEN, checks.header_value, needed=True),
        ),
        gitlab_tokens=_gitlab_tokens(reader),
        jira=_jira(reader),
        rabbitmq=_rabbitmq(reader, needed=needs_rabbitmq),
        kafka=_kafka(reader, check_kafka, needed=sends and needs_kafka),
        logging_level=_logging_level(reader),
        logging_format=_logging_format(reader),
        metrics_port=_metrics_port(reader),
        in_flight=reader.value(variables.CKI_NOTIFIER_IN_FLIGHT, checks.in_flight),
        shutdown_seconds=reader.value(variables.CKI_NOTIFIER_SHUTDOWN_SECONDS, checks.positive),
        retry_hours=reader.value(variables.CKI_NOTIFIER_RETRY_HOURS, checks.positive),
        sentry_dsn=_sentry_dsn(reader),
    )


def _gitlab_tokens(reader: Reader) -> dict[str, Secret]:
    variable = variables.GITLAB_TOKENS
    names: dict[str, str] | None = reader.value(variable, checks.token_names)
    tokens = {}
    for host, name in (names or {}).items():
        token = reader.optional_secret(name, checks.header_value)
        if token is not None:
            tokens[host] = token
        elif reader.has_fault(name) or reader.has_fault(f"{name}_FILE"):
            continue
        elif re.fullmatch(r"[A-Z_][A-Z0-9_]*", name):
            reader.fault(
                variable.name, f"names {name} for the token of {host}, but {name} is not set"
            )
        else:  # perhaps the token itself, so not shown
            reader.fault(
                variable.name,
                f"has to hold the name of a variable that is set for {host}, not the token itself",
            )
    return tokens


def _jira(reader: Reader) -> JiraConfig | None:
    url = reader.value(variables.JIRA_SERVER, checks.http_url)
    token = reader.optional_secret(variables.JIRA_TOKEN_AUTH.name, checks.header_value)
    return JiraConfig(url=url, token=token) if url else None


def _rabbitmq(reader: Reader, *, needed: bool) -> RabbitMQConfig | None:
    hosts = reader.value(variables.RABBITMQ_HOST, checks.host_names, needed=needed) or ()
    config = RabbitMQConfig(
        hosts=hosts,
        port=reader.value(variables.RABBITMQ_PORT, checks.port),
        virtual_host=reader.text(variables.RABBITMQ_VIRTUAL_HOST),
        user=reader.text(variables.RABBITMQ_USER),
        password=reader.secret(variables.RABBITMQ_PASSWORD),
        ca_file=reader.value(variables.RABBITMQ_CAFILE, checks.ca_file),
        exchange=reader.text(variables.WEBHOOK_RECEIVER_EXCHANGE),
        queue=reader.value(variables.RABBITMQ_QUEUE, checks.queue_name),
        routing_keys=tuple(reader.text(variables.RABBITMQ_ROUTING_KEYS).split()),
    )
    if not config.routing_keys:
        reader.fault(
            variables.RABBITMQ_ROUTING_KEYS.name, "holds nothing but spaces; name a routing key"
        )
    name = variables.RABBITMQ_HOST.name
    if needed and not (hosts or reader.has_fault(name)):
        reader.fault(name, "holds nothing but spaces; name a node of RabbitMQ")
    return config if hosts else None


#: Variable, and librdkafka's name for it.
_KAFKA_VARIABLES: tuple[tuple[Variable, str], ...] = (
    (variables.KAFKA_BOOTSTRAP_SERVERS, "bootstrap.servers"),
    (variables.KAFKA_SECURITY_PROTOCOL, "security.protocol"),
    (variables.KAFKA_SASL_MECHANISM, "sasl.mechanism"),
    (variables.KAFKA_SASL_USERNAME, "sasl.username"),
    (variables.KAFKA_SASL_PASSWORD, "sasl.password"),
    (variables.KAFKA_SSL_CA_LOCATION, "ssl.ca.location"),
    (variables.KAFKA_SSL_CERTIFICATE_LOCATION, "ssl.certificate.location"),
    (variables.KAFKA_SSL_KEY_LOCATION, "ssl.key.location"),
    (variables.KAFKA_SSL_KEY_PASSWORD, "ssl.key.password"),
)
_KAFKA_FILE = variables.KAFKA_CONFIG_FILE.name
#: Settings of the file that mean the same as a variable, or more, and would beat it.
_KAFKA_RIVALS = {
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
_KAFKA_PROMISES: dict[str, tuple[set[str], str]] = {
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
_KAFKA_SAID_ANYWAY = _KAFKA_PROMISES.keys() - {"partitioner"}
#: The least and the most that a number may be. librdkafka's own time-out, in milliseconds, has to
#: be far below RabbitMQ's 30 minutes. The broker, not librdkafka, says which message is too large.
_KAFKA_RANGES = {
    "delivery.timeout.ms": (1, 600_000),
    "message.timeout.ms": (1, 600_000),
    "message.max.bytes": (1_000_000, 1_000_000_000),
}


def _kafka(
    reader: Reader,
    check: Callable[[Mapping[str, str]], Mapping[str, str]],
    *,
    needed: bool,
) -> KafkaConfig | None:
    from_file = _kafka_file(reader)
    settings: dict[str, str | Secret] = {name: Secret(text) for name, text in from_file.items()}
    origins = {name: variable.name for variable, name in _KAFKA_VARIABLES}
    origins |= dict.fromkeys(from_file, _KAFKA_FILE)
    by_variables, faulty = set(), set()
    for variable, name in _KAFKA_VARIABLES:
        held = (
            reader.optional_secret(variable.name) if variable.is_secret else reader.text(variable)
        )
        if held:
            settings[name] = held
            origins[name] = variable.name
            by_variables.add(name)
        elif reader.has_fault(variable.name) or reader.has_fault(f"{variable.name}_FILE"):
            settings[name] = Secret("-")  # or it would be reported as missing, too
            faulty.add(name)
    for rival, ours in _KAFKA_RIVALS.items():
        if ours & by_variables:
            settings.pop(rival, None)
    for name, text in check(revealed(settings)).items():
        if name not in faulty:
            reader.fault(origins.get(name, _KAFKA_FILE), text)
    if needed:
        reader.text(variables.KAFKA_BOOTSTRAP_SERVERS, needed=True)
    topic = reader.value(variables.KAFKA_TOPIC, checks.topic)
    return KafkaConfig(topic=topic, settings=settings) if needed else None


def _kafka_file(reader: Reader) -> dict[str, str]:
    """Return what the properties file sets, without what would void a promise of ours."""
    known = _KAFKA_PROMISES.keys() | _KAFKA_RANGES.keys()
    from_file = {}
    for name, value in reader.properties(variables.KAFKA_CONFIG_FILE).items():
        short = name.removeprefix("topic.")  # librdkafka takes topic.acks for acks, say
        from_file[short if short in known else name] = value
    for name, (allowed, why) in _KAFKA_PROMISES.items():
        said = from_file.get(name)
        if said is not None and said.strip().lower() not in allowed:
            reader.fault(_KAFKA_FILE, f"sets {name} to {said!r}, but {why}; leave it out")
            del from_file[name]
    for name, (least, most) in _KAFKA_RANGES.items():
        text = from_file.get(name, str(most)).strip()
        if not (re.fullmatch("[1-9][0-9]{0,9}", text) and least <= int(text) <= most):
            del from_file[name]
            reader.fault(_KAFKA_FILE, f"{name} is not between {least} and {most}")
    return {name: value for name, value in from_file.items() if name not in _KAFKA_SAID_ANYWAY}


def revealed(settings: Mapping[str, str | Secret]) -> dict[str, str]:
    """Return settings with their secrets told, for the library that needs them."""
    return {
        name: value.reveal() if isinstance(value, Secret) else value
        for name, value in settings.items()
    }


def secrets_of(config: Config) -> list[Secret]:
    """Return all secrets of a configuration, for whoever has to keep them out of something."""
    held = (
        config.datawarehouse.token,
        *config.gitlab_tokens.values(),
        config.jira and config.jira.token,
        config.rabbitmq and config.rabbitmq.password,
        *(config.kafka.settings.values() if config.kafka else ()),
        config.sentry_dsn,
    )
    return [secret for secret in held if isinstance(secret, Secret)]


def _sentry_dsn(reader: Reader) -> Secret | None:
    return reader.optional_secret(variables.SENTRY_DSN.name, checks.sentry_dsn)


def _metrics_port(reader: Reader) -> int | None:
    enabled = reader.value(variables.CKI_METRICS_ENABLED, checks.boolean)
    port = reader.value(variables.CKI_METRICS_PORT, checks.port)
    return port if enabled else None


def _logging_level(reader: Reader) -> str:
    return reader.value(variables.CKI_LOGGING_LEVEL, checks.level)


def _logging_format(reader: Reader) -> str:
    return reader.value(variables.CKI_LOGGING_FORMAT, checks.one_of("text", "json"))
