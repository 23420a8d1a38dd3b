"""Ends of the daemon's process, at every moment that matters."""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.brokers.stage import PATIENCE
from tests.faults import wire
from tests.faults.scene import Fault, Scene
from tools.brokers.proxy import Way
from tools.stand_ins import Exchange

#: The daemon gets so long for finishing, in seconds.
_SHUTDOWN_SECONDS = 3
#: To close what is open after that, in seconds.
_CLOSING_SECONDS = 8


@dataclass
class _Killer:
    """Kills the daemon once, wherever it is called first."""

    scene: Scene
    done: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def kill(self) -> None:
        """Return when the daemon is dead."""
        with self._lock:
            if not self.done.is_set():
                self.scene.daemon.kill()
                self.done.set()

    def deliver(self, exchange: Exchange) -> None:
        """Be a fault of a service: the request arrives, and the one who made it dies."""
        self.kill()
        exchange.connection.close()


def _after(prepare: Callable[[Scene, _Killer], None]) -> Callable[[Scene], None]:
    """Make a fault that waits for the daemon's death and starts it anew, three times."""

    def strike(scene: Scene) -> None:
        for _ in range(3):
            killer = _Killer(scene)
            prepare(scene, killer)
            assert killer.done.wait(PATIENCE), "the moment does not come"
            scene.amqp_proxy.watch = scene.kafka_proxy.watch = None
            scene.over_at = None
            scene.restart()

    return strike


def _received(scene: Scene, killer: _Killer) -> None:
    scene.services.warehouse.answer("", killer, times=1)


def _loaded(scene: Scene, killer: _Killer) -> None:
    scene.kafka_proxy.watch = _at_produce(killer, passes=False)


def _produced(scene: Scene, killer: _Killer) -> None:
    scene.kafka_proxy.watch = _at_produce(killer, passes=True)


def _reported(scene: Scene, killer: _Killer) -> None:
    scene.amqp_proxy.watch = _at_ack(killer, passes=False)


def _settled(scene: Scene, killer: _Killer) -> None:
    scene.amqp_proxy.watch = _at_ack(killer, passes=True)


def _at_produce(killer: _Killer, *, passes: bool) -> Callable[[Way, bytes], bool]:
    """Kill when a record is on its way to Kafka, which gets it or not."""

    def watch(way: Way, data: bytes) -> bool:
        if way is Way.TO_CLIENT or not wire.produces(data):
            return True
        killer.kill()
        return passes

    return watch


def _at_ack(killer: _Killer, *, passes: bool) -> Callable[[Way, bytes], bool]:
    """Kill when an acknowledgement is on its way to RabbitMQ, which gets it or not."""

    def watch(way: Way, data: bytes) -> bool:
        if way is Way.TO_CLIENT or not wire.acknowledges(data):
            return True
        killer.kill()
        return passes

    return watch


def _again_and_again(scene: Scene) -> None:
    moments = random.Random(len(scene.stream.published))  # noqa: S311  # not for secrets
    for _ in range(10):
        time.sleep(moments.uniform(0, 0.5))
        scene.daemon.kill()
        scene.over_at = None
        scene.restart()


def _terminate(scene: Scene) -> None:
    assert scene.daemon.stop() == 0, "SIGTERM ends it with exit code 0"
    scene.restart()


def _terminate_without_kafka(scene: Scene) -> None:
    scene.kafka.kill()
    try:
        time.sleep(1)
        started = time.monotonic()
        assert scene.daemon.stop(seconds=60) == 0, "SIGTERM ends it with exit code 0"
        assert time.monotonic() - started < _SHUTDOWN_SECONDS + _CLOSING_SECONDS
    finally:
        scene.kafka.start()
    scene.restart()


FAULTS = (
    Fault("process", "kill -9 when received, three times", _after(_received)),
    Fault("process", "kill -9 when loaded, three times", _after(_loaded)),
    Fault("process", "kill -9 when produced, three times", _after(_produced), short=True),
    Fault("process", "kill -9 when reported, three times", _after(_reported)),
    Fault("process", "kill -9 when settled, three times", _after(_settled)),
    Fault("process", "kill -9 ten times in a row", _again_and_again),
    Fault("process", "SIGTERM under load", _terminate),
    Fault(
        "process",
        "SIGTERM while Kafka is down",
        _terminate_without_kafka,
        settings={"CKI_NOTIFIER_SHUTDOWN_SECONDS": str(_SHUTDOWN_SECONDS)},
        swift=False,
    ),
)
