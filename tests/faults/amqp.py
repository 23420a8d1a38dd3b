"""Faults of RabbitMQ and of the connection to it."""

import time

from tests.brokers.stage import eventually
from tests.faults.queues import declare_classic
from tests.faults.scene import LATENCY, Fault, Scene
from tools.stand_ins import Hang, Status

#: RabbitMQ's acknowledgement timeout, and how often RabbitMQ checks it, in milliseconds.
_TIMEOUT_MS, _LOOK_MS = 2_000, 500
_TIMEOUT_DEFAULT_MS, _LOOK_DEFAULT_MS = 1_800_000, 60_000
#: After the first, the daemon has received all notifications; the second keeps them in flight.
_ON_THE_WAY_SECONDS, _IN_HAND_SECONDS = 0.5, 2.0
#: RabbitMQ 3.10 keeps the name of a new quorum queue in memory for up to three minutes (auto_save
#: of Erlang's dets). Without the name on disk, the queue has no leader after a restart.
SYNC = "lists:foreach(fun dets:sync/1, dets:all())."


def _connections(scene: Scene) -> int:
    return scene.amqp_proxy.accepted


def _cut(scene: Scene) -> None:
    for _ in range(3):
        scene.amqp_proxy.cut()
        time.sleep(1)
    scene.amqp_proxy.cut()


def _swallow(scene: Scene) -> None:
    scene.amqp_proxy.swallow()
    time.sleep(5)
    scene.amqp_proxy.resume()


def _silence(scene: Scene) -> None:
    scene.amqp_proxy.silence()
    time.sleep(1)


def _kill(scene: Scene) -> None:
    broker = scene.stage.rabbitmq
    broker.ctl("eval", SYNC)
    broker.kill()
    try:
        time.sleep(2)
    finally:
        broker.start()


def _kill_both(scene: Scene) -> None:
    """Kill the broker before it gets the acknowledgements, and the process, as a machine dies."""
    broker = scene.stage.rabbitmq
    broker.ctl("eval", SYNC)
    scene.amqp_proxy.swallow()
    time.sleep(1)
    broker.kill()
    scene.daemon.kill()
    scene.amqp_proxy.resume()
    broker.start()
    scene.restart()


def _delete_queue(scene: Scene) -> None:
    """Delete the queue when all its notifications are in flight."""
    scene.services.warehouse.latency = _IN_HAND_SECONDS
    with scene.paused(), scene.stage.channel() as channel:
        eventually(lambda: not scene.stage.waiting(scene.stage.queue))
        time.sleep(_ON_THE_WAY_SECONDS)
        channel.queue_delete(scene.stage.queue)
    scene.services.warehouse.latency = LATENCY


def _alarm(scene: Scene) -> None:
    """Block publishers while the daemon has to delay some notifications."""
    with scene.stage.rabbitmq.alarm():
        scene.services.warehouse.answer("", Status(503))
        try:
            time.sleep(5)
        finally:
            scene.services.warehouse.clear()


def _take_back_soon(scene: Scene) -> None:
    _set_timeout(scene, _TIMEOUT_MS, _LOOK_MS)


def _keep_waiting(scene: Scene) -> None:
    """Let a request hang until the broker closes the channel."""
    before = _connections(scene)
    try:
        scene.services.warehouse.answer("", Hang(_TIMEOUT_MS / 1000 + 4), times=2)
        eventually(lambda: _connections(scene) > before, what="a new connection")
    finally:
        _set_timeout(scene, _TIMEOUT_DEFAULT_MS, _LOOK_DEFAULT_MS)
    # The present channels keep the old timeout.
    scene.amqp_proxy.cut()


def _set_timeout(scene: Scene, timeout: int, look: int) -> None:
    scene.stage.rabbitmq.ctl(
        "eval",
        f"application:set_env(rabbit, consumer_timeout, {timeout}),"
        f"application:set_env(rabbit, channel_tick_interval, {look}).",
    )


FAULTS = (
    Fault("AMQP", "connection cut, four times", _cut, tries=_connections, short=True),
    Fault("AMQP", "black hole for 5 s", _swallow, tries=_connections),
    Fault("AMQP", "black hole for good", _silence, tries=_connections, swift=False, patience=120),
    Fault("AMQP", "broker killed -9 and restarted", _kill, tries=_connections),
    Fault("AMQP", "broker and process killed -9 at once", _kill_both, tries=_connections),
    Fault(
        "AMQP",
        "broker and process killed -9 at once, classic queue",
        _kill_both,
        declare_classic,
        tries=_connections,
        swift=False,
    ),
    Fault("AMQP", "queue deleted", _delete_queue, tries=_connections, swift=False),
    Fault("AMQP", "memory alarm, and delays meanwhile", _alarm, tries=_connections),
    Fault(
        "AMQP",
        "channel closed (acknowledgement timeout)",
        _keep_waiting,
        _take_back_soon,
        tries=_connections,
        swift=False,
    ),
)
