"""RabbitMQ: its nodes, and what is declared there."""

from collections.abc import Iterator
from functools import partial

from cki_notifier.configuration.settings import RabbitMQConfig
from cki_notifier.doctor import exchange, main_queue, policies, retry_queues
from cki_notifier.doctor.examine import Check
from cki_notifier.doctor.finding import Finding, failed, ok, skipped
from cki_notifier.doctor.nodes import Nodes
from cki_notifier.notification.errors import Unavailable
from cki_notifier.rabbitmq.acceptance import acceptance
from cki_notifier.rabbitmq.connection import Blocked, close, ensure_accepting, translated
from cki_notifier.workers.deadline import Deadline

_NAME, _WRITE = "rabbitmq queues", "rabbitmq write"
#: For so long RabbitMQ may accept no messages before it is said, in seconds.
_BLOCKED_SECONDS = 1.0
_ALARM_ADVICE = (
    "on a node, rabbitmq-diagnostics alarms names the nodes that are short of it: free memory or "
    "disk there; until then what fails stays in the main queue, and no dead letter can be put back"
)
_WRITE_ADVICE = (
    "let the user publish by the default exchange, with rabbitmqctl set_permissions (amq.default "
    "has to match the expression for write): copies go that way"
)


def checks(config: RabbitMQConfig, *, sends: bool) -> Iterator[Check]:
    """Yield a check for each node, one for all that is declared there, and one for the policies.

    Args:
        config: which nodes, exchange and queue.
        sends: whether the daemon would use the main queue, or a temporary one of its own.
    """
    nodes = Nodes(config)
    yield from nodes.checks()
    yield Check(_NAME, lambda deadline: _declared(nodes, config, deadline, sends=sends))
    if sends:
        yield Check(policies.NAME, partial(policies.findings, config))


def _declared(
    nodes: Nodes, config: RabbitMQConfig, deadline: Deadline, *, sends: bool
) -> Iterator[Finding]:
    try:
        connection = nodes.connect(deadline, _BLOCKED_SECONDS)
        if connection is None:
            yield skipped(_NAME, "there is no node to ask")
            return
        try:
            with translated():
                yield exchange.finding(connection, config.exchange)
                if sends:
                    yield from main_queue.findings(connection, config)
                    yield from retry_queues.findings(connection, config.queue)
                else:
                    text = "where nothing is sent the daemon has a temporary queue of its own"
                    yield skipped(_NAME, text)
        finally:
            close(connection)
        if sends:
            yield from _acceptance(nodes, deadline)
    except Unavailable as error:
        yield failed(_NAME, str(error), "see RabbitMQ's log")


def _acceptance(nodes: Nodes, deadline: Deadline) -> Iterator[Finding]:
    """Tell whether the broker accepts messages, on a connection that is of no use if it does not.

    Raises:
        Unavailable: no node can be reached any longer.
    """
    connection = nodes.connect(deadline, _BLOCKED_SECONDS)
    if connection is None:
        return
    try:
        ensure_accepting(connection)
        yield ok(_WRITE, "RabbitMQ accepts messages from us")
    except Blocked:
        yield failed(_WRITE, acceptance.refusal, _ALARM_ADVICE)
    except Unavailable as error:
        yield failed(_WRITE, str(error), _WRITE_ADVICE)
    finally:
        close(connection)
