"""The main queue: is nothing lost there, who consumes it, and how to see what is bound to it."""

import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from cki_notifier.configuration.settings import RabbitMQConfig
from cki_notifier.doctor.finding import Finding, ok, skipped, warning
from cki_notifier.doctor.queue import (
    Counts,
    absent,
    count,
    number,
    other,
    policy_command,
    unseen,
)
from cki_notifier.rabbitmq.connection import (
    ACCESS_REFUSED,
    DELIVERY_LIMIT,
    BlockingConnection,
    Refusal,
    compare_queue,
    of_classic,
    of_quorum,
    release,
)
from cki_notifier.rabbitmq.queues import dead_letter_queue, main_arguments

_QUEUE, _CONSUMERS, _BINDINGS = "rabbitmq queue", "rabbitmq consumers", "rabbitmq bindings"
#: A queue of a kind that has no arguments but its type.
_BARE = {"quorum": {"x-queue-type": "quorum"}, "classic": {}}


def findings(connection: BlockingConnection, config: RabbitMQConfig) -> Iterator[Finding]:
    """Look at the main queue; raises what pika does when the connection is lost."""
    counts = count(connection, config.queue)
    if isinstance(counts, Refusal):
        yield absent(connection, _QUEUE, config.queue, counts)
        return
    yield _kind(connection, config)
    yield _consumers(counts)
    yield _bindings(config)


def _kind(connection: BlockingConnection, config: RabbitMQConfig) -> Finding:
    name, arguments = config.queue, main_arguments(config.queue)
    given_up = f"what RabbitMQ gives up goes to {dead_letter_queue(name)}"
    unlike = compare_queue(connection, name, of_quorum(arguments))
    if unlike is None:
        return ok(_QUEUE, f"{name}: a quorum queue; {given_up}")
    if unlike.code == ACCESS_REFUSED:
        return unseen(_QUEUE, name)
    unlimited = of_classic(arguments)
    if compare_queue(connection, name, of_quorum(unlimited)) is None:
        return _of_an_older_release(connection, config, f"{name}: a quorum queue; {given_up}")
    if compare_queue(connection, name, unlimited) is None:
        return ok(_QUEUE, f"{name}: a classic queue, which lives on one node; {given_up}")
    kept = {"dead-letter-exchange": "", "dead-letter-routing-key": dead_letter_queue(name)}
    for kind, bare in _BARE.items():
        if compare_queue(connection, name, bare) is None:
            return warning(
                _QUEUE,
                f"{name}: a {kind} queue without dead-lettering; what RabbitMQ gives up is lost, "
                "unless a policy says otherwise",
                f"have a policy say it: {_policy_command(config, kept)}",
            )
    return other(_QUEUE, name, unlike)


def _of_an_older_release(
    connection: BlockingConnection, config: RabbitMQConfig, text: str
) -> Finding:
    """Judge a queue that was declared without a delivery limit: RabbitMQ 3 has none of its own."""
    if release(connection).startswith("3."):
        return ok(_QUEUE, text)
    limit = "that is after 20 crashes of the daemon, unless a policy says otherwise"
    command = _policy_command(config, {"delivery-limit": main_arguments("")[DELIVERY_LIMIT]})
    return warning(_QUEUE, f"{text}, and {limit}", f"have a policy say it: {command}")


def _consumers(counts: Counts) -> Finding:
    waiting = f"{number(counts.messages, 'message')} waiting"
    if counts.consumers:
        return ok(_CONSUMERS, f"{number(counts.consumers, 'consumer')}; {waiting}")
    advice = "start the daemon; if it runs, its log says why it does not consume"
    return warning(_CONSUMERS, f"nobody consumes the queue; {waiting}", advice)


def _bindings(config: RabbitMQConfig) -> Finding:
    return skipped(
        _BINDINGS,
        "AMQP does not show them; the daemon binds each of RABBITMQ_ROUTING_KEYS when it starts",
        f"{_bindings_command(config)} shows them: there should be one from {config.exchange} to "
        f"{config.queue} for each of {' '.join(config.routing_keys)}",
    )


def _bindings_command(config: RabbitMQConfig) -> str:
    columns = ("source_name", "destination_name", "routing_key")
    return shlex.join(["rabbitmqctl", "list_bindings", "--vhost", config.virtual_host, *columns])


def _policy_command(config: RabbitMQConfig, definition: Mapping[str, Any]) -> str:
    return policy_command(config, "cki-notifier", f"^{re.escape(config.queue)}$", definition)
