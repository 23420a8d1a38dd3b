"""The configuration: read from the environment once, into frozen values, all faults at a time.

Nothing else reads the environment. Each secret can come from a file instead, ``<NAME>_FILE``.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import javaproperties
import msgspec

from cki_notifier.errors import ConfigurationError
from cki_notifier.secret import Secret

T = TypeVar("T")

#: Where messages are sent; anywhere else they are only shown.
SENDING_ENVIRONMENTS = frozenset({"production", "staging"})
_LEVELS = ("DEBUG", "INFO", "WARN", "WARNING", "ERROR", "CRITICAL")
_TRUE, _FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off"}
#: RabbitMQ's prefetch count is a 16-bit number, and twice this many are fetched.
_MOST_IN_FLIGHT = 32_767


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
        gitlab_tokens: by host, with the port where the address has one.
        rabbitmq: None in a manual run without RabbitMQ.
        kafka: None where nothing is sent.
        shutdown_seconds: for how long work in flight may go on after SIGTERM.
        retry_hours: for how long a notification is tried again.
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

    @property
    def sends(self) -> bool:
        """Whether messages are sent (production, staging) or only shown."""
        return self.environment in SENDING_ENVIRONMENTS


def read_config(
    environ: Mapping[str, str],
    *,
    needs_rabbitmq: bool = True,
    needs_kafka: bool = True,
    check_kafka: Callable[[Mapping[str, str]], Mapping[str, str]] = lambda _: {},
) -> Config:
    """Read and check the whole configuration.

    Args:
        environ: the process environment.
        needs_rabbitmq: False for a manual run.
        needs_kafka: False for a dry run; elsewhere only production and staging need it.
        check_kafka: takes librdkafka settings and returns a fault for each setting it refuses.

    Raises:
        ConfigurationError: with every fault found, each naming its variable.
    """
    reader = _Reader(environ)
    environment = reader.text("CKI_DEPLOYMENT_ENVIRONMENT")
    sends = environment in SENDING_ENVIRONMENTS
    config = Config(
        environment=environment,
        datawarehouse=DataWarehouseConfig(
            url=reader.value(
                "DATAWAREHOUSE_URL", _http_url, required="the address of DataWarehouse"
            ),
            token=reader.secret("DATAWAREHOUSE_TOKEN", required="the token for DataWarehouse"),
        ),
        gitlab_tokens=_gitlab_tokens(reader),
        jira=_jira(reader),
        rabbitmq=_rabbitmq(reader, needed=needs_rabbitmq),
        kafka=_kafka(reader, check_kafka, needed=sends and needs_kafka),
        logging_level=reader.value("CKI_LOGGING_LEVEL", _level, default="WARNING"),
        logging_format=reader.value("CKI_LOGGING_FORMAT", _one_of("text", "json"), default="text"),
        metrics_port=_metrics_port(reader),
        in_flight=reader.value("CKI_NOTIFIER_IN_FLIGHT", _in_flight, default=32),
        shutdown_seconds=reader.value("CKI_NOTIFIER_SHUTDOWN_SECONDS", _positive, default=25.0),
        retry_hours=reader.value("CKI_NOTIFIER_RETRY_HOURS", _positive, default=72.0),
    )
    if reader.faults:
        raise ConfigurationError(reader.faults)
    return config


class _Reader:
    """Reads variables and gathers faults; after a fault the value is a stand-in nobody uses."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.faults: list[str] = []

    def fault(self, name: str, text: str) -> None:
        self.faults.append(f"{name}: {text}")

    def text(self, name: str, default: str = "", *, required: str = "") -> str:
        """Return a variable's value; an empty variable counts as one that isn't set."""
        value = self._environ.get(name, "")
        if not value and required:
            self.fault(name, f"is not set; it has to hold {required}")
        return value or default

    def value(
        self, name: str, parse: Callable[[str], T], *, default: T | None = None, required: str = ""
    ) -> T:
        """Return a variable's parsed value; ``parse`` raises ValueError for a faulty one."""
        text = self.text(name, required=required)
        if text:
            try:
                return parse(text)
            except ValueError as error:
                self.fault(name, str(error))
        return default  # type: ignore[return-value]  # None only after a fault

    def secret(self, name: str, default: str | None = None, *, required: str = "") -> Secret:
        """Return a secret from its variable or from the file that ``<NAME>_FILE`` names."""
        found = self.optional_secret(name)
        if found is None and default is None and required:
            if not self._environ.get(f"{name}_FILE"):
                self.fault(name, f"is not set; it (or the file {name}_FILE) has to hold {required}")
            return Secret("")
        return found if found is not None else Secret(default or "")

    def optional_secret(self, name: str) -> Secret | None:
        """Return a secret, None when neither its variable nor its file is set."""
        value, file = self._environ.get(name, ""), self._environ.get(f"{name}_FILE", "")
        if value and file:
            self.fault(name, f"is set, and so is {name}_FILE; set one of them")
            return None
        if file:
            value = self._content(f"{name}_FILE", file)
            value = re.sub(r"\r?\n\Z", "", value)
            if not value and not self._has_fault(f"{name}_FILE"):
                self.fault(f"{name}_FILE", f"the file {file!r} is empty")
        if any(character in value for character in "\r\n\0"):
            self.fault(name, "holds a line end or a null character within; it must be one line")
            return None
        return Secret(value) if value else None

    def _content(self, name: str, file: str) -> str:
        try:
            return Path(file).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            self.fault(name, f"the file {file!r} can't be read: {_cause(error)}")
            return ""

    def properties(self, name: str) -> dict[str, str]:
        """Return what the properties file named by a variable holds, nothing when it isn't set."""
        file = self.text(name)
        if not file:
            return {}
        content = self._content(name, file)
        try:
            return dict(javaproperties.loads(content))
        except ValueError as error:
            self.fault(name, f"the file {file!r} is no properties file: {error}")
            return {}

    def _has_fault(self, name: str) -> bool:
        return any(fault.startswith(f"{name}:") for fault in self.faults)


