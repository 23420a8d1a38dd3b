"""Clusters of three on the loopback, as production runs them: RabbitMQ and Kafka."""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pika

from tools.brokers.kafka import NO_SETTINGS, Kafka, Topics
from tools.brokers.rabbitmq import RabbitMQ, Seat, port_mapper
from tools.processes import Process, free_port, wait_until

SIZE = 3
#: Timeout for a whole cluster, in seconds; a node that comes back waits for the others.
_WHOLE_SECONDS = 60.0
#: Pause between two rounds of killing.
_PAUSE_SECONDS = 0.05


class RabbitMQCluster:
    """Nodes on 127.0.0.1, 127.0.0.2 and so on, all with the same port, with all files in `folder`.

    A quorum queue has a member on each node.
    """

    vhost = "/"

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        mapper = free_port()
        self._mapper = port_mapper(folder / "epmd", mapper)
        names = [f"rabbit-{number}@localhost" for number in range(1, SIZE + 1)]
        cookie = secrets.token_hex(16)
        self.nodes = [
            RabbitMQ(
                folder / name.partition("@")[0],
                seat=Seat(name, f"127.0.0.{number}", self.port, mapper, names, cookie),
            )
            for number, name in enumerate(names, start=1)
        ]

    @property
    def host(self) -> str:
        """The nodes' addresses as `RABBITMQ_HOST` has them, separated by spaces."""
        return " ".join(node.host for node in self.nodes)

    def parameters(self) -> Sequence[pika.ConnectionParameters]:
        """Return pika's parameters for the nodes, in order, with a short timeout for each."""
        options = {"heartbeat": 4, "socket_timeout": 2, "stack_timeout": 4}
        return [each for node in self.nodes for each in node.parameters(**options)]

    def ctl(self, *arguments: str) -> str:
        """Run `rabbitmqctl` on the first running node; see :meth:`RabbitMQ.ctl`."""
        return next((node for node in self.nodes if node.running), self.nodes[0]).ctl(*arguments)

    def start(self) -> None:
        """Start all nodes; return when they form the cluster."""
        self._mapper.start()
        _start(self.nodes)
        self.nodes[0].ctl("await_online_nodes", str(SIZE))

    def kill(self) -> None:
        """Kill all nodes."""
        for node in (*self.nodes, self._mapper):
            node.kill()


class KafkaCluster(Topics):
    """Brokers on 127.0.0.1, each also a controller, with all files in `folder`.

    A topic has a replica on each broker. Kafka confirms a record when two replicas have it.
    """

    replicas = SIZE

    def __init__(self, folder: Path, *, settings: Mapping[str, str] = NO_SETTINGS) -> None:
        controllers = {number: free_port() for number in range(1, SIZE + 1)}
        self.nodes = [
            Kafka(
                folder / f"kafka-{number}",
                settings={"min.insync.replicas": "2"} | dict(settings),
                node=number,
                controllers=controllers,
            )
            for number in controllers
        ]
        self.bootstrap = ",".join(node.bootstrap for node in self.nodes)

    def start(self) -> None:
        """Start all brokers; return when all have joined the cluster."""
        _start(self.nodes)
        wait_until(lambda: len(self.brokers()) == SIZE, seconds=_WHOLE_SECONDS)

    def kill(self) -> None:
        """Kill all brokers."""
        for node in self.nodes:
            node.kill()


Cluster = TypeVar("Cluster", RabbitMQCluster, KafkaCluster)


@contextmanager
def running(cluster: Cluster) -> Iterator[Cluster]:
    """Run a cluster in this context, and kill it at the end."""
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.kill()


def _start(nodes: Sequence[Process]) -> None:
    """Start nodes in parallel; return when all are ready; raise the error of one that fails."""
    with ThreadPoolExecutor(SIZE) as pool:
        starting = [pool.submit(node.start) for node in nodes]
        try:
            for each in starting:
                each.result()
        except BaseException:
            # Don't wait for the others. The pool may launch some of them only now.
            while wait(starting, timeout=_PAUSE_SECONDS).not_done:
                for node in nodes:
                    node.kill()
            raise
