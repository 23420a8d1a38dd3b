"""One process of two falls out of RabbitMQ's sight, and may come back to work that has moved on.

RabbitMQ gives a connection up after two to three heartbeats of 10 s. What the process was about to
write to Kafka in the moment it comes back, or is given up, nobody else can know of.
"""

import time

from tests.faults.scene import LATENCY, Fault, Scene

#: By then RabbitMQ has given the first process' work to the other one, in seconds.
AWAY_SECONDS = 40
#: An answer takes so long, so that a process has its hands full, in seconds.
SLOW, SLOWER = 1.0, 6.0
#: So many notifications a process works on at once (`CKI_NOTIFIER_IN_FLIGHT`).
IN_FLIGHT = 32


def _freeze(scene: Scene) -> None:
    """Suspend a process with its hands full of loaded checkouts."""
    scene.services.warehouse.latency = SLOW
    time.sleep(scene.choice.uniform(2 * SLOW, 3 * SLOW))
    scene.daemon.freeze()
    try:
        time.sleep(AWAY_SECONDS)
    finally:
        scene.daemon.thaw()
        scene.services.warehouse.latency = LATENCY


def _cut_off(scene: Scene) -> None:
    """Cut a process off that is still at work when it, or RabbitMQ, sees that it is."""
    scene.services.warehouse.latency = SLOWER
    time.sleep(scene.choice.uniform(0, SLOWER))
    scene.amqp_proxy.swallow()
    try:
        time.sleep(AWAY_SECONDS)
    finally:
        scene.amqp_proxy.resume()
        scene.services.warehouse.latency = LATENCY


FAULTS = (
    Fault(
        "process",
        f"one of two frozen for {AWAY_SECONDS} s",
        _freeze,
        processes=2,
        doubles=IN_FLIGHT,
        swift=False,
        patience=120.0,
    ),
    Fault(
        "AMQP",
        f"one of two processes in a black hole for {AWAY_SECONDS} s",
        _cut_off,
        processes=2,
        apart=True,
        doubles=IN_FLIGHT,
        swift=False,
        patience=120.0,
    ),
)
