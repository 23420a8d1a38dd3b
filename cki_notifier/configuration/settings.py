"""The configuration: read from the environment once, into frozen values, all faults at a time.

Nothing else reads the environment. Each secret can come from a file instead, ``<NAME>_FILE``.
"""

import base64
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from cki_notifier.configuration import addresses, checks, typos, variables
from cki_notifier.configuration.environment import Reader, of_process
from cki_notifier.configuration.secret import Secret
from cki_notifier.configuration.variables import Variable
from cki_notifier.notification.errors import ConfigurationError


@dataclass(frozen=True, kw_only=True)
class DataWarehouseConfig:
    """How to reach the warehouse; ``url`` has no slash at its end."""

    url: str
    token: Secret


@dataclass(frozen=True, kw_only=True)
class JiraConfig:
    """How to reach Jira; without a token it is read anonymously.

    Attributes:
        email: of the one whose token it is, where a Cloud takes both together.
    """

    url: str
    token: Secret | None
    email: str | None = None

    @property
    def basic(self) -> Secret | None:
        """What basic authentication makes of both, which is as secret as the token."""
        if self.token is None or self.email is None:
            return None
        pair = f"{self.email}:{self.token.reveal()}"
        return Secret(base64.b64encode(pair.encode()).decode())

    @property
    def is_site(self) -> bool:
        """Whether it is a site of the Cloud, which takes an e-mail address with each token."""
        return (urlsplit(self.url).hostname or "").endswith(".atlassian.net")

    @property
    def is_gateway(self) -> bool:
        """Whether it is the address that all sites of the Cloud have in common."""
        return urlsplit(self.url).hostname == "api.atlassian.com"

    @property
    def is_cloud(self) -> bool:
        """Whether it is surely a Jira Cloud; any other may be one behind a name of its own."""
        return self.is_site or self.is_gateway or self.email is not None


@dataclass(frozen=True, kw_only=True)
class RabbitMQConfig:
    """How to reach RabbitMQ, and what to consume.

    Attributes:
        management_url: where its HTTP API is, for the doctor alone; no slash at its end.
    """

    hosts: tuple[str, ...]
    port: int
    virtual_host: str
    user: str
    password: Secret
    ca_file: str | None
    exchange: str
    queue: str
    routing_keys: tuple[str, ...]
    management_url: str | None = None

    @property
    def tls(self) -> bool:
        """Whether the port is one that speaks TLS: 443, or AMQPS' registered 5671."""
        return self.port in {443, 5671}


@dataclass(frozen=True, kw_only=True)
class KafkaConfig:
    """How to reach Kafka; librdkafka takes the ``settings``, with secrets among them."""

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
        return self.environment in typos.SENDING_ENVIRONMENTS


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
    reader = Reader(_of_process() if environ is None else environ)
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
    reader = Reader(_of_process() if environ is None else environ)
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
    reader = Reader(_of_process() if environ is None else environ)
    config = _config(reader, check_kafka, needs_rabbitmq=True, needs_kafka=True)
    return config, reader.faults


def _of_process() -> dict[str, str]:
    """Return the variables of the process."""
    return {of_process(name): of_process(value) for name, value in os.environ.items()}


