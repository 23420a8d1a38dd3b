"""RabbitMQ: can each node be reached, what is declared there, and does it accept messages?"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from queue import Empty, SimpleQueue

from cki_notifier.configuration.settings import RabbitMQConfig
from cki_notifier.doctor import policies, queues
from cki_notifier.doctor.check import Check, Finding, NoAnswer, failed, ok, skipped
from cki_notifier.notification.errors import Unavailable
from cki_notifier.rabbitmq.acceptance import acceptance
from cki_notifier.rabbitmq.connection import (
    Blocked,
    BlockingConnection,
    Obstacle,
    connected,
    ensure_accepting,
    obstacle,
    translated,
)
from cki_notifier.rabbitmq.failures import detail
from cki_notifier.workers.deadline import Deadline

_PURPOSE = "doctor"
_NAME, _WRITE = "rabbitmq queues", "rabbitmq write"
#: For so long RabbitMQ may accept no messages before it is said, in seconds.
_BLOCKED_SECONDS = 1.0
_PORTS = "TLS is spoken on the ports 443 and 5671 alone"
#: What keeps us from a node, and what to do about it.
_TEXT = {
    Obstacle.LOGIN: "the login as {user!r} is refused",
    Obstacle.VIRTUAL_HOST: "{user!r} is not let into the virtual host {vhost!r}",
    Obstacle.TLS: "no TLS connection",
    Obstacle.PROTOCOL: "what answers does not speak AMQP",
    Obstacle.NETWORK: "can't be reached",
}
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
_ALARM_ADVICE = (
    "on a node, rabbitmq-diagnostics alarms names the nodes that are short of it: free memory or "
    "disk there; until then what fails stays in the main queue, and no dead letter can be put back"
)
_WRITE_ADVICE = (
    "let the user publish by the default exchange, with rabbitmqctl set_permissions (amq.default "
    "has to match the expression for write): copies go that way"
)

#: Each node once it is known: its configuration, or None where it can't be used.
_Known = SimpleQueue[RabbitMQConfig | None]


def checks(config: RabbitMQConfig, *, sends: bool) -> Iterator[Check]:
    """Yield a check for each node, one for all that is declared there, and one for the policies.

    Args:
        config: which nodes, exchange and queue.
        sends: whether the daemon would use the main queue, or a temporary one of its own.
    """
    known: _Known = SimpleQueue()
    for host in config.hosts:
        name = f"rabbitmq node {host}:{config.port}"
        yield Check(name, partial(_node, name, replace(config, hosts=(host,)), known))
    yield Check(_NAME, partial(_declared, config, known, sends=sends))
    if sends:
        yield policies.check(config)


def _node(name: str, node: RabbitMQConfig, known: _Known, _deadline: Deadline) -> Iterator[Finding]:
    """Tell whether a node can be reached, and lets us in."""
    usable = None
    try:
        with connected(node, _PURPOSE):
            usable = node
    except Unavailable as error:
        what = obstacle(error)
        text = _TEXT[what].format(user=node.user, vhost=node.virtual_host)
        raise NoAnswer(f"{text}: {detail(error.__cause__ or error)}", _ADVICE[what]) from error
    finally:
        known.put(usable)
    yield ok(name, f"lets {node.user!r} into the virtual host {node.virtual_host!r}")


def _first_usable(count: int, known: _Known, deadline: Deadline) -> RabbitMQConfig | None:
    """Return the first of so many nodes that turns out to be usable; None when none does."""
    with suppress(Empty):
        for _ in range(count):
            if node := known.get(timeout=deadline.remaining()):
                return node
    return None


def _declared(
    config: RabbitMQConfig, known: _Known, deadline: Deadline, *, sends: bool
) -> Iterator[Finding]:
    """Look at what is declared; whether messages are accepted needs a connection of its own."""
    node = _first_usable(len(config.hosts), known, deadline)
    if node is None:
        yield skipped(_NAME, "there is no node to ask")
        return
    try:
        with connected(node, _PURPOSE) as connection, translated():
            yield queues.exchange(connection, config.exchange)
            if sends:
                yield from queues.findings(connection, config)
            else:
                text = "where nothing is sent the daemon has a temporary queue of its own"
                yield skipped(_NAME, text)
        if sends:
            with connected(node, _PURPOSE, blocked_seconds=_BLOCKED_SECONDS) as connection:
                yield _accepts(connection)
    except Unavailable as error:
        raise NoAnswer(str(error), "see RabbitMQ's log") from error


def _accepts(connection: BlockingConnection) -> Finding:
    """Tell whether RabbitMQ accepts messages; if it does not, the connection is of no more use."""
    try:
        ensure_accepting(connection)
    except Blocked:
        return failed(_WRITE, acceptance.refusal, _ALARM_ADVICE)
    except Unavailable as error:
        return failed(_WRITE, str(error), _WRITE_ADVICE)
    return ok(_WRITE, "RabbitMQ accepts messages from us")
