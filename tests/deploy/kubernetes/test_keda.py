"""KEDA asks about our queue, as our user, and keeps within the numbers that were thought over."""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from cki_notifier.configuration.settings import RabbitMQConfig
from cki_notifier.workers.shares import shares_of
from tests.deploy.kubernetes.manifests import Manifests, environment, overlay
from tests.factories.environment import read


def production() -> Manifests:
    """Return what production is made of."""
    return overlay("production")


@pytest.fixture(name="rabbitmq")
def _rabbitmq(tmp_path: Path) -> RabbitMQConfig:
    """Return how production reaches RabbitMQ."""
    config = read(environment(production(), tmp_path)).rabbitmq
    assert config is not None
    return config


def scaled() -> dict[str, Any]:
    """Return the spec of the ScaledObject."""
    spec: dict[str, Any] = production().one("ScaledObject")["spec"]
    return spec


def trigger() -> dict[str, Any]:
    """Return the only trigger."""
    (found,) = scaled()["triggers"]
    assert found["type"] == "rabbitmq"
    only: dict[str, Any] = found
    return only


def test_it_looks_at_the_queue_that_is_consumed(rabbitmq: RabbitMQConfig) -> None:
    """Same queue, virtual host and port as the daemon's, at one of its nodes, with its TLS."""
    asked = trigger()["metadata"]
    address = urlsplit(asked["host"])
    assert address.scheme == ("amqps" if rabbitmq.tls else "amqp")
    assert address.hostname in rabbitmq.hosts
    assert address.port == rabbitmq.port
    assert address.path == ""  # the virtual host comes from its own field
    assert asked["vhostName"] == rabbitmq.virtual_host
    assert asked["queueName"] == rabbitmq.queue
    assert asked["protocol"] == "amqp"
    assert asked["mode"] == "QueueLength"  # by AMQP it can do no other


def test_it_logs_in_as_the_daemon_does(rabbitmq: RabbitMQConfig) -> None:
    """The user comes from the container's environment, the password from the same Secret."""
    variable = trigger()["metadata"]["usernameFromEnv"]
    assert production().settings[variable] == rabbitmq.user
    authentication = production().one("TriggerAuthentication")
    assert trigger()["authenticationRef"]["name"] == authentication["metadata"]["name"]
    (password,) = authentication["spec"]["secretTargetRef"]
    assert password["parameter"] == "password"
    assert password["name"] == production().secret_name
    assert password["key"] in production().secret_keys
    assert rabbitmq.password.reveal() == f"secret of {password['key']}"


def test_it_scales_the_deployment_and_nobody_else_does() -> None:
    """A number of replicas in the manifest would undo KEDA's with each apply."""
    deployment = production().one("Deployment")
    assert scaled()["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    assert "replicas" not in deployment["spec"]
    assert overlay("staging").one("Deployment")["spec"]["replicas"] == 1
    assert not overlay("staging").all("ScaledObject")


def test_there_are_always_some_and_never_too_many() -> None:
    """Never none, which would set CKINotifierDown off; and no more than the services can bear."""
    assert scaled()["minReplicaCount"] == 2
    assert scaled()["maxReplicaCount"] == 4
    assert "idleReplicaCount" not in scaled()


def test_a_replica_more_is_worth_its_start() -> None:
    """What waits for each is over in a moment, or takes longer than a pod's start: slow services.

    A pod takes half a minute to be there. At the rates of docs/performance.md what waits takes
    seconds, and where each read takes a second, so that all that is fetched waits at once, longer.
    """
    waiting = int(trigger()["metadata"]["value"])
    shares = shares_of(int(production().settings["CKI_NOTIFIER_IN_FLIGHT"]))
    measured_rate, slow_rate = 687, shares.prefetch / 1.0
    assert waiting / measured_rate < 10
    assert 30 < waiting / slow_rate < 180
