"""Faults by RabbitMQ's queues: delivery limits, and queues declared before the daemon."""

import json
import time

from cki_notifier.rabbitmq.queues import dead_letter_queue
from tests.brokers.stage import eventually
from tests.faults.scene import Fault, Scene
from tools.stand_ins import Hang

#: The delivery limit.
_LIMIT = 2


def _limit(scene: Scene) -> None:
    """Set a delivery limit. The daemon declares the queue later, with dead-lettering."""
    _set_policy(scene, {"delivery-limit": _LIMIT})


def _set_policy(scene: Scene, definition: dict[str, object]) -> None:
    name = scene.stage.queue
    scene.stage.rabbitmq.ctl(
        "set_policy", name, f"^{name}$", json.dumps(definition), "--apply-to", "queues"
    )


def declare_limited(scene: Scene) -> None:
    """Declare the queue with a delivery limit and without dead-lettering."""
    arguments = {"x-queue-type": "quorum", "x-delivery-limit": _LIMIT}
    with scene.stage.channel() as channel:
        channel.queue_declare(scene.stage.queue, durable=True, arguments=arguments)


def _declare_limited_and_keep(scene: Scene) -> None:
    """Declare it so, and add dead-lettering by a policy, as docs/reliability.md advises."""
    declare_limited(scene)
    _set_policy(
        scene,
        {
            "dead-letter-exchange": "",
            "dead-letter-routing-key": dead_letter_queue(scene.stage.queue),
        },
    )


def kill_beyond_the_limit(scene: Scene) -> None:
    """Kill the daemon with the same notifications in flight until RabbitMQ gives them up."""
    requests = scene.services.warehouse.requests
    scene.services.warehouse.answer("", Hang(3600))
    before = len(requests)
    for _ in range(_LIMIT + 2):
        eventually(lambda: len(requests) > before)  # noqa: B023  # at once
        time.sleep(0.3)
        scene.daemon.kill()
        scene.over_at = None
        before = len(requests)  # before the start: a new daemon may send many requests at once
        scene.restart()
    scene.services.warehouse.clear()
    scene.daemon.kill()
    scene.over_at = None
    scene.restart()


def declare_classic(scene: Scene) -> None:
    """Declare classic queues, the main queue without dead-lettering."""
    with scene.stage.channel() as channel:
        for name in (scene.stage.queue, dead_letter_queue(scene.stage.queue)):
            channel.queue_declare(name, durable=True, arguments={"x-max-priority": 3})


def _cut_and_kill(scene: Scene) -> None:
    for _ in range(3):
        scene.amqp_proxy.cut()
        time.sleep(1)
        scene.daemon.kill()
        scene.over_at = None
        scene.restart()
    scene.stream.add_large()
    time.sleep(0.2)


FAULTS = (
    Fault(
        "queue",
        f"kill -9 beyond a delivery limit of {_LIMIT}",
        kill_beyond_the_limit,
        _limit,
        gives_up=True,
        swift=False,
    ),
    Fault(
        "queue",
        f"declared before with a delivery limit of {_LIMIT}, with a policy; kill -9 beyond it",
        kill_beyond_the_limit,
        _declare_limited_and_keep,
        gives_up=True,
        swift=False,
    ),
    Fault(
        "queue",
        "declared before as a classic one; cuts and kill -9",
        _cut_and_kill,
        declare_classic,
        swift=False,
    ),
)
