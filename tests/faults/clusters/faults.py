"""Faults of clusters: one node of three, a majority, leaders, hosts, processes."""

import contextlib
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from operator import attrgetter
from typing import Any, TypeAlias

from confluent_kafka import ElectionType, TopicPartition

from tests.faults.clusters.run import ClusterRun
from tests.faults.scene import LATENCY, Fault
from tests.faults.takeover import AWAY_SECONDS, IN_FLIGHT, SLOW
from tools.brokers.kafka import Kafka
from tools.brokers.rabbitmq import RabbitMQ
from tools.processes import Process

#: How long a stopped or killed process stays away, in seconds.
_AWAY_SECONDS = 5.0
#: How long a freeze lasts, in seconds. RabbitMQ gives a node up after a minute.
_FROZEN_SECONDS = 30.0
#: Pause between two steps of an upgrade, in seconds.
_PAUSE_SECONDS = 2.0
_MOVES = 4
#: Two addresses without a host, and one that never answers. The nodes' addresses are below.
_NOWHERE, _NO_NAME, _SILENT = "127.0.0.9", "gone.invalid", "127.0.0.8"
_NODES = "127.0.0.1 127.0.0.2 127.0.0.3"

#: Keeps a process away in this context.
Away: TypeAlias = Callable[[Process], AbstractContextManager[None]]


@contextlib.contextmanager
def _killed(process: Process) -> Iterator[None]:
    process.kill()
    try:
        yield
    finally:
        process.start()


@contextlib.contextmanager
def _stopped(process: Process) -> Iterator[None]:
    process.stop(seconds=60)
    try:
        yield
    finally:
        process.start()


@contextlib.contextmanager
def _frozen(process: Process) -> Iterator[None]:
    process.freeze()
    try:
        yield
    finally:
        process.thaw()


_node, _leader, _broker = map(attrgetter, ("node", "leader", "broker"))


def _without(
    find: Callable[[ClusterRun], Process], away: Away, seconds: float = _AWAY_SECONDS
) -> Callable[[ClusterRun], None]:
    """Return a fault: a node or a broker is away for a while."""

    def strike(run: ClusterRun) -> None:
        with away(find(run)):
            time.sleep(seconds)
        run.is_over()
        run.await_nodes()
        run.await_brokers()

    return strike


def _move_leader(run: ClusterRun) -> None:
    for _ in range(_MOVES):
        run.move_leader()
        time.sleep(1)


def _lose_majority(run: ClusterRun) -> None:
    """Kill two of three nodes. The third one pauses, so RabbitMQ is unavailable."""
    _kill_two(run.clusters.rabbitmq.nodes, run)
    run.is_over()
    run.await_nodes()


def roll_rabbitmq(run: ClusterRun) -> None:
    """Restart one node after the other, as an upgrade does."""
    for node in run.clusters.rabbitmq.nodes:
        with run.stopped(node):
            pass
        run.await_nodes()
        time.sleep(_PAUSE_SECONDS)


def _take_leaders_away(run: ClusterRun) -> None:
    """Restart a broker, so that others lead its partitions."""
    with run.stopped(run.broker):
        pass
    run.await_brokers()


def _move_partitions(run: ClusterRun) -> None:
    """Elect the preferred leaders again."""
    partitions = [TopicPartition(run.stage.topic, number) for number in range(3)]
    admin = run.admin  # gone with its last name, before anything is done
    admin.elect_leaders(ElectionType.PREFERRED, partitions).result()
    time.sleep(1)


def _lose_replicas(run: ClusterRun) -> None:
    """Kill two of three brokers, so that Kafka confirms no record."""
    _kill_two(run.clusters.kafka.nodes, run)
    run.is_over()
    run.await_brokers()


def roll_kafka(run: ClusterRun) -> None:
    """Restart one broker after the other, as an upgrade does."""
    for node in run.clusters.kafka.nodes:
        with run.stopped(node):
            pass
        run.await_brokers()
        time.sleep(_PAUSE_SECONDS)


def _kill_both(run: ClusterRun) -> None:
    with _killed(run.node), _killed(run.broker):
        time.sleep(_AWAY_SECONDS)
    run.is_over()
    run.await_nodes()
    run.await_brokers()


def _disconnect(run: ClusterRun) -> None:
    """Have RabbitMQ close all connections, so that each host gets its turn."""
    for _ in range(3):
        run.clusters.rabbitmq.ctl("close_all_connections", "--vhost", "/", "a test")
        time.sleep(2)