def _config(
    reader: Reader,
    check_kafka: Callable[[Mapping[str, str]], Mapping[str, str]],
    *,
    needs_rabbitmq: bool,
    needs_kafka: bool,
) -> Config:
    environment = _environment(reader)
    sends = environment in typos.SENDING_ENVIRONMENTS
    return Config(
        environment=environment,
        datawarehouse=DataWarehouseConfig(
            url=reader.value(variables.DATAWAREHOUSE_URL, checks.warehouse_url, needed=True),
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


def _environment(reader: Reader) -> str:
    """Return the environment's name; after a fault the one that is meant, for what it needs."""
    variable = variables.CKI_DEPLOYMENT_ENVIRONMENT
    reader.value(variable, typos.environment)
    return typos.meant_environment(reader.raw(variable))


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
    email = reader.value(variables.JIRA_EMAIL, checks.email_address)
    token = reader.optional_secret(variables.JIRA_TOKEN_AUTH.name, checks.header_value)
    held = JiraConfig(  # what is at fault is there all the same, or it would be missed, too
        url=url or _stand_in(reader, variables.JIRA_SERVER),
        token=token or (Secret("-") if _stand_in(reader, variables.JIRA_TOKEN_AUTH) else None),
        email=email or _stand_in(reader, variables.JIRA_EMAIL) or None,
    )
    for variable, text in _jira_faults(held):
        reader.fault(variable.name, text)
    return JiraConfig(url=url, token=token, email=email) if url else None


def _stand_in(reader: Reader, variable: Variable) -> str:
    faulty = reader.has_fault(variable.name) or reader.has_fault(f"{variable.name}_FILE")
    return "-" if faulty else ""


def _jira_faults(config: JiraConfig) -> Iterator[tuple[Variable, str]]:
    """Yield what can't work together: the variable that is to be changed, and why."""
    server, email, token = variables.JIRA_SERVER, variables.JIRA_EMAIL, variables.JIRA_TOKEN_AUTH
    path = urlsplit(config.url).path
    if config.email and not config.url:
        yield server, f"is not set, but {email.name} is; it has to hold {server.holds}"
    if config.email and not config.token:
        yield token, f"is not set, but {email.name} is; it has to hold the API token of that user"
    if config.is_site and config.token and not config.email:
        yield email, f"is not set; {config.url} takes a token together with {email.holds} alone"
    if config.is_site and path:
        yield server, f"has the path {path!r}; a site of Jira Cloud is asked without one"
    if config.is_gateway and not re.fullmatch("/ex/jira/[^/]+", path):
        yield server, "names no site; it has to be like https://api.atlassian.com/ex/jira/<cloudId>"
    if config.is_gateway and not config.token:
        yield token, "is not set; api.atlassian.com answers nobody without a token"


def _rabbitmq(reader: Reader, *, needed: bool) -> RabbitMQConfig | None:
    hosts = reader.value(variables.RABBITMQ_HOST, addresses.host_names, needed=needed) or ()
    config = RabbitMQConfig(
        hosts=hosts,
        port=reader.value(variables.RABBITMQ_PORT, checks.port),
        virtual_host=reader.value(variables.RABBITMQ_VIRTUAL_HOST, checks.virtual_host),
        user=reader.text(variables.RABBITMQ_USER),
        password=reader.secret(variables.RABBITMQ_PASSWORD),
        ca_file=reader.value(variables.RABBITMQ_CAFILE, checks.ca_file),
        exchange=reader.value(variables.WEBHOOK_RECEIVER_EXCHANGE, checks.short_name),
        queue=reader.value(variables.RABBITMQ_QUEUE, checks.queue_name),
        routing_keys=reader.value(variables.RABBITMQ_ROUTING_KEYS, checks.routing_keys),
        management_url=reader.value(variables.RABBITMQ_MANAGEMENT_URL, checks.http_url),
    )
    if hosts and config.ca_file and not (config.tls or reader.has_fault("RABBITMQ_PORT")):
        reader.fault(
            variables.RABBITMQ_CAFILE.name,
            f"is set, but port {config.port} is used without TLS; set RABBITMQ_PORT to 5671 (or "
            "443), or leave the file out",
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
    protocol = revealed(settings).get("security.protocol", "PLAINTEXT").strip()
    if brokers := _brokers(reader, protocol, needed=needed):
        settings["bootstrap.servers"] = brokers
    for name, text in check(revealed(settings)).items():
        if name not in faulty:
            reader.fault(origins.get(name, _KAFKA_FILE), text)
    for name in sorted(by_variables):
        _check_use(reader, origins[name], name, protocol)
    topic = reader.value(variables.KAFKA_TOPIC, checks.topic)
    return KafkaConfig(topic=topic, settings=settings) if needed else None


def _brokers(reader: Reader, protocol: str, *, needed: bool) -> str | None:
    return reader.value(
        variables.KAFKA_BOOTSTRAP_SERVERS,
        lambda text: addresses.brokers(text, protocol),
        needed=needed,
    )


def _check_use(reader: Reader, variable: str, name: str, protocol: str) -> None:
    """Note a fault where a variable's setting is of no use, and Kafka is talked to without it.

    A password alone is of no use anyhow, and a protocol that there is not is a fault of its own.
    """
    kind = name.partition(".")[0]
    uses = {"sasl": ("SASL_SSL", "SASL_PLAINTEXT"), "ssl": ("SASL_SSL", "SSL")}.get(kind, ())
    is_known = protocol.upper() in {"PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"}
    is_used = not uses or protocol.upper() in uses or name.endswith("password")
    if is_known and not is_used and not reader.has_fault(variable):
        reader.fault(
            variable,
            f"is set, but KAFKA_SECURITY_PROTOCOL is {protocol.upper()}, which does without; set "
            f"that to {' or '.join(uses)}, or leave this out",
        )


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
        config.jira and config.jira.basic,
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
