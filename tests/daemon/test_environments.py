"""Where the daemon runs: production, a laptop, behind TLS; and what it prints there."""

import secrets
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from tests.brokers.stage import Stage, eventually
from tools.brokers.kafka import Kafka, read_topic
from tools.brokers.proxy import Proxy
from tools.brokers.rabbitmq import RabbitMQ, TLSFiles
from tools.stand_ins import Services, documents

#: The port of AMQPS, which has to be this one, on an address of the loopback nobody else uses.
AMQPS = 5671


def fill(stage: Stage, checkout_id: str = "redhat:1") -> dict[str, object]:
    """Put a checkout into DataWarehouse; return its notification."""
    checkout = documents.checkout(checkout_id)
    stage.services.warehouse.add(documents.everything(checkout, [documents.build(checkout)]))
    return documents.notification(checkout, "build_setups_finished")


@pytest.mark.parametrize("environment", ["", "development"])
def test_looking_on_takes_nothing_and_sends_nothing(stage: Stage, environment: str) -> None:
    """Outside production and staging the decision is shown, and everybody else's work goes on."""
    notification = fill(stage)
    production = stage.daemon(CKI_DEPLOYMENT_ENVIRONMENT="production")
    onlooker = stage.daemon(
        CKI_DEPLOYMENT_ENVIRONMENT=environment, KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1"
    )
    stage.publish(notification, b"no json")
    eventually(lambda: len(onlooker.settled()) == 2, what="two decisions")
    eventually(lambda: len(production.settled()) == 2, what="two settled")
    assert "would be sent: a pre-test message" in onlooker.text()
    assert '"checkout_id": "redhat:1"' in onlooker.text()
    assert "would be dead-lettered" in onlooker.text()
    assert len(stage.dead_letters()) == 1, "production's one and no second"
    seen = read_topic(stage.bootstrap, stage.topic, seconds=2, until=lambda found: len(found) > 1)
    assert len(seen) == 1, "production's one and no second"
    assert onlooker.stop() == 0
    rows = stage.rabbitmq.ctl("list_queues", "name", "exclusive").splitlines()
    assert not [row for row in rows if row.endswith("\ttrue")], "its own queue is gone"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """A certificate authority of our own."""
    return trustme.CA()


@pytest.fixture(scope="module")
def address() -> str:
    """An address of the loopback, so that the port of AMQPS is free there."""
    return ".".join(["127", *(str(2 + secrets.randbelow(250)) for _ in range(3))])


@pytest.fixture(scope="module")
def tls_rabbitmq(
    authority: trustme.CA, address: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RabbitMQ]:
    """A RabbitMQ whose certificate is for the address."""
    folder = tmp_path_factory.mktemp("tls")
    certificate = authority.issue_cert(address)
    files = TLSFiles(folder / "cert.pem", folder / "key.pem", folder / "ca.pem")
    certificate.cert_chain_pems[0].write_to_path(str(files.certificate))
    certificate.private_key_pem.write_to_path(str(files.key))
    authority.cert_pem.write_to_path(str(files.authority))
    with RabbitMQ(folder / "rabbitmq", tls=files) as broker:
        yield broker


@pytest.fixture
def tls_stage(
    tls_rabbitmq: RabbitMQ, kafka: Kafka, services: Services, tmp_path: Path
) -> Iterator[Stage]:
    """A stage around the RabbitMQ with TLS."""
    with Stage(tls_rabbitmq, kafka.bootstrap, services, tmp_path) as prepared:
        kafka.create_topic(prepared.topic)
        prepared.environment["RABBITMQ_PORT"] = str(AMQPS)
        prepared.environment["RABBITMQ_CAFILE"] = str(tls_rabbitmq.folder.parent / "ca.pem")
        yield prepared


def test_amqps_with_an_authority_of_our_own(tls_stage: Stage, address: str) -> None:
    """On port 5671 the connection is TLS, and the broker's certificate is verified."""
    notification = fill(tls_stage)
    assert tls_stage.rabbitmq.tls_port is not None
    with Proxy(tls_stage.rabbitmq.tls_port, host=address, port=AMQPS):
        tls_stage.daemon(RABBITMQ_HOST=address)
        tls_stage.publish(notification)
        assert tls_stage.records(1)[0].key == "redhat:1"


def test_a_certificate_for_another_host_is_refused(tls_stage: Stage) -> None:
    """A broker that shows a certificate for another name is not spoken to."""
    other = "127.0.255.2"
    assert tls_stage.rabbitmq.tls_port is not None
    with Proxy(tls_stage.rabbitmq.tls_port, host=other, port=AMQPS):
        daemon = tls_stage.daemon(RABBITMQ_HOST=other, waits=False)
        eventually(lambda: "IP address mismatch" in daemon.text())
        assert '"consuming ' not in daemon.text()


def test_an_unknown_authority_is_refused(tls_stage: Stage, address: str) -> None:
    """Without RABBITMQ_CAFILE the system's authorities count, and ours is none of them."""
    assert tls_stage.rabbitmq.tls_port is not None
    with Proxy(tls_stage.rabbitmq.tls_port, host=address, port=AMQPS):
        daemon = tls_stage.daemon(RABBITMQ_HOST=address, RABBITMQ_CAFILE="", waits=False)
        eventually(lambda: "CERTIFICATE_VERIFY_FAILED" in daemon.text())
        assert '"consuming ' not in daemon.text()


def test_of_several_nodes_one_that_answers_is_enough(stage: Stage) -> None:
    """RABBITMQ_HOST may name several nodes; those that are down are passed over."""
    notification = fill(stage)
    stage.daemon(RABBITMQ_HOST="127.0.0.2 127.0.0.1 127.0.0.3")
    stage.publish(notification)
    assert stage.records(1)[0].key == "redhat:1"


def test_a_second_signal_ends_at_once(stage: Stage) -> None:
    """A second signal does not wait for the work in flight."""
    notification = fill(stage)
    stage.services.warehouse.latency = 20
    daemon = stage.daemon()
    stage.publish(notification)
    eventually(lambda: stage.services.warehouse.requests)
    daemon.terminate()
    eventually(lambda: "stopping" in daemon.text())
    daemon.terminate()
    assert daemon.wait(seconds=5) == 128 + signal.SIGTERM
    eventually(lambda: stage.waiting(stage.queue) == 1, what="it is back in the queue")
