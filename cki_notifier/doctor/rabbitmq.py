"""RabbitMQ: the connection to each node, the declarations, and whether it accepts messages."""

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
#: The time for RabbitMQ to accept a message before the check fails, in seconds.
_BLOCKED_SECONDS = 1.0
_PORTS = "only ports 443 and 5671 use TLS"
#: The finding for each obstacle, and the advice.
_TEXT = {
    Obstacle.LOGIN: "RabbitMQ refuses the login as {user!r}",
    Obstacle.VIRTUAL_HOST: "{user!r} has no access to the virtual host {vhost!r}",
    Obstacle.TLS: "no TLS connection",
    Obstacle.PROTOCOL: "the port does not speak AMQP",
    Obstacle.NETWORK: "can't be reached",
}
_ADVICE = {
    Obstacle.LOGIN: "check RABBITMQ_USER and RABBITMQ_PASSWORD",
    Obstacle.VIRTUAL_HOST: "check RABBITMQ_VIRTUAL_HOST; if it is right, create it with "
    "rabbitmqctl add_vhost, and give the user access with rabbitmqctl set_permissions",
    Obstacle.TLS: f"check RABBITMQ_PORT ({_PORTS}), whether RABBITMQ_CAFILE has the authority (CA) "
    "of the node's certificate, and whether the certificate is for the name in RABBITMQ_HOST",
    Obstacle.PROTOCOL: f"check RABBITMQ_PORT: {_PORTS}",
    Obstacle.NETWORK: "check RABBITMQ_HOST and RABBITMQ_PORT, whether the node runs, and whether "
    "a firewall or network policy blocks the connection",
}
_ALARM_ADVICE = (
    "free memory or disk on the nodes that rabbitmq-diagnostics alarms names. Until then, failed "
    "notifications stay in the main queue and dead letters can't be retried"
)
_WRITE_ADVICE = (
    "let the user publish to the default exchange, with rabbitmqctl set_permissions: the write "
    "expression must match amq.default. The daemon needs it for retries and dead letters"
)

#: Gets the configuration of each node, or None for one that can't be used.
_Known = SimpleQueue[RabbitMQConfig | None]


def checks(config: RabbitMQConfig, *, sends: bool) -> Iterator[Check]:
    """Yield a check for each node, one for the declarations, and one for the policies.

    Args:
        config: nodes, exchange and queue.
        sends: whether the daemon uses the main queue, not a temporary one.
    """
    known: _Known = SimpleQueue()
    for host in config.hosts:
        name = f"rabbitmq node {host}:{config.port}"
        yield Check(name, partial(_node, name, replace(config, hosts=(host,)), known))
    yield Check(_NAME, partial(_declared, config, known, sends=sends))
    if sends:
        yield policies.check(config)


def _node(name: str, node: RabbitMQConfig, known: _Known, _deadline: Deadline) -> Iterator[Finding]:
    """Check the connection and the login to a node."""
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
    yield ok(name, f"connected as {node.user!r} to the virtual host {node.virtual_host!r}")


def _first_usable(count: int, known: _Known, deadline: Deadline) -> RabbitMQConfig | None:
    """Return the first usable node of this number of nodes; None for none."""
    with suppress(Empty):
        for _ in range(count):
            if node := known.get(timeout=deadline.remaining()):
                return node
    return None


def _declared(
    config: RabbitMQConfig, known: _Known, deadline: Deadline, *, sends: bool
) -> Iterator[Finding]:
    """Check exchange, queues and publishing, which needs a connection of its own."""
    node = _first_usable(len(config.hosts), known, deadline)
    if node is None:
        yield skipped(_NAME, "not checked: no node can be used")
        return
    try:
        with connected(node, _PURPOSE) as connection, translated():
            yield queues.exchange(connection, config.exchange)
            if sends:
                yield from queues.findings(connection, config)
            else:
                text = "not checked: in this environment the daemon has a temporary queue"
                yield skipped(_NAME, text)
        if sends:
            with connected(node, _PURPOSE, blocked_seconds=_BLOCKED_SECONDS) as connection:
                yield _accepts(connection)
    except Unavailable as error:
        raise NoAnswer(str(error), "check RabbitMQ's log") from error


def _accepts(connection: BlockingConnection) -> Finding:
    """Check that RabbitMQ accepts messages. If not, the connection can't be used any more."""
    try:
        ensure_accepting(connection)
    except Blocked:
        return failed(_WRITE, acceptance.refusal, _ALARM_ADVICE)
    except Unavailable as error:
        return failed(_WRITE, str(error), _WRITE_ADVICE)
    return ok(_WRITE, "RabbitMQ accepts messages")
