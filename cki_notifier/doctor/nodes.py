"""RabbitMQ's nodes: can each be reached, and does it let us in?"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from queue import Empty, SimpleQueue

from cki_notifier.configuration.settings import RabbitMQConfig
from cki_notifier.doctor.examine import Check
from cki_notifier.doctor.finding import Finding, failed, ok
from cki_notifier.notification.errors import Unavailable
from cki_notifier.rabbitmq.connection import (
    BlockingConnection,
    Obstacle,
    close,
    connect,
    obstacle,
)
from cki_notifier.rabbitmq.failures import detail
from cki_notifier.workers.deadline import Deadline

_PURPOSE = "doctor"
_TEXT = {
    Obstacle.LOGIN: "the login as {user!r} is refused",
    Obstacle.VIRTUAL_HOST: "{user!r} is not let into the virtual host {vhost!r}",
    Obstacle.TLS: "no TLS connection",
    Obstacle.PROTOCOL: "what answers does not speak AMQP",
    Obstacle.NETWORK: "can't be reached",
}
_PORTS = "TLS is spoken on the ports 443 and 5671 alone"
_ADVICE = {
    Obstacle.LOGIN: "check RABBITMQ_USER and RABBITMQ_PASSWORD",
    Obstacle.VIRTUAL_HOST: "check RABBITMQ_VIRTUAL_HOST; if it is right, make it and let the user "
    "in, with rabbitmqctl add_vhost and rabbitmqctl set_permissions",
    Obstacle.TLS: f"check RABBITMQ_PORT ({_PORTS}), whether RABBITMQ_CAFILE holds the authority "
    "that signed the node's certificate, and whether that is for the name in RABBITMQ_HOST",
    Obstacle.PROTOCOL: f"check RABBITMQ_PORT: {_PORTS}",
    Obstacle.NETWORK: "check RABBITMQ_HOST and RABBITMQ_PORT, whether the node runs, and whether "
    "something in between lets nobody through",
}


class Nodes:
    """The nodes of a configuration, of which the first that can be used answers further questions.

    Args:
        config: which nodes, and how.
    """

    def __init__(self, config: RabbitMQConfig) -> None:
        self._config = config
        self._usable: SimpleQueue[RabbitMQConfig | None] = SimpleQueue()

    def checks(self) -> Iterator[Check]:
        """Yield a check for each node."""
        for host in self._config.hosts:
            node = replace(self._config, hosts=(host,))
            name = f"rabbitmq node {host}:{node.port}"
            yield Check(name, partial(self._look, name, node))

    def connect(self, deadline: Deadline, blocked_seconds: float) -> BlockingConnection | None:
        """Connect to the first node that turns out to be usable; None when none does.

        Args:
            deadline: of the check that asks.
            blocked_seconds: for so long the connection puts up with a broker that accepts nothing.

        Raises:
            Unavailable: it is no longer.
        """
        for _ in self._config.hosts:
            try:
                node = self._usable.get(timeout=deadline.remaining())
            except Empty:
                return None
            if node is not None:
                self._usable.put(node)
                return connect(node, _PURPOSE, blocked_seconds=blocked_seconds)
        return None

    def _look(self, name: str, node: RabbitMQConfig, _deadline: Deadline) -> Iterator[Finding]:
        try:
            close(connect(node, _PURPOSE))
        except Unavailable as error:
            self._usable.put(None)
            what = obstacle(error)
            text = _TEXT[what].format(user=node.user, vhost=node.virtual_host)
            yield failed(name, f"{text}: {detail(error.__cause__ or error)}", _ADVICE[what])
        else:
            self._usable.put(node)
            yield ok(name, f"lets {node.user!r} into the virtual host {node.virtual_host!r}")
