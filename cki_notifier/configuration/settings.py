"""The configuration: read once from the environment into frozen values, with all faults together.

The field that a variable fills declares it. Faults, the doctor and docs/configuration.md quote the
declaration. Each secret can come from a file instead, ``<NAME>_FILE``.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from cki_notifier.configuration import addresses, checks, typos
from cki_notifier.configuration.environment import Reader
from cki_notifier.configuration.jira import JiraConfig, read_jira
from cki_notifier.configuration.kafka import KAFKA, Check, KafkaConfig, read_kafka, revealed
from cki_notifier.configuration.secret import Secret
from cki_notifier.configuration.variables import Variable, setting, settings, variables_of
from cki_notifier.notification.errors import ConfigurationError

#: Names from elsewhere. All names of this module are public, too.
__all__ = ["JiraConfig", "KafkaConfig", "revealed"]


@settings
class DataWarehouseConfig:
    """How to reach DataWarehouse. ``url`` has no trailing slash."""

    url: str = setting(
        "DATAWAREHOUSE_URL",
        checks.warehouse_url,
        "the URL of DataWarehouse",
        "Leave out `/api/1`.",
        values="`http://…` or `https://…`",
        example="https://datawarehouse.example.com",
    )
    token: Secret = setting(
        "DATAWAREHOUSE_TOKEN",
        checks.token,
        "the API token for DataWarehouse",
        values="printable ASCII",
    )


@settings
class RabbitMQConfig:
    """How to reach RabbitMQ, and what to consume. ``management_url`` has no trailing slash."""

    hosts: tuple[str, ...] = setting(
        "RABBITMQ_HOST",
        addresses.host_names,
        "the RabbitMQ nodes",
        "cki-notifier tries them in random order.",
        unset="**required** by the daemon",
        values="host names or IP addresses, separated by spaces",
        example="rabbitmq-1.example.com rabbitmq-2.example.com",
    )
    port: int = setting(
        "RABBITMQ_PORT",
        checks.port,
        "the port of all RabbitMQ nodes",
        "Ports 443 and 5671 use TLS, and the certificate must be for the host name. Other ports "
        "are not encrypted.",
        default="5672",
        values="1 to 65535",
    )
    virtual_host: str = setting(
        "RABBITMQ_VIRTUAL_HOST",
        checks.virtual_host,
        "the virtual host",
        "Write `/`, not `%2F`.",
        default="/",
        values="up to 255 bytes",
    )
    user: str = setting(
        "RABBITMQ_USER", str, "the RabbitMQ user", default="guest", values="any text"
    )
    password: Secret = setting(
        "RABBITMQ_PASSWORD",
        Secret,
        "the password of the RabbitMQ user",
        default="guest",
        values="any text",
    )
    ca_file: str | None = setting(
        "RABBITMQ_CAFILE",
        checks.ca_file,
        "the path of the file with the certificate authorities (CA) to trust",
        "Needs a TLS port.",
        default="",
        unset="the system's",
        values="in PEM format",
        example="/etc/cki-notifier/rabbitmq-ca.pem",
    )
    management_url: str | None = setting(
        "RABBITMQ_MANAGEMENT_URL",
        checks.http_url,
        "the URL of RabbitMQ's management interface",
        "Only the [doctor](doctor.md#policies) uses it, with `RABBITMQ_USER` and its password. "
        "With `http://` the password is not encrypted: use it for `localhost` only.",
        default="",
        values="`http://…` or `https://…`",
        example="https://rabbitmq.example.com:15671",
    )
    exchange: str = setting(
        "WEBHOOK_RECEIVER_EXCHANGE",
        checks.short_name,
        "the exchange that DataWarehouse publishes to",
        "A durable topic exchange. The daemon declares a missing one.",
        default="cki.exchange.webhooks",
        values="up to 255 bytes",
    )
    queue: str = setting(
        "RABBITMQ_QUEUE",
        checks.queue_name,
        "the name of the main queue",
        "The names of retry and dead-letter queues begin with it.",
        default="cki.queue.webhooks.cki_notifier",
        values="up to 200 bytes, not beginning with `amq.`",
    )
    routing_keys: tuple[str, ...] = setting(
        "RABBITMQ_ROUTING_KEYS",
        checks.routing_keys,
        "the routing keys that bind the main queue to the exchange",
        default="datawarehouse.checkout.*",
        values="separated by spaces, with `*` and `#` for whole words",
    )

    @property
    def tls(self) -> bool:
        """Whether the port uses TLS: 443, or the registered AMQPS port 5671."""
        return self.port in {443, 5671}


@settings
class LogConfig:
    """Level and format of the log."""

    logging_level: str = setting(
        "CKI_LOGGING_LEVEL",
        checks.level,
        "the lowest level that cki-notifier logs",
        "Libraries log errors only.",
        default="WARN",
        values="`DEBUG`, `INFO`, `WARN`, `WARNING`, `ERROR` or `CRITICAL`, in any case",
    )
    logging_format: str = setting(
        "CKI_LOGGING_FORMAT",
        checks.log_format,
        "the format of the log",
        default="text",
        values="`text`, or `json` with one object per line",
    )


@settings
class OperatorConfig(LogConfig):
    """The configuration for work on the queues, without the services and Kafka."""

    rabbitmq: RabbitMQConfig


@settings
class Config(LogConfig):
    """The whole configuration.

    Attributes:
        gitlab_tokens: by host, with port and path where merge requests' URLs have them.
        rabbitmq: None in a manual run without RabbitMQ.
        kafka: None if no message is published.
        metrics_port: None if no metrics are served.
    """

    environment: str
    datawarehouse: DataWarehouseConfig
    gitlab_tokens: Mapping[str, Secret]
    jira: JiraConfig | None
    rabbitmq: RabbitMQConfig | None
    kafka: KafkaConfig | None
    metrics_enabled: bool = setting(
        "CKI_METRICS_ENABLED",
        checks.boolean,
        "true to open the HTTP port, CKI_METRICS_PORT",
        "See [monitoring](monitoring.md) and [status page](status-page.md).",
        default="false",
        values="`true` or `false`",
    )
    metrics_port: int | None = setting(
        "CKI_METRICS_PORT",
        checks.port,
        "the HTTP port for metrics, probes and the status page",
        default="8000",
        values="1 to 65535",
    )
    sentry_dsn: Secret | None = setting(
        "SENTRY_DSN",
        checks.sentry_dsn,
        "the address that errors are reported to",
        "See [Sentry](#sentry).",
        default="",
        values="a Sentry DSN",
        example="https://KEY@sentry.example.com/42",
    )
    in_flight: int = setting(
        "CKI_NOTIFIER_IN_FLIGHT",
        checks.in_flight,
        "the number of notifications that the daemon handles at once",
        "The prefetch is four times this number, and at least 16. A notification that only waits "
        "does not count. See [memory](#memory).",
        default="32",
        values="1 to 16383 notifications",
    )
    shutdown_seconds: float = setting(
        "CKI_NOTIFIER_SHUTDOWN_SECONDS",
        checks.positive,
        "the seconds that notifications in flight may take after SIGTERM",
        "Closing the connections takes up to 10 s more, so kill the process no earlier.",
        default="25",
        values="above 0, up to 1000000; decimals allowed",
    )
    retry_hours: float = setting(
        "CKI_NOTIFIER_RETRY_HOURS",
        checks.positive,
        "the hours that the daemon retries a notification before it becomes a dead letter",
        default="72",
        values="above 0, up to 1000000; decimals allowed",
    )

    @property
    def sends(self) -> bool:
        """Whether messages are published (production, staging) or only printed."""
        return self.environment in typos.SENDING_ENVIRONMENTS


# The values of these two differ from those of their fields.
CKI_DEPLOYMENT_ENVIRONMENT: Final = Variable(
    "CKI_DEPLOYMENT_ENVIRONMENT",
    typos.environment,
    "the name of the environment",
    "`production` and `staging` publish messages. Any other environment, or none, only prints "
    "them. Near misses (`Production`, `prod`, `stagging`) are faults.",
    default="",
    values="`production`, `staging` or any other name",
)
GITLAB_TOKENS: Final = Variable(
    "GITLAB_TOKENS",
    checks.token_names,
    "a JSON object that maps each GitLab host to the name of the variable with its token",
    "See [GitLab tokens](#gitlab-tokens).",
    default="",
    values="each host once",
    example='{"gitlab.com": "COM_GITLAB_TOKEN"}',
)
_DATAWAREHOUSE, _JIRA, _RABBITMQ = (
    tuple(variables_of(it).values()) for it in (DataWarehouseConfig, JiraConfig, RabbitMQConfig)
)
*_SEEN, _IN_FLIGHT, _SHUTDOWN_SECONDS, _RETRY_HOURS = variables_of(Config).values()

#: All variables, by purpose.
GROUPS: Final[dict[str, tuple[Variable[Any], ...]]] = {
    "Environment": (CKI_DEPLOYMENT_ENVIRONMENT,),
    "DataWarehouse, GitLab, Jira": (*_DATAWAREHOUSE, GITLAB_TOKENS, *_JIRA),
    "RabbitMQ": _RABBITMQ,
    "Kafka": KAFKA,
    "Log, metrics, Sentry": tuple(_SEEN),
    "Load, shutdown, retries": (_IN_FLIGHT, _SHUTDOWN_SECONDS, _RETRY_HOURS),
}
VARIABLES: Final = tuple(variable for group in GROUPS.values() for variable in group)


def holds(name: str) -> str:
    """Return what to set a variable, or that for a secret's file, to; ``""`` for an unknown one.

    The variables with GitLab's tokens are unknown here, as the operator names them.
    """
    texts = {it.name: f"{it.holds} ({it.values.replace('`', '')})" for it in VARIABLES}
    texts |= {it.file: f"the path of a file with {it.holds}" for it in VARIABLES if it.is_secret}
    return texts.get(name, "")


def read_operator_config(environ: Mapping[str, str] | None = None) -> OperatorConfig:
    """Read and check the variables for RabbitMQ and the log only.

    Args:
        environ: the variables; None for the process's own.

    Raises:
        ConfigurationError: with every fault found, each naming its variable.
    """
    reader = Reader(environ)
    rabbitmq, log = _rabbitmq(reader, needed=True), reader.values(LogConfig)
    if rabbitmq is None or reader.faults:
        raise ConfigurationError(reader.faults)
    return OperatorConfig(rabbitmq=rabbitmq, **log)


def read_config(
    environ: Mapping[str, str] | None = None,
    *,
    needs_rabbitmq: bool = True,
    needs_kafka: bool = True,
    check_kafka: Check = lambda _: {},
) -> Config:
    """Read and check the whole configuration.

    Args:
        environ: the variables; None for the process's own.
        needs_rabbitmq: False for a manual run.
        needs_kafka: False for a dry run. Otherwise production and staging need Kafka.
        check_kafka: takes librdkafka settings and returns a fault for each setting it refuses.

    Raises:
        ConfigurationError: with every fault found, each naming its variable.
    """
    reader = Reader(environ)
    config = _config(reader, check_kafka, needs_rabbitmq=needs_rabbitmq, needs_kafka=needs_kafka)
    if reader.faults:
        raise ConfigurationError(reader.faults)
    return config


def read_with_faults(
    environ: Mapping[str, str] | None = None, *, check_kafka: Check = lambda _: {}
) -> tuple[Config, list[str]]:
    """Read the daemon's configuration as :func:`read_config` does, in spite of faults.

    Returns:
        The configuration and its faults. The value of a faulty variable must not be used.
    """
    reader = Reader(environ)
    config = _config(reader, check_kafka, needs_rabbitmq=True, needs_kafka=True)
    return config, reader.faults


def _config(reader: Reader, check: Check, *, needs_rabbitmq: bool, needs_kafka: bool) -> Config:
    reader.value(CKI_DEPLOYMENT_ENVIRONMENT)
    # After a near miss, the intended environment decides what is required.
    environment = typos.meant_environment(reader.raw(CKI_DEPLOYMENT_ENVIRONMENT.name))
    sends = environment in typos.SENDING_ENVIRONMENTS
    datawarehouse = DataWarehouseConfig(**reader.values(DataWarehouseConfig))
    gitlab_tokens, jira = _gitlab_tokens(reader), read_jira(reader)
    rabbitmq = _rabbitmq(reader, needed=needs_rabbitmq)
    kafka = read_kafka(reader, check, needed=sends and needs_kafka)
    own = reader.values(Config)
    own["metrics_port"] = own["metrics_port"] if own["metrics_enabled"] else None
    return Config(
        environment=environment,
        datawarehouse=datawarehouse,
        gitlab_tokens=gitlab_tokens,
        jira=jira,
        rabbitmq=rabbitmq,
        kafka=kafka,
        **own,
    )


def _gitlab_tokens(reader: Reader) -> dict[str, Secret]:
    tokens = {}
    for host, name in (reader.value(GITLAB_TOKENS) or {}).items():
        variable = Variable(name, checks.token, f"the token of {host}")
        token = reader.value(variable)
        if token is not None:
            tokens[host] = token
        elif not reader.is_set(variable):
            text = f"names {name} for {variable.holds}, but {name} is not set; set {name}"
            if not re.fullmatch(r"[A-Z_][A-Z0-9_]*", name):  # don't show it: perhaps the token
                text = f"must name a variable with {variable.holds}, not contain the token itself"
            reader.fault(GITLAB_TOKENS.name, text)
    return tokens


def _rabbitmq(reader: Reader, *, needed: bool) -> RabbitMQConfig | None:
    config = RabbitMQConfig(**reader.values(RabbitMQConfig, needed=needed))
    if config.hosts and config.ca_file and not (config.tls or reader.has_fault("RABBITMQ_PORT")):
        reader.fault(
            "RABBITMQ_CAFILE",
            f"is set, but port {config.port} does not use TLS; set RABBITMQ_PORT to 5671 or 443, "
            "or unset RABBITMQ_CAFILE",
        )
    return config if config.hosts else None


def secrets_of(config: Config) -> list[Secret]:
    """Return all secrets of a configuration, so that a caller can remove them from a text."""
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