def _gitlab_tokens(reader: _Reader) -> dict[str, Secret]:
    names: dict[str, str] | None = reader.value("GITLAB_TOKENS", _token_names)
    tokens = {}
    for host, name in (names or {}).items():
        token = reader.optional_secret(name)
        if token is not None:
            tokens[host.lower()] = token
        elif not any(fault.startswith(name) for fault in reader.faults):
            reader.fault(
                "GITLAB_TOKENS", f"names {name} for the token of {host}, but {name} is not set"
            )
    return tokens


def _jira(reader: _Reader) -> JiraConfig | None:
    url = reader.value("JIRA_SERVER", _http_url)
    token = reader.optional_secret("JIRA_TOKEN_AUTH")
    return JiraConfig(url=url, token=token) if url else None


def _rabbitmq(reader: _Reader, *, needed: bool) -> RabbitMQConfig | None:
    hosts = reader.text(
        "RABBITMQ_HOST", required="one node of RabbitMQ or several" if needed else ""
    ).split()
    config = RabbitMQConfig(
        hosts=tuple(hosts),
        port=reader.value("RABBITMQ_PORT", _port, default=5672),
        virtual_host=reader.text("RABBITMQ_VIRTUAL_HOST", "/"),
        user=reader.text("RABBITMQ_USER", "guest"),
        password=reader.secret("RABBITMQ_PASSWORD", "guest"),
        ca_file=reader.value("RABBITMQ_CAFILE", _readable_file),
        exchange=reader.text("WEBHOOK_RECEIVER_EXCHANGE", "cki.exchange.webhooks"),
        queue=reader.value(
            "RABBITMQ_QUEUE", _queue_name, default="cki.queue.webhooks.cki_notifier"
        ),
        routing_keys=tuple(
            reader.text("RABBITMQ_ROUTING_KEYS", "datawarehouse.checkout.*").split()
        ),
    )
    if not config.routing_keys:
        reader.fault("RABBITMQ_ROUTING_KEYS", "holds nothing but spaces; name a routing key")
    if needed and not hosts and reader.text("RABBITMQ_HOST"):
        reader.fault("RABBITMQ_HOST", "holds nothing but spaces; name a node of RabbitMQ")
    return config if hosts else None


#: Variable, librdkafka's name for it, and whether it is a secret.
_KAFKA_VARIABLES = (
    ("KAFKA_BOOTSTRAP_SERVERS", "bootstrap.servers", False),
    ("KAFKA_SECURITY_PROTOCOL", "security.protocol", False),
    ("KAFKA_SASL_MECHANISM", "sasl.mechanism", False),
    ("KAFKA_SASL_USERNAME", "sasl.username", False),
    ("KAFKA_SASL_PASSWORD", "sasl.password", True),
    ("KAFKA_SSL_CA_LOCATION", "ssl.ca.location", False),
    ("KAFKA_SSL_CERTIFICATE_LOCATION", "ssl.certificate.location", False),
    ("KAFKA_SSL_KEY_LOCATION", "ssl.key.location", False),
    ("KAFKA_SSL_KEY_PASSWORD", "ssl.key.password", True),
)
_KAFKA_FILE = "KAFKA_CONFIG_FILE"
#: What the promise of delivery rests on, so that nobody may set it to anything else.
_KAFKA_PROMISED = {
    "acks": {"all", "-1"},
    "request.required.acks": {"all", "-1"},
    "enable.idempotence": {"true", "1"},
}


