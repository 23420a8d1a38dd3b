"""Ends of the daemon's process, at all important moments."""

import os
import signal
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from tests.brokers.stage import PATIENCE
from tests.faults import meter, wire
from tests.faults.scene import Fault, Scene
from tools.brokers.proxy import Watch, Way
from tools.notifier import Notifier
from tools.stand_ins import Exchange

#: `CKI_NOTIFIER_SHUTDOWN_SECONDS`.
_SHUTDOWN_SECONDS = 3
#: Time to close connections after that, in seconds.
_CLOSING_SECONDS = 8


class _Killer:
    """Kills one daemon, the first with a connection at the moment."""

    def __init__(self, scene: Scene) -> None:
        self.victim: Notifier | None = None
        self.done = threading.Event()
        self._daemons = {meter.find(each.log.parent): each for each in scene.daemons}
        self._lock = threading.Lock()

    def kill(self, port: int) -> bool:
        """Kill the daemon with the connection of this port, unless one is dead; return whether.

        Does not wait for its end, so that data in flight goes on.
        """
        with self._lock:
            pids = () if self.victim else self._daemons
            pid = next((each for each in pids if meter.holds(each, port)), None)
            if pid is None:
                return False
            os.kill(pid, signal.SIGKILL)
            self.victim = self._daemons[pid]
            self.done.set()
            return True

    def __call__(self, exchange: Exchange) -> None:
        """Act as a fault of a service: kill the daemon that sent the request."""
        self.kill(exchange.connection.port)
        exchange.connection.close()


_Moment: TypeAlias = Callable[[Scene, _Killer], None]


def _kill(scene: Scene, moment: _Moment) -> None:
    """Kill the daemon that first reaches a moment, and start it again."""
    killer = _Killer(scene)
    moment(scene, killer)
    try:
        assert killer.done.wait(PATIENCE), "the moment does not come"
    finally:
        scene.amqp_proxy.watch = scene.kafka_proxy.watch = None
    assert killer.victim is not None
    killer.victim.kill()
    scene.over_at = None
    scene.restart(killer.victim)


def _thrice(moment: _Moment) -> Callable[[Scene], None]:
    """Return a fault: three kills at a moment."""

    def strike(scene: Scene) -> None:
        for _ in range(3):
            _kill(scene, moment)

    return strike


def _at_random_moments(scene: Scene, *, times: int) -> None:
    for _ in range(times):
        _kill(scene, scene.choice.choice(_MOMENTS))


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


_MOMENTS = (_received, _loaded, _produced, _reported, _settled)


def _at_produce(killer: _Killer, *, passes: bool) -> Watch:
    """Kill when a record leaves for Kafka, and let it pass or drop it."""

    def watch(way: Way, data: bytes, port: int) -> bool:
        if way is Way.TO_CLIENT or not wire.produces(data):
            return True
        return not killer.kill(port) or passes

    return watch


def _at_ack(killer: _Killer, *, passes: bool) -> Watch:
    """Kill when an acknowledgement leaves for RabbitMQ, and let it pass or drop it."""

    def watch(way: Way, data: bytes, port: int) -> bool:
        if way is Way.TO_CLIENT or not wire.acknowledges(data):
            return True
        return not killer.kill(port) or passes

    return watch


def _again_and_again(scene: Scene) -> None:
    for _ in range(10):
        time.sleep(scene.choice.uniform(0, 0.5))
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
    Fault("process", "kill -9 when received, three times", _thrice(_received)),
    Fault("process", "kill -9 when loaded, three times", _thrice(_loaded)),
    Fault("process", "kill -9 when produced, three times", _thrice(_produced)),
    Fault("process", "kill -9 when reported, three times", _thrice(_reported)),
    Fault("process", "kill -9 when settled, three times", _thrice(_settled)),
    Fault("process", "kill -9 ten times in a row", _again_and_again),
    Fault(
        "process",
        "kill -9 at ten random moments",
        partial(_at_random_moments, times=10),
    ),
    Fault(
        "process",
        "kill -9 at a hundred random moments",
        partial(_at_random_moments, times=100),
        swift=False,
    ),
    Fault(
        "process",
        "kill -9 of one of two, at five random moments",
        partial(_at_random_moments, times=5),
        processes=2,
        short=True,
        swift=False,
    ),
    Fault(
        "process",
        "kill -9 of one of two, at 50 random moments",
        partial(_at_random_moments, times=50),
        processes=2,
        swift=False,
    ),
    Fault(
        "process",
        "kill -9 of one of three, at 50 random moments",
        partial(_at_random_moments, times=50),
        processes=3,
        swift=False,
    ),
    Fault("process", "SIGTERM under load", _terminate),
    Fault(
        "process",
        "SIGTERM while Kafka is down",
        _terminate_without_kafka,
        settings={"CKI_NOTIFIER_SHUTDOWN_SECONDS": str(_SHUTDOWN_SECONDS)},
        swift=False,
    ),
)
