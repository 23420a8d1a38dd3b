"""The configuration: read from the environment once, into frozen values, all faults at a time.

Nothing else reads the environment. Each variable is declared once, as the field it fills: faults
and the doctor quote what is said there, and docs/configuration.md is made of it. Each secret can
come from a file instead, ``<NAME>_FILE``.
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

#: What is declared elsewhere; all else here is public, too.
__all__ = ["JiraConfig", "KafkaConfig", "revealed"]


@settings
class DataWarehouseConfig:
    """How to reach the warehouse; ``url`` has no slash at its end."""

    url: str = setting(
        "DATAWAREHOUSE_URL",
        checks.warehouse_url,
        "the address of DataWarehouse",
        "Without `/api/1`.",
    )
    token: Secret = setting("DATAWAREHOUSE_TOKEN", checks.token, "the token for DataWarehouse")


@settings
class RabbitMQConfig:
    """How to reach RabbitMQ, and what to consume; ``management_url`` has no slash at its end."""

    hosts: tuple[str, ...] = setting(
        "RABBITMQ_HOST",
        addresses.host_names,
        "one node of RabbitMQ or several",
        "Names or addresses alone, separated by spaces, tried in random order.",
        unset="required by the daemon",
    )
    port: int = setting(
        "RABBITMQ_PORT",
        checks.port,
        "the port of RabbitMQ's nodes",
        "TLS on 443 and 5671, with the host's name verified.",
        default="5672",
    )
    virtual_host: str = setting(
        "RABBITMQ_VIRTUAL_HOST",
        checks.virtual_host,
        "the virtual host at RabbitMQ",
        "As it is called, not as an address has it (`%2F`).",
        default="/",
    )
    user: str = setting("RABBITMQ_USER", str, "the user's name at RabbitMQ", default="guest")
    password: Secret = setting(
        "RABBITMQ_PASSWORD", Secret, "the user's password at RabbitMQ", default="guest"
    )
    ca_file: str | None = setting(
        "RABBITMQ_CAFILE",
        checks.ca_file,
        "the path of a PEM file with the certificate authorities to trust",
        "A fault with a port that is used without TLS.",
        default="",
        unset="the system's",
    )
    management_url: str | None = setting(
        "RABBITMQ_MANAGEMENT_URL",
        checks.http_url,
        "the address of RabbitMQ's management, like https://rabbitmq.example.com:15671",
        "Only the [doctor](doctor.md) uses it, to see policies, as RABBITMQ_USER and with its "
        "password. With http:// the password goes over the wire unencrypted: only for this "
        "machine.",
        default="",
    )
    exchange: str = setting(
        "WEBHOOK_RECEIVER_EXCHANGE",
        checks.short_name,
        "the exchange that DataWarehouse publishes to",
        "A durable topic exchange, declared if it is missing.",
        default="cki.exchange.webhooks",
    )
    queue: str = setting(
        "RABBITMQ_QUEUE",
        checks.queue_name,
        "the name of the main queue",
        "Those of the delay queues and of the dead-letter queue begin with it.",
        default="cki.queue.webhooks.cki_notifier",
    )
    routing_keys: tuple[str, ...] = setting(
        "RABBITMQ_ROUTING_KEYS",
        checks.routing_keys,
        "the routing keys by which the queue is bound",
        "Separated by spaces.",
        default="datawarehouse.checkout.*",
    )

    @property
    def tls(self) -> bool:
        """Whether the port is one that speaks TLS: 443, or AMQPS' registered 5671."""
        return self.port in {443, 5671}


@settings
class LogConfig:
    """What is logged, and how."""

    logging_level: str = setting(
        "CKI_LOGGING_LEVEL",
        checks.level,
        "the level of our own loggers",
        "Third-party ones are quiet.",
        default="WARN",
    )
    logging_format: str = setting(
        "CKI_LOGGING_FORMAT",
        checks.log_format,
        "the form of the log, text or json",
        "`json` is one object a line.",
        default="text",
    )


@settings
class OperatorConfig(LogConfig):
    """What it takes to look after the queues, without the services and Kafka."""

    rabbitmq: RabbitMQConfig