def _kafka(
    reader: _Reader,
    check: Callable[[Mapping[str, str]], Mapping[str, str]],
    *,
    needed: bool,
) -> KafkaConfig | None:
    from_file = reader.properties(_KAFKA_FILE)
    for name, allowed in _KAFKA_PROMISED.items():
        value = from_file.pop(name, None)
        if value is not None and value.lower() not in allowed:
            reader.fault(
                _KAFKA_FILE,
                f"sets {name}={value}, which would weaken the delivery; leave {name} out",
            )
    settings: dict[str, str | Secret] = {name: Secret(text) for name, text in from_file.items()}
    variables = dict.fromkeys(from_file, _KAFKA_FILE)
    for variable, name, is_secret in _KAFKA_VARIABLES:
        held = reader.optional_secret(variable) if is_secret else reader.text(variable)
        if held:
            settings[name] = held
            variables[name] = variable
    for name, text in check(revealed(settings)).items():
        reader.fault(variables.get(name, _KAFKA_FILE), text)
    if needed:
        reader.text("KAFKA_BOOTSTRAP_SERVERS", required="the brokers of Kafka, as host:port,…")
    topic = reader.value("KAFKA_TOPIC", _topic, default="kafka.tx.cki.ready-for-test")
    return KafkaConfig(topic=topic, settings=settings) if needed else None


def revealed(settings: Mapping[str, str | Secret]) -> dict[str, str]:
    """Return settings with their secrets told, for the library that needs them."""
    return {
        name: value.reveal() if isinstance(value, Secret) else value
        for name, value in settings.items()
    }


def _metrics_port(reader: _Reader) -> int | None:
    enabled = reader.value("CKI_METRICS_ENABLED", _boolean, default=False)
    port = reader.value("CKI_METRICS_PORT", _port, default=8000)
    return port if enabled else None


def _http_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        valid = parts.scheme in {"http", "https"} and parts.hostname and (parts.port or 1)
    except ValueError as error:
        raise ValueError(f"{text!r} is no address: {error}") from error
    if parts.username is not None or parts.password is not None:
        raise ValueError("holds a user name or a password; it must be a plain http(s) address")
    if not valid or parts.query or parts.fragment or re.search(r"\s", text):
        raise ValueError(f"{text!r} is no http(s) address like https://host/path")
    return text.rstrip("/")


def _token_names(text: str) -> dict[str, str]:
    try:
        return msgspec.json.decode(text, type=dict[str, str])
    except msgspec.DecodeError as error:
        raise ValueError(
            "is no JSON object from host to the name of the variable with its token, like "
            f'{{"gitlab.com": "COM_GITLAB_TOKEN"}}: {error}'
        ) from error


def _port(text: str) -> int:
    return _number(text, int, 1, 65_535)


def _in_flight(text: str) -> int:
    return _number(text, int, 1, _MOST_IN_FLIGHT)


def _positive(text: str) -> float:
    value = _number(text, float, 0, 1_000_000)
    if value <= 0:
        raise ValueError(f"{text!r} is not a positive number")
    return value


def _number(text: str, kind: Callable[[str], T], least: int, most: int) -> T:
    try:
        value = kind(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is no number") from error
    if not least <= value <= most:  # type: ignore[operator]  # an int or a float, whichever was asked
        raise ValueError(f"{text!r} is not between {least} and {most}")
    return value


def _boolean(text: str) -> bool:
    if text.lower() in _TRUE | _FALSE:
        return text.lower() in _TRUE
    raise ValueError(f"{text!r} is neither true nor false")


def _level(text: str) -> str:
    level = _one_of(*_LEVELS)(text.upper())
    return "WARNING" if level == "WARN" else level


def _one_of(*allowed: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"{text!r} is none of {', '.join(allowed)}")
        return text

    return parse


def _readable_file(text: str) -> str:
    try:
        with Path(text).open("rb"):
            return text
    except OSError as error:
        raise ValueError(f"the file {text!r} can't be read: {_cause(error)}") from error


def _queue_name(text: str) -> str:
    longest = 200  # AMQP allows 255 bytes, and `.dead-letter` and the like come behind it
    if len(text.encode()) > longest:
        raise ValueError(f"is longer than {longest} bytes")
    if text.startswith("amq."):
        raise ValueError(f"{text!r} begins with amq., which RabbitMQ keeps for itself")
    return text


def _topic(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,249}", text) or text in {".", ".."}:
        raise ValueError(f"{text!r} is no name of a Kafka topic")
    return text


def _cause(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
