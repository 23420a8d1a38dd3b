"""The daemon accepts the configuration in the manifests, and it has the intended meaning."""

import os
import re
from pathlib import Path

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
from tests.deploy.kubernetes.manifests import (
    OVERLAYS,
    PAGE,
    Manifests,
    environment,
    overlay,
    rows,
    with_component,
)
from tests.factories.environment import read
from tools import PROJECT

#: Variables that OpenSSL reads. docs/configuration.md names them.
OF_LIBRARIES = {"SSL_CERT_FILE"}


#: The token that GITLAB_TOKENS names.
TOKEN = "COM_GITLAB_TOKEN"
KNOWN = {variable.name for variable in VARIABLES} | {TOKEN}
FILES = {f"{variable.name}_FILE": variable.name for variable in VARIABLES if variable.is_secret}
FILES |= {f"{TOKEN}_FILE": TOKEN}


def variables(manifests: Manifests) -> set[str]:
    """Return the variables that manifests set, directly or by a file."""
    return {FILES.get(name, name) for name in manifests.settings}


@pytest.fixture(name="everything")
def _everything(tmp_path: Path) -> Manifests:
    """Return production with every component."""
    folder = tmp_path / "overlay"
    folder.mkdir()
    return with_component("production", "private-ca", folder)


def test_every_variable_in_the_manifests_is_one_the_daemon_knows(everything: Manifests) -> None:
    """The daemon knows every variable in the manifests."""
    ours = variables(everything) | variables(overlay("staging"))
    assert ours - KNOWN == OF_LIBRARIES


def test_every_variable_the_daemon_knows_is_set_or_left_out_for_a_reason(
    everything: Manifests,
) -> None:
    """Each new variable belongs into the manifests or into the page's table."""
    left_out = {
        name: reason
        for cells in rows("Variables not set")
        for name in re.findall(r"`(\w+)`", cells[0])
        for reason in cells[1:]
    }
    assert KNOWN - variables(everything) == set(left_out)
    assert all(left_out.values())


def test_the_variables_of_libraries_are_documented() -> None:
    """docs/configuration.md also names the variables of libraries."""
    text = (PROJECT / "docs" / "configuration.md").read_text()
    assert all(f"`{name}`" in text for name in OF_LIBRARIES)


def test_production_is_configured_whole(tmp_path: Path) -> None:
    """The daemon's loader reads the intended configuration, with each secret from its file."""

    def secret(key: str) -> Secret:
        return Secret(f"secret of {key}")

    assert read(environment(overlay("production"), tmp_path)) == Config(
        environment="production",
        datawarehouse=DataWarehouseConfig(
            url="https://datawarehouse.example.com", token=secret("DATAWAREHOUSE_TOKEN")
        ),
        gitlab_tokens={"gitlab.com": secret("COM_GITLAB_TOKEN")},
        jira=JiraConfig(
            url="https://redhat.atlassian.net",
            token=secret("JIRA_TOKEN_AUTH"),
            email="cki-bot@example.com",
        ),
        rabbitmq=RabbitMQConfig(
            hosts=tuple(f"rabbitmq-{number}.example.com" for number in (1, 2, 3)),
            port=5671,
            virtual_host="/",
            user="cki-notifier",
            password=secret("RABBITMQ_PASSWORD"),
            ca_file=None,
            exchange="cki.exchange.webhooks",
            queue="cki.queue.webhooks.cki_notifier",
            routing_keys=("datawarehouse.checkout.*",),
        ),
        kafka=KafkaConfig(
            topic="kafka.tx.cki.ready-for-test",
            settings={
                "bootstrap.servers": "kafka-1.example.com:9093,kafka-2.example.com:9093,"
                "kafka-3.example.com:9093",
                "security.protocol": "SASL_SSL",
                "sasl.mechanism": "SCRAM-SHA-512",
                "sasl.username": "cki-notifier",
                "sasl.password": secret("KAFKA_SASL_PASSWORD"),
            },
        ),
        logging_level="INFO",
        logging_format="json",
        metrics_enabled=True,
        metrics_port=8000,
        in_flight=32,
        shutdown_seconds=25,
        retry_hours=72,
        sentry_dsn=None,
    )


def test_staging_shares_nothing_with_production(tmp_path: Path) -> None:
    """Staging sends, and has another queue, topic, DataWarehouse, Jira and Secret."""
    staging, production = (
        read(environment(overlay(name), tmp_path)) for name in ("staging", "production")
    )
    assert staging.environment == "staging"
    assert staging.sends
    assert staging.rabbitmq is not None
    assert production.rabbitmq is not None
    assert staging.rabbitmq.virtual_host != production.rabbitmq.virtual_host
    assert staging.kafka is not None
    assert production.kafka is not None
    assert staging.kafka.topic != production.kafka.topic
    brokers = "bootstrap.servers"
    assert staging.kafka.settings[brokers] != production.kafka.settings[brokers]
    assert staging.datawarehouse.url != production.datawarehouse.url
    assert staging.jira is not None
    assert production.jira is not None
    assert staging.jira.url != production.jira.url
    assert overlay("staging").secret_name != overlay("production").secret_name


@pytest.mark.parametrize("name", OVERLAYS)
def test_no_secret_is_in_the_manifests(name: str) -> None:
    """The manifests contain no Secret, only the paths of its files."""
    manifests = overlay(name)
    assert not manifests.all("Secret")
    secrets = {"TOKEN", "PASSWORD", "DSN", "AUTH"}
    for variable in manifests.settings:
        if secrets & set(variable.split("_")):
            assert variable.endswith("_FILE")


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_page_makes_the_secret_with_every_key(name: str) -> None:
    """The command in docs/kubernetes.md creates all keys, and no others."""
    page = PAGE.read_text().replace("\\\n", " ")
    commands = re.findall(r"^ *kubectl .* create secret generic (\S+) (.*)$", page, re.MULTILINE)
    keys = {secret: set(re.findall(r"--from-file=(\w+)", rest)) for secret, rest in commands}
    assert keys[overlay("production").secret_name] == overlay(name).secret_keys


def test_a_private_authority_is_trusted_by_all(tmp_path: Path, everything: Manifests) -> None:
    """RabbitMQ, Kafka and HTTPS use the mounted bundle."""
    settings = environment(everything, tmp_path)
    places = {
        settings[name] for name in ("RABBITMQ_CAFILE", "KAFKA_SSL_CA_LOCATION", "SSL_CERT_FILE")
    }
    (bundle,) = places
    (mount,) = [item for item in everything.container["volumeMounts"] if item["name"] == "ca"]
    assert os.path.split(bundle) == (mount["mountPath"], "ca-bundle.crt")
    there = settings | dict.fromkeys(("RABBITMQ_CAFILE", "KAFKA_SSL_CA_LOCATION"), certifi.where())
    config = read(there)
    assert config.rabbitmq is not None
    assert config.rabbitmq.ca_file == certifi.where()
    assert config.kafka is not None
    assert config.kafka.settings["ssl.ca.location"] == certifi.where()
