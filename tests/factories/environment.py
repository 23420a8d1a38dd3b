"""The environment of a process, with a test's changes, and its configuration."""

from typing import Any, Final

import pytest

from cki_notifier.configuration.settings import Config, read_config
from cki_notifier.kafka.client import setting_faults
from cki_notifier.notification.errors import ConfigurationError

#: Every variable with a secret, and a value that is easy to find in a leak.
SECRETS: Final = {
    name: f"hush-{name.lower().replace('_', '-')}"
    for name in (
        "DATAWAREHOUSE_TOKEN",
        "JIRA_TOKEN_AUTH",
        "COM_GITLAB_TOKEN",
        "RABBITMQ_PASSWORD",
        "KAFKA_SASL_PASSWORD",
        "KAFKA_SSL_KEY_PASSWORD",
    )
} | {"SENTRY_DSN": "https://hush-sentry-dsn@sentry.example/42"}


def environment(**changes: str | None) -> dict[str, str]:
    """Return the minimum for a daemon in production, with changes. None removes a variable."""
    needed = {
        "CKI_DEPLOYMENT_ENVIRONMENT": "production",
        "DATAWAREHOUSE_URL": "https://datawarehouse.example",
        "DATAWAREHOUSE_TOKEN": SECRETS["DATAWAREHOUSE_TOKEN"],
        "RABBITMQ_HOST": "rabbitmq.example",
        "KAFKA_BOOTSTRAP_SERVERS": "kafka.example:9092",
    }
    return {name: value for name, value in (needed | changes).items() if value is not None}


def full_environment(**changes: str | None) -> dict[str, str]:
    """Return an environment that sets every variable to another value than its default."""
    everything = {
        **SECRETS,
        "JIRA_SERVER": "https://jira.example/root/",
        "JIRA_EMAIL": "notifier@jira.example",
        "GITLAB_TOKENS": '{"gitlab.com": "COM_GITLAB_TOKEN"}',
        "RABBITMQ_HOST": "one.example two.example",
        "RABBITMQ_PORT": "443",
        "RABBITMQ_VIRTUAL_HOST": "staging",
        "RABBITMQ_USER": "notifier",
        "RABBITMQ_MANAGEMENT_URL": "https://rabbitmq.example:15671/root/",
        "WEBHOOK_RECEIVER_EXCHANGE": "other.exchange",
        "RABBITMQ_QUEUE": "other.queue",
        "RABBITMQ_ROUTING_KEYS": "datawarehouse.checkout.* \n datawarehouse.build.new",
        "KAFKA_TOPIC": "other-topic",
        "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
        "KAFKA_SASL_USERNAME": "notifier",
        "CKI_LOGGING_LEVEL": "debug",
        "CKI_LOGGING_FORMAT": "json",
        "CKI_METRICS_ENABLED": "true",
        "CKI_METRICS_PORT": "9100",
        "CKI_NOTIFIER_IN_FLIGHT": "4",
        "CKI_NOTIFIER_SHUTDOWN_SECONDS": "10",
        "CKI_NOTIFIER_RETRY_HOURS": "0.5",
    }
    return environment(**(everything | changes))


def read(environ: dict[str, str], **options: Any) -> Config:
    """Read a configuration like the command, with librdkafka's own check."""
    return read_config(environ, check_kafka=setting_faults, **options)


def faults(environ: dict[str, str], **options: Any) -> list[str]:
    """Return the faults of a faulty configuration."""
    with pytest.raises(ConfigurationError) as caught:
        read(environ, **options)
    return caught.value.faults


def only_fault(environ: dict[str, str], **options: Any) -> tuple[str, str]:
    """Return the variable and the text of the one fault of a faulty configuration."""
    (fault,) = faults(environ, **options)
    variable, _, text = fault.partition(": ")
    return variable, text
