"""Run the daemon with staging's environment, and query it as Kubernetes and KEDA do."""

import contextlib
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from tests.brokers.stage import PATIENCE, eventually
from tests.deploy.kubernetes.manifests import environment, overlay
from tools.brokers.kafka import Kafka, read_topic
from tools.brokers.rabbitmq import RabbitMQ
from tools.notifier import Notifier
from tools.processes import free_port
from tools.stand_ins import Services, documents
from tools.stand_ins.jira import Kind

MANIFESTS = overlay("staging")


@pytest.fixture(name="settings")
def _settings(
    rabbitmq: RabbitMQ, kafka: Kafka, services: Services, tmp_path: Path
) -> Iterator[dict[str, str]]:
    """Return staging's environment with the addresses of the test's services.

    RabbitMQ has staging's virtual host and user. The secrets are files.
    """
    settings = environment(MANIFESTS, tmp_path) | {
        "CKI_METRICS_PORT": str(free_port()),
        "DATAWAREHOUSE_URL": services.warehouse.url,
        "JIRA_SERVER": services.jira.url,
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap,
        "KAFKA_SECURITY_PROTOCOL": "PLAINTEXT",
        "KAFKA_SASL_MECHANISM": "",
        "KAFKA_SASL_USERNAME": "",
        "RABBITMQ_HOST": rabbitmq.host,
        "RABBITMQ_PORT": str(rabbitmq.port),
    }
    services.jira.kind = Kind.CLOUD
    Path(settings["DATAWAREHOUSE_TOKEN_FILE"]).write_text(services.warehouse.token)
    host, user = settings["RABBITMQ_VIRTUAL_HOST"], settings["RABBITMQ_USER"]
    rabbitmq.ctl("add_vhost", host)
    rabbitmq.ctl("add_user", user, password(settings))
    rabbitmq.ctl("set_permissions", "-p", host, user, ".*", ".*", ".*")
    kafka.create_topic(settings["KAFKA_TOPIC"])
    yield settings
    rabbitmq.ctl("delete_vhost", host)
    rabbitmq.ctl("delete_user", user)
    kafka.delete_topic(settings["KAFKA_TOPIC"])


def password(settings: dict[str, str]) -> str:
    """Return RabbitMQ's password in the Secret."""
    return Path(settings["RABBITMQ_PASSWORD_FILE"]).read_text().rstrip("\n")


@contextlib.contextmanager
def channel(settings: dict[str, str]) -> Iterator[BlockingChannel]:
    """Open a channel to staging's virtual host as staging's user."""
    connection = pika.BlockingConnection(
        pika.ConnectionParameters(
            settings["RABBITMQ_HOST"],
            int(settings["RABBITMQ_PORT"]),
            settings["RABBITMQ_VIRTUAL_HOST"],
            pika.PlainCredentials(settings["RABBITMQ_USER"], password(settings)),
        )
    )
    try:
        yield connection.channel()
    finally:
        connection.close()


def publish(settings: dict[str, str], notification: object, count: int = 1) -> None:
    """Publish a notification as DataWarehouse does."""
    with channel(settings) as opened:
        opened.confirm_delivery()
        for _ in range(count):
            opened.basic_publish(
                settings["WEBHOOK_RECEIVER_EXCHANGE"],
                "datawarehouse.checkout.build_setups_finished",
                json.dumps(notification).encode(),
                mandatory=True,
            )


def probed(settings: dict[str, str], probe: str) -> bool:
    """Send a probe as the kubelet does, and tell whether it succeeds."""
    path = MANIFESTS.container[probe]["httpGet"]["path"]
    address = f"http://127.0.0.1:{settings['CKI_METRICS_PORT']}{path}"
    try:
        with urllib.request.urlopen(address, timeout=PATIENCE) as answer:
            return bool(200 <= answer.status < 400)
    except urllib.error.HTTPError as error:
        error.close()
        return False


def test_the_daemon_works_as_deployed(
    settings: dict[str, str], services: Services, tmp_path: Path
) -> None:
    """The daemon starts, passes its probes, sends a message, and ends at SIGTERM."""
    checkout = documents.checkout("redhat:1")
    services.warehouse.add(documents.everything(checkout, [documents.build(checkout)]))
    with Notifier(tmp_path / "notifier", settings) as daemon:
        assert probed(settings, "livenessProbe")
        eventually(lambda: probed(settings, "readinessProbe"), what="a pod that is ready")
        publish(settings, documents.notification(checkout, "build_setups_finished"))
        (record,) = read_topic(
            settings["KAFKA_BOOTSTRAP_SERVERS"],
            settings["KAFKA_TOPIC"],
            seconds=PATIENCE,
            until=lambda seen: len(seen) == 1,
        )
        assert record.key == "redhat:1"
        assert daemon.stop() == 0


def test_keda_sees_what_waits(settings: dict[str, str], tmp_path: Path) -> None:
    """A passive declaration of the ScaledObject's queue returns the backlog."""
    with Notifier(tmp_path / "notifier", settings) as daemon:
        assert daemon.stop() == 0
    publish(settings, documents.notification(documents.checkout("redhat:1"), "new"), count=3)
    (trigger,) = overlay("production").one("ScaledObject")["spec"]["triggers"]
    with channel(settings) as opened:
        queue = trigger["metadata"]["queueName"]
        assert opened.queue_declare(queue, passive=True).method.message_count == 3
