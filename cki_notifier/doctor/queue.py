"""What can be seen of a queue over AMQP without touching it."""

import json
import shlex
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from cki_notifier.configuration.settings import RabbitMQConfig
from cki_notifier.doctor.finding import Finding, failed, skipped, warning
from cki_notifier.rabbitmq.connection import (
    NOT_FOUND,
    Arguments,
    BlockingChannel,
    BlockingConnection,
    Refusal,
    compare_queue,
    may_declare_queue,
    of_classic,
    of_quorum,
    refused,
)

_ANEW = (
    "it is used as it is; to have it made anew, stop the daemon, let the queue run empty, delete "
    "it and start the daemon"
)


class Counts(Struct, frozen=True):
    """How many messages nobody holds yet, and how many consumers there are."""

    messages: int
    consumers: int


def count(connection: BlockingConnection, name: str) -> Counts | Refusal:
    """Count what is in a queue; return why not when it can't be asked."""
    seen: list[Counts] = []

    def ask(channel: BlockingChannel) -> None:
        method = channel.queue_declare(name, passive=True).method
        seen.append(Counts(method.message_count or 0, method.consumer_count or 0))

    return refused(connection, ask) or seen[0]


def unlike_ours(connection: BlockingConnection, name: str, arguments: Arguments) -> Refusal | None:
    """Return how a queue differs from the one the daemon would make; None when it does not.

    That is a quorum queue, or, where the broker has none, a classic one.
    """
    unlike = compare_queue(connection, name, of_quorum(arguments))
    if unlike is None or compare_queue(connection, name, of_classic(arguments)) is None:
        return None
    return unlike


def absent(connection: BlockingConnection, row: str, name: str, refusal: Refusal) -> Finding:
    """Say why a queue could not be asked: mostly because it is not there."""
    if refusal.code != NOT_FOUND or "no queue" not in refusal.text:
        return failed(row, refusal.text, "see RabbitMQ's log, and rabbitmqctl list_queues")
    if may_declare_queue(connection, name):
        return warning(
            row,
            f"there is no {name} yet; the daemon makes it when it starts",
            "start the daemon; if it ran before, check RABBITMQ_QUEUE and RABBITMQ_VIRTUAL_HOST",
        )
    return failed(
        row,
        f"there is no {name}, and the user may not make it",
        "let the user declare it, with rabbitmqctl set_permissions, or check RABBITMQ_QUEUE",
    )


def unseen(row: str, name: str) -> Finding:
    """Say that a queue is there and the broker compares it with nothing for us."""
    text = f"{name} is there; its arguments can't be seen, as the user may not declare it"
    return skipped(row, text)


def other(row: str, name: str, unlike: Refusal) -> Finding:
    """Say that a queue is not what the daemon would make, in the broker's words."""
    return warning(row, f"{name} is not what the daemon would make: {unlike.text}", _ANEW)


def number(count: int, what: str) -> str:
    """Return a number of things in words."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def policy_command(
    config: RabbitMQConfig, name: str, pattern: str, definition: Mapping[str, Any], *more: str
) -> str:
    """Return the command that sets a policy for queues.

    Args:
        config: where.
        name: the policy's.
        pattern: of the queues' names.
        definition: what it says.
        more: further options.
    """
    options = ("--vhost", config.virtual_host, *more, "--apply-to", "queues")
    return shlex.join(
        ["rabbitmqctl", "set_policy", *options, name, pattern, json.dumps(definition)]
    )