def _disconnect_with_a_silent_host(run: ClusterRun) -> None:
    """Do so while one of the hosts takes connections, and says nothing."""
    with socket.create_server((_SILENT, run.clusters.rabbitmq.port)):
        _disconnect(run)


def _kill_process(run: ClusterRun) -> None:
    worker = run.worker
    worker.kill()
    time.sleep(_AWAY_SECONDS)
    run.restart(worker)


def _freeze_process(run: ClusterRun) -> None:
    """Suspend a process with its hands full of loaded checkouts."""
    run.services.warehouse.latency = SLOW
    time.sleep(run.choice.uniform(2 * SLOW, 3 * SLOW))
    with _frozen(run.worker):
        time.sleep(AWAY_SECONDS)
    run.services.warehouse.latency = LATENCY


def _stop_process(run: ClusterRun) -> None:
    worker = run.worker
    assert worker.stop() == 0, "SIGTERM ends it with exit code 0"
    time.sleep(_AWAY_SECONDS)
    run.restart(worker)


def roll_processes(run: ClusterRun) -> None:
    """Restart one process after the other, as a new release does."""
    for daemon in run.daemons:
        with run.stopped(daemon):
            pass
        time.sleep(_PAUSE_SECONDS)


def roll_everything_twice(run: ClusterRun) -> None:
    """Restart all there is, one after the other, and all of it once more."""
    for _ in range(2):
        roll_rabbitmq(run)
        roll_kafka(run)
        roll_processes(run)


def _kill_two(nodes: Sequence[RabbitMQ] | Sequence[Kafka], run: ClusterRun) -> None:
    """Kill two at once, and start both at once a while later."""
    two = run.choice.sample(list(nodes), 2)
    with ThreadPoolExecutor() as pool:
        for node in two:
            node.kill()
        time.sleep(_AWAY_SECONDS)
        for started in [pool.submit(node.start) for node in two]:
            started.result()


def _fault(edge: str, name: str, strike: Callable[[ClusterRun], None], **more: Any) -> Fault:
    return Fault(edge, name, strike, **{"patience": 120.0, "processes": 2, **more})


EVERYTHING_TWICE = _fault(
    "both", "all nodes, brokers, processes restarted, twice", roll_everything_twice
)
FAULTS = (
    _fault("RabbitMQ", "our node killed -9", _without(_node, _killed)),
    _fault(
        "RabbitMQ",
        f"our node frozen for {_FROZEN_SECONDS:g} s",
        _without(_node, _frozen, _FROZEN_SECONDS),
    ),
    _fault("RabbitMQ", "our node stopped in order", _without(_node, _stopped)),
    _fault("RabbitMQ", "the queue's leader killed -9", _without(_leader, _killed)),
    _fault("RabbitMQ", f"the queue's leader moved, {_MOVES} times", _move_leader),
    _fault("RabbitMQ", "two nodes of three killed -9", _lose_majority),
    _fault("RabbitMQ", "all nodes restarted, one by one", roll_rabbitmq),
    _fault(
        "RabbitMQ",
        "all hosts dead but one, disconnected 3 times",
        _disconnect,
        settings={"RABBITMQ_HOST": f"{_NOWHERE} {_NO_NAME} 127.0.0.2"},
    ),
    _fault(
        "RabbitMQ",
        "a host that never answers, disconnected 3 times",
        _disconnect_with_a_silent_host,
        settings={"RABBITMQ_HOST": f"{_SILENT} {_NODES}"},
    ),
    _fault("Kafka", "a leading broker killed -9", _without(_broker, _killed)),
    _fault(
        "Kafka",
        f"a leading broker frozen for {_FROZEN_SECONDS:g} s",
        _without(_broker, _frozen, _FROZEN_SECONDS),
    ),
    _fault("Kafka", "a leader moved", _move_partitions, prepare=_take_leaders_away),
    _fault("Kafka", "two brokers of three killed -9", _lose_replicas),
    _fault("Kafka", "all brokers restarted, one by one", roll_kafka),
    _fault("both", "our node and a leading broker killed -9", _kill_both),
    _fault("process", "killed -9, and started 5 s later", _kill_process),
    _fault("process", "stopped in order, and started 5 s later", _stop_process),
    _fault("process", f"frozen for {AWAY_SECONDS} s", _freeze_process, doubles=IN_FLIGHT),
    _fault("process", "all three restarted, one by one", roll_processes, processes=3),
    EVERYTHING_TWICE,
)
