"""One process of two loses RabbitMQ, which gives its notifications to the other process.

RabbitMQ gives a connection up after two to three heartbeats of 10 s. The other process cannot see a
record that the first one is just writing to Kafka.
"""

import time

from tests.faults.scene import LATENCY, Fault, Scene

#: Time until RabbitMQ has redelivered the first process' notifications, in seconds.
AWAY_SECONDS = 40
#: Latencies in seconds, so that a process has many notifications in flight.
SLOW, SLOWER = 1.0, 6.0
#: `CKI_NOTIFIER_IN_FLIGHT`.
IN_FLIGHT = 32


def _freeze(scene: Scene) -> None:
    """Freeze a process with many loaded checkouts in flight."""
    scene.services.warehouse.latency = SLOW
    time.sleep(scene.choice.uniform(2 * SLOW, 3 * SLOW))
    scene.daemon.freeze()
    try:
        time.sleep(AWAY_SECONDS)
    finally:
        scene.daemon.thaw()
        scene.services.warehouse.latency = LATENCY


def _cut_off(scene: Scene) -> None:
    """Cut off a process that is still at work when it or RabbitMQ notices."""
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
