"""KEDA reads the length of our queue as our user, and keeps its limits."""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from cki_notifier.configuration.settings import RabbitMQConfig
from cki_notifier.workers.shares import shares_of
from tests.deploy.kubernetes.manifests import Manifests, environment, overlay
from tests.factories.environment import read


def production() -> Manifests:
    """Return the objects of production."""
    return overlay("production")


@pytest.fixture(name="rabbitmq")
def _rabbitmq(tmp_path: Path) -> RabbitMQConfig:
    """Return production's settings of RabbitMQ."""
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
    """KEDA has the daemon's queue, virtual host, port and TLS, and one of its nodes."""
    asked = trigger()["metadata"]
    address = urlsplit(asked["host"])
    assert address.scheme == ("amqps" if rabbitmq.tls else "amqp")
    assert address.hostname in rabbitmq.hosts
    assert address.port == rabbitmq.port
    assert address.path == ""  # the virtual host has its own field
    assert asked["vhostName"] == rabbitmq.virtual_host
    assert asked["queueName"] == rabbitmq.queue
    assert asked["protocol"] == "amqp"
    assert asked["mode"] == "QueueLength"  # the only mode with AMQP


def test_it_logs_in_as_the_daemon_does(rabbitmq: RabbitMQConfig) -> None:
    """The user comes from the container's environment, the password from the Secret."""
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
    """With `replicas` in the manifest, each apply would reset KEDA's number."""
    deployment = production().one("Deployment")
    assert scaled()["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    assert "replicas" not in deployment["spec"]
    assert overlay("staging").one("Deployment")["spec"]["replicas"] == 1
    assert not overlay("staging").all("ScaledObject")


def test_there_are_always_some_and_never_too_many() -> None:
    """At least two replicas run, and at most as many as the services can bear."""
    assert scaled()["minReplicaCount"] == 2
    assert scaled()["maxReplicaCount"] == 4
    assert "idleReplicaCount" not in scaled()


def test_a_replica_more_is_worth_its_start() -> None:
    """A replica needs longer for its share of the backlog than a pod's start if reads are slow.

    A pod starts within half a minute. At the rates of docs/performance.md, a replica processes its
    share within seconds. If each read takes a second, it needs longer.
    """
    waiting = int(trigger()["metadata"]["value"])
    shares = shares_of(int(production().settings["CKI_NOTIFIER_IN_FLIGHT"]))
    measured_rate, slow_rate = 687, shares.prefetch / 1.0
    assert waiting / measured_rate < 10
    assert 30 < waiting / slow_rate < 180
