"""RabbitMQ: its nodes, and what is declared there."""

from collections.abc import Iterator
from functools import partial

from cki_notifier.configuration.settings import RabbitMQConfig
from cki_notifier.doctor import exchange, main_queue, policies, retry_queues
from cki_notifier.doctor.examine import Check
from cki_notifier.doctor.finding import Finding, failed, skipped
from cki_notifier.doctor.nodes import Nodes
from cki_notifier.notification.errors import Unavailable
from cki_notifier.rabbitmq.connection import close, translated
from cki_notifier.workers.deadline import Deadline

_NAME = "rabbitmq queues"


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
        connection = nodes.connect(deadline)
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
    except Unavailable as error:
        yield failed(_NAME, str(error), "see RabbitMQ's log")
