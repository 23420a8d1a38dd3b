"""Faults of Kafka and of the connection to it."""

import time
from functools import partial
from types import MappingProxyType

from confluent_kafka import KafkaError
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # it has no list of its names
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourcePatternType,
    ResourceType,
)

from tests.brokers.stage import eventually
from tests.faults import wire
from tests.faults.scene import BROKERS_TIME, LATENCY, Fault, Scene
from tests.faults.verdict import is_at_rest, read_all
from tools.brokers.proxy import Way

#: Settings of a broker that applies access rules, if there are any.
AUTHORIZED = MappingProxyType(
    {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "true",
    }
)
_REQUEST_SECONDS = 10
#: Longer than a delivery may take, in seconds.
_LONG_SECONDS = 75
_LOST_RESPONSES = 5


def _connections(scene: Scene) -> int:
    return scene.kafka_proxy.accepted


def _kill(scene: Scene) -> None:
    scene.kafka.kill()
    try:
        time.sleep(4)
    finally:
        scene.kafka.start()


def _freeze(scene: Scene, *, seconds: float) -> None:
    _fill_hands(scene)
    scene.kafka.freeze()
    try:
        time.sleep(seconds)
    finally:
        scene.kafka.thaw()


def _freeze_and_kill(scene: Scene) -> None:
    """Kill the daemon while Kafka is frozen. Kafka writes records in flight later."""
    _fill_hands(scene)
    scene.kafka.freeze()
    try:
        for seconds in (5, 35):
            time.sleep(seconds)
            scene.daemon.kill()
            scene.restart()
        time.sleep(_LONG_SECONDS - 40)
    finally:
        scene.kafka.thaw()
    scene.over_at = None


def _fill_hands(scene: Scene) -> None:
    """Make the daemon write many records at once."""
    scene.services.warehouse.latency = 1
    time.sleep(2)
    scene.services.warehouse.latency = LATENCY


def _cut(scene: Scene) -> None:
    for _ in range(4):
        scene.kafka_proxy.cut()
        time.sleep(1)


def _delete_topic(scene: Scene) -> None:
    """Delete the topic when all messages are in it; recreate it during the stream."""
    topic = scene.stage.topic
    with scene.paused():
        eventually(lambda: is_at_rest(scene), what="all in the topic")
        scene.kept += read_all(scene.kafka.bootstrap, topic)
        scene.kafka.delete_topic(topic)
    time.sleep(4)
    scene.kafka.create_topic(topic, config=BROKERS_TIME)


def _ask_for_replicas(scene: Scene) -> None:
    """Require two replicas with one broker."""
    _configure(scene, "min.insync.replicas", "2")
    try:
        time.sleep(5)
    finally:
        _configure(scene, "min.insync.replicas", "1")


def _configure(scene: Scene, name: str, value: str) -> None:
    entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(
        ConfigResource.Type.TOPIC, scene.stage.topic, incremental_configs=[entry]
    )
    admin = _admin(scene)  # gone with its last name, before anything is done
    done = admin.incremental_alter_configs([resource])
    done[resource].result(_REQUEST_SECONDS)


def _refuse(scene: Scene) -> None:
    forbid(scene)
    try:
        time.sleep(5)
    finally:
        permit(scene)


def forbid(scene: Scene) -> None:
    """Revoke the right to write to the topic."""
    others = _rule(scene, AclOperation.ALL, AclPermissionType.ALLOW)
    writing = _rule(scene, AclOperation.WRITE, AclPermissionType.DENY)
    admin = _admin(scene)  # gone with its last name, before anything is done
    for done in admin.create_acls([others, writing]).values():
        done.result(_REQUEST_SECONDS)


def permit(scene: Scene) -> None:
    """Grant the right to write to the topic again."""
    admin = _admin(scene)
    for found in admin.delete_acls([_all_rules(scene)]).values():
        found.result(_REQUEST_SECONDS)


def _rule(scene: Scene, operation: AclOperation, permission: AclPermissionType) -> AclBinding:
    return AclBinding(
        ResourceType.TOPIC,
        scene.stage.topic,
        ResourcePatternType.LITERAL,
        "User:ANONYMOUS",
        "*",
        operation,
        permission,
    )


def _all_rules(scene: Scene) -> AclBindingFilter:
    return AclBindingFilter(
        ResourceType.TOPIC,
        scene.stage.topic,
        ResourcePatternType.LITERAL,
        None,  # type: ignore[arg-type]  # any user
        None,  # type: ignore[arg-type]  # any host
        AclOperation.ANY,
        AclPermissionType.ANY,
    )


def _lose_responses(scene: Scene) -> None:
    """Cut the connection instead of the response, after Kafka has written the record."""
    asked: set[bytes] = set()
    lost: list[bytes] = []

    def watch(way: Way, data: bytes, _port: int) -> bool:
        if way is Way.TO_SERVER:
            asked.update(wire.produces(data))
        elif len(lost) < _LOST_RESPONSES and wire.answers(data) in asked:
            lost.append(data)
            return False
        return True

    scene.kafka_proxy.watch = watch
    eventually(lambda: len(lost) == _LOST_RESPONSES, what="lost responses")
    scene.kafka_proxy.watch = None


def _too_large(scene: Scene) -> None:
    for _ in range(5):
        scene.stream.add_large()
        time.sleep(0.2)


def _out_of_order(scene: Scene) -> None:
    assert scene.mock is not None
    for _ in range(3):
        with scene.mock.failing(KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER):
            time.sleep(0.5)
        time.sleep(0.5)


def _admin(scene: Scene) -> AdminClient:
    return AdminClient({"bootstrap.servers": scene.kafka.bootstrap, "log_level": 0})


FAULTS = (
    Fault("Kafka", "killed -9 and restarted", _kill, tries=_connections, short=True),
    Fault(
        "Kafka",
        "frozen for 30 s",
        partial(_freeze, seconds=30),
        tries=_connections,
        swift=False,
    ),
    Fault(
        "Kafka",
        f"frozen for {_LONG_SECONDS} s",
        partial(_freeze, seconds=_LONG_SECONDS),
        tries=_connections,
        swift=False,
        patience=180.0,
    ),
    Fault(
        "Kafka",
        f"frozen for {_LONG_SECONDS} s, kill -9 twice meanwhile",
        _freeze_and_kill,
        tries=_connections,
        swift=False,
        patience=180.0,
    ),
    Fault("Kafka", "connections cut, four times", _cut, tries=_connections),
    Fault("Kafka", "topic deleted and recreated", _delete_topic, tries=_connections, swift=False),
    Fault("Kafka", "not enough replicas", _ask_for_replicas, tries=_connections),
    Fault("Kafka", "authorization refused, then granted", _refuse, tries=_connections),
    Fault("Kafka", "response lost after the append", _lose_responses, tries=_connections),
    Fault("Kafka", "message too large", _too_large, tries=_connections),
    Fault("Kafka", "fatal error: out of order (mock)", _out_of_order, mock=True, swift=False),
)
