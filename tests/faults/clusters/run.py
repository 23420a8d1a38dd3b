"""A run on clusters: several daemons on one queue, three RabbitMQ nodes, three Kafka brokers."""

import random
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, cast

from confluent_kafka.admin import AdminClient

from cki_notifier.rabbitmq.connection import of_quorum
from cki_notifier.rabbitmq.queues import main_arguments, retry_arguments
from tests.brokers.stage import Stage, eventually
from tests.faults.amqp import SYNC
from tests.faults.clusters.plot import Restart
from tests.faults.scene import BROKERS_TIME, LATENCY, NO_CHANGES, RATE, Run, prepare_daemons
from tests.faults.stream import Stream
from tools.brokers.clusters import SIZE, KafkaCluster, RabbitMQCluster
from tools.brokers.kafka import Kafka
from tools.brokers.rabbitmq import RabbitMQ
from tools.notifier import Notifier
from tools.processes import Process
from tools.stand_ins import Services

#: Timeout for a whole cluster with all replicas in sync, in seconds.
_WHOLE_SECONDS = 60.0
_REQUEST_SECONDS = 10.0


class Clusters(NamedTuple):
    """Both clusters, without proxies."""

    rabbitmq: RabbitMQCluster
    kafka: KafkaCluster


@dataclass(kw_only=True)
class ClusterRun(Run):
    """A run whose brokers are clusters."""

    clusters: Clusters
    #: The restarts so far.
    restarts: list[Restart] = field(default_factory=list)

    @contextmanager
    def stopped(self, process: Process) -> Iterator[None]:
        """Stop a process cleanly for this context, then start it again."""
        begun = time.time()
        process.stop(seconds=60)
        try:
            yield
        finally:
            process.start()
        self.restarts.append(Restart(kind_of(process), begun, time.time()))

    @property
    def node(self) -> RabbitMQ:
        """The node that a process, or the active one, consumes from."""
        columns = ("queue_name", "channel_pid", "active")
        rows = self.clusters.rabbitmq.ctl("list_consumers", "--no-table-headers", *columns)
        active = [row for row in rows.splitlines() if row.endswith("true")]
        # A process of Erlang's: <rabbit-1@localhost.1764150000.1234.0>
        pid = next(row.split("\t")[1] for row in active if row.startswith(self.stage.queue))
        return self.node_called(pid.strip("<>").partition(".")[0])

    @property
    def worker(self) -> Notifier:
        """The process, or the active one, that settled a notification last."""
        return max(self.daemons, key=_settled_last)

    @property
    def leader(self) -> RabbitMQ:
        """The node that leads the queue."""
        rows = self.clusters.rabbitmq.ctl("list_queues", "--no-table-headers", "name", "leader")
        leaders = dict(line.split("\t") for line in rows.splitlines() if "\t" in line)
        return self.node_called(leaders[self.stage.queue])

    def node_called(self, name: str) -> RabbitMQ:
        """Return the node with this name."""
        return next(each for each in self.clusters.rabbitmq.nodes if each.seat.name == name)

    def move_leader(self) -> None:
        """Move the queue's leader to another node."""
        target = self.choice.choice([n for n in self.clusters.rabbitmq.nodes if n != self.leader])
        name = f'rabbit_misc:r(<<"/">>, queue, <<"{self.stage.queue}">>)'
        self.clusters.rabbitmq.ctl(
            "eval",
            f"{{ok, Q}} = rabbit_amqqueue:lookup({name}), "
            f"rabbit_quorum_queue:transfer_leadership(Q, '{target.seat.name}').",
        )
        eventually(lambda: self.leader == target, what="the queue led by another node")

    @property
    def broker(self) -> Kafka:
        """The broker that leads the topic's first partition."""
        topic = self.stage.topic
        leader = self.admin.list_topics(topic, timeout=_REQUEST_SECONDS).topics[topic].partitions
        return self.clusters.kafka.nodes[leader[0].leader - 1]

    @property
    def admin(self) -> AdminClient:
        """A client for Kafka's administration."""
        return AdminClient({"bootstrap.servers": self.stage.bootstrap, "log_level": 0})

    def is_in_sync(self) -> bool:
        """Whether all replicas are in sync."""
        topic = self.stage.topic
        partitions = self.admin.list_topics(topic, timeout=_REQUEST_SECONDS).topics[topic]
        return all(len(each.isrs) == SIZE for each in partitions.partitions.values())

    def await_nodes(self) -> None:
        """Return when all nodes of RabbitMQ have seen each other."""
        self.clusters.rabbitmq.ctl("await_online_nodes", str(SIZE))

    def await_brokers(self) -> None:
        """Return when all brokers are up and all replicas are in sync."""
        eventually(self.is_in_sync, seconds=_WHOLE_SECONDS, what="all replicas in sync")


def kind_of(process: Process) -> str:
    """Return the kind of a process: RabbitMQ, Kafka or cki-notifier."""
    return process.name.partition("'")[0]


def _settled_last(daemon: Notifier) -> str:
    """Return when a process settled a notification last, empty for never."""
    return next((str(line["time"]) for line in reversed(daemon.settled())), "")


@contextmanager
def opened(
    clusters: Clusters,
    services: Services,
    folder: Path,
    *,
    seed: int,
    single_active: bool,
    processes: int = 2,
    settings: Mapping[str, str] = NO_CHANGES,
) -> Iterator[ClusterRun]:
    """Prepare a run: an exchange, a queue and a topic with three copies each, and a stream.

    Args:
        clusters: are shared.
        services: are the run's own.
        folder: for the daemons' logs.
        seed: of the stream and the fault.
        single_active: whether the queue has one consumer at a time.
        processes: the number of daemons.
        settings: changes to their environment.
    """
    rabbitmq = cast("RabbitMQ", clusters.rabbitmq)  # it has all that is used here
    with Stage(rabbitmq, clusters.kafka.bootstrap, services, folder) as stage:
        clusters.kafka.create_topic(stage.topic, config=BROKERS_TIME)
        queues = declare(stage, single_active=single_active)
        for node in clusters.rabbitmq.nodes:
            node.ctl("eval", SYNC)
        services.warehouse.latency = LATENCY
        environment = stage.environment | {"CKI_LOGGING_LEVEL": "INFO"} | dict(settings)
        daemons, readiness = prepare_daemons([environment] * processes, folder)
        yield ClusterRun(
            stage=stage,
            daemons=daemons,
            readiness=readiness,
            stream=Stream(rabbitmq, stage.exchange, services, seed=seed, rate=RATE, stages=True),
            choice=random.Random(seed),  # noqa: S311  # not for secrets
            clusters=clusters,
        )
        # Remaining queues would slow down a node that comes back.
        with stage.channel() as channel:
            for queue in queues:
                channel.queue_delete(queue)
        clusters.kafka.delete_topic(stage.topic)


def declare(stage: Stage, *, single_active: bool) -> list[str]:
    """Declare all queues before the daemons, as an operator may; return their names."""
    queue = stage.queue
    own = of_quorum(main_arguments(queue))
    if single_active:
        own["x-single-active-consumer"] = True
    others = {name: of_quorum(each) for name, each in retry_arguments(queue).items()}
    with stage.channel() as channel:
        for name, arguments in {queue: own, **others}.items():
            channel.queue_declare(name, durable=True, arguments=arguments)
    return [queue, *others]