@settings
class Config(LogConfig):
    """All of it.

    Attributes:
        gitlab_tokens: by host, with the port where the address has one, and the path of a GitLab
            that is under one.
        rabbitmq: None in a manual run without RabbitMQ.
        kafka: None where nothing is sent.
        metrics_port: None where no metrics are served.
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
        "whether there is an HTTP port, true or false",
        "It has the metrics, the probes and the [status page](status-page.md).",
        default="false",
    )
    metrics_port: int | None = setting(
        "CKI_METRICS_PORT", checks.port, "the number of that port", default="8000"
    )
    sentry_dsn: Secret | None = setting(
        "SENTRY_DSN",
        checks.sentry_dsn,
        "the address where errors are reported",
        "See [Sentry](#sentry).",
        default="",
    )
    in_flight: int = setting(
        "CKI_NOTIFIER_IN_FLIGHT",
        checks.in_flight,
        "how many notifications are handled at once",
        "Four times as many, and at least 16, are fetched from the queue. What only waits is not "
        "counted.",
        default="32",
    )
    shutdown_seconds: float = setting(
        "CKI_NOTIFIER_SHUTDOWN_SECONDS",
        checks.positive,
        "how long what is in flight may take at SIGTERM, in seconds",
        default="25",
    )
    retry_hours: float = setting(
        "CKI_NOTIFIER_RETRY_HOURS",
        checks.positive,
        "how long a notification is tried again, in hours",
        "May have decimals.",
        default="72",
    )

    @property
    def sends(self) -> bool:
        """Whether messages are sent (production, staging) or only shown."""
        return self.environment in typos.SENDING_ENVIRONMENTS


# What these two hold is not yet what their fields hold.
CKI_DEPLOYMENT_ENVIRONMENT: Final = Variable(
    "CKI_DEPLOYMENT_ENVIRONMENT",
    typos.environment,
    "the name of the environment",
    "`production` and `staging` send messages; anything else only shows them. What only looks "
    "like one of the two (`Production`, `prod`, `stagging`) is a fault.",
    default="",
)
GITLAB_TOKENS: Final = Variable(
    "GITLAB_TOKENS",
    checks.token_names,
    "a JSON object from host to the name of the variable with its token",
    '`{"gitlab.com": "COM_GITLAB_TOKEN"}`, and the token itself in `COM_GITLAB_TOKEN` or in the '
    "file that `COM_GITLAB_TOKEN_FILE` names. The host has the port when the merge requests' "
    "addresses have one; without a port its token goes over https alone. A host without a token "
    "is read anonymously. A GitLab under a path, where merge requests have addresses like "
    "`https://host/gitlab/group/project/-/merge_requests/1`, is named with it, `host/gitlab`, and "
    "needs a token: its API is asked at `https://host/gitlab/api/v4`. No token is for one group or "
    "project: name the host alone.",
    default="",
)
_DATAWAREHOUSE, _JIRA, _RABBITMQ = (
    tuple(variables_of(it).values()) for it in (DataWarehouseConfig, JiraConfig, RabbitMQConfig)
)
*_SEEN, _IN_FLIGHT, _SHUTDOWN_SECONDS, _RETRY_HOURS = variables_of(Config).values()

#: All variables, by what they are for.
GROUPS: Final[dict[str, tuple[Variable[Any], ...]]] = {
    "Environment": (CKI_DEPLOYMENT_ENVIRONMENT,),
    "DataWarehouse, GitLab, Jira": (*_DATAWAREHOUSE, GITLAB_TOKENS, *_JIRA),
    "RabbitMQ": _RABBITMQ,
    "Kafka": KAFKA,
    "Log, metrics, errors": tuple(_SEEN),
    "Work": (_IN_FLIGHT, _SHUTDOWN_SECONDS, _RETRY_HOURS),
}
VARIABLES: Final = tuple(variable for group in GROUPS.values() for variable in group)


def holds(name: str) -> str:
    """Return what a variable, or the file with a secret, has to hold; nothing for an unknown one.

    The variables that hold GitLab's tokens are unknown here: the operator names them.
    """
    files = {it.file: f"the path of a file with {it.holds}" for it in VARIABLES if it.is_secret}
    return ({it.name: it.holds for it in VARIABLES} | files).get(name, "")


def read_operator_config(environ: Mapping[str, str] | None = None) -> OperatorConfig:
    """Read and check what concerns RabbitMQ and logging, and nothing else.

    Args:
        environ: the variables; None for those of the process.

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
        environ: the variables; None for those of the process.
        needs_rabbitmq: False for a manual run.
        needs_kafka: False for a dry run; elsewhere only production and staging need it.
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
    """Read the daemon's configuration as :func:`read_config` does, whatever faults it has.

    Returns:
        The configuration, and its faults. What a faulty variable stands for is not to be used.
    """
    reader = Reader(environ)
    config = _config(reader, check_kafka, needs_rabbitmq=True, needs_kafka=True)
    return config, reader.faults


def _config(reader: Reader, check: Check, *, needs_rabbitmq: bool, needs_kafka: bool) -> Config:
    reader.value(CKI_DEPLOYMENT_ENVIRONMENT)
    # After a fault the one that is meant counts, for what it needs.
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
            text = f"names {name} for {variable.holds}, but {name} is not set"
            if not re.fullmatch(r"[A-Z_][A-Z0-9_]*", name):  # perhaps the token, so not shown
                where = f"the name of a variable that is set for {host}"
                text = f"has to hold {where}, not the token itself"
            reader.fault(GITLAB_TOKENS.name, text)
    return tokens


def _rabbitmq(reader: Reader, *, needed: bool) -> RabbitMQConfig | None:
    config = RabbitMQConfig(**reader.values(RabbitMQConfig, needed=needed))
    if config.hosts and config.ca_file and not (config.tls or reader.has_fault("RABBITMQ_PORT")):
        reader.fault(
            "RABBITMQ_CAFILE",
            f"is set, but port {config.port} is used without TLS; set RABBITMQ_PORT to 5671 (or "
            "443), or leave the file out",
        )
    return config if config.hosts else None


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
