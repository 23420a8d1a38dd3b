"""What can be seen over AMQP of the exchange and the queues without touching them."""

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from cki_notifier.configuration.settings import RabbitMQConfig
from cki_notifier.doctor.check import Finding, failed, number, ok, skipped, warning, worst
from cki_notifier.rabbitmq.connection import (
    ACCESS_REFUSED,
    DELIVERY_LIMIT,
    NOT_FOUND,
    Arguments,
    BlockingChannel,
    BlockingConnection,
    Refusal,
    compare_exchange,
    compare_queue,
    may_declare_queue,
    of_classic,
    of_quorum,
    refused,
    release,
)
from cki_notifier.rabbitmq.queues import dead_letter_queue, main_arguments, retry_arguments

_EXCHANGE = "rabbitmq exchange"
_QUEUE, _CONSUMERS, _BINDINGS = "rabbitmq queue", "rabbitmq consumers", "rabbitmq bindings"
_DEAD, _LETTERS = "rabbitmq dead-letter queue", "rabbitmq dead letters"
_DELAYS = "rabbitmq delay queues"
_CHECK_EXCHANGE = "check WEBHOOK_RECEIVER_EXCHANGE"
_ANEW = (
    "it is used as it is; to have it made anew, stop the daemon, let the queue run empty, delete "
    "it and start the daemon"
)
_DROPS = "RabbitMQ 4 may drop what is looked at often: see docs/dead-letters.md"


def exchange(connection: BlockingConnection, name: str) -> Finding:
    """Tell whether the exchange is there, and is a durable topic exchange."""
    missing = refused(connection, lambda it: it.exchange_declare(name, passive=True))
    unlike = compare_exchange(connection, name, "topic")
    if missing is None:
        as_made = ok(_EXCHANGE, f"{name}: a durable topic exchange")
        return _as_it_is(name, unlike) if unlike else as_made
    if missing.code != NOT_FOUND:
        return failed(_EXCHANGE, missing.text, "see RabbitMQ's log")
    advice = f"{_CHECK_EXCHANGE} and RABBITMQ_VIRTUAL_HOST"
    if unlike is not None and unlike.code == ACCESS_REFUSED:
        text = f"there is no {name}, and the user may not make it"
        return failed(_EXCHANGE, text, f"{advice}, or let the user declare it")
    text = f"there is no {name} yet; the daemon makes it when it starts, but who publishes "
    return warning(_EXCHANGE, f"{text}notifications has to know it, too", advice)


def _as_it_is(name: str, unlike: Refusal) -> Finding:
    """Tell of an exchange that somebody else declared."""
    if unlike.code == ACCESS_REFUSED:
        text = f"{name} is there; its type can't be seen, as the user may not declare it"
        return skipped(_EXCHANGE, text)
    if "inequivalent arg 'type'" in unlike.text:
        text = "is no topic exchange, so the routing keys select the wrong notifications or none"
        return failed(_EXCHANGE, f"{name} {text}: {unlike.text}", _CHECK_EXCHANGE)
    text = f"{name} is used as it is, but is not what the daemon would make: {unlike.text}"
    return warning(_EXCHANGE, text, "have whoever made it look")


def findings(connection: BlockingConnection, config: RabbitMQConfig) -> Iterator[Finding]:
    """Look at the queues; raises what pika does when the connection is lost."""
    arguments, dead = retry_arguments(config.queue), dead_letter_queue(config.queue)
    yield from _main(connection, config)
    yield from _dead_letters(connection, dead, arguments.pop(dead))
    yield _delays(connection, arguments)


def _main(connection: BlockingConnection, config: RabbitMQConfig) -> Iterator[Finding]:
    """Tell of the main queue: is nothing lost there, who consumes it, what is bound to it?"""
    counts = _counts(connection, _QUEUE, config.queue)
    if isinstance(counts, Finding):
        yield counts
        return
    messages, consumers = counts
    yield _kind(connection, config)
    waiting = f"{number(messages, 'message')} waiting"
    if consumers:
        yield ok(_CONSUMERS, f"{number(consumers, 'consumer')}; {waiting}")
    else:
        advice = "start the daemon; if it runs, its log says why it does not consume"
        yield warning(_CONSUMERS, f"nobody consumes the queue; {waiting}", advice)
    columns = ("source_name", "destination_name", "routing_key")
    command = ["rabbitmqctl", "list_bindings", "--vhost", config.virtual_host, *columns]
    yield skipped(
        _BINDINGS,
        "AMQP does not show them; the daemon binds each of RABBITMQ_ROUTING_KEYS when it starts",
        f"{shlex.join(command)} shows them: there should be one from {config.exchange} to "
        f"{config.queue} for each of {' '.join(config.routing_keys)}",
    )


def _kind(connection: BlockingConnection, config: RabbitMQConfig) -> Finding:
    """Tell what the main queue is: as the daemon makes it, or as others did, or something else."""
    name, arguments = config.queue, main_arguments(config.queue)
    unlike = compare_queue(connection, name, of_quorum(arguments))
    dead = dead_letter_queue(name)
    given_up = f"what RabbitMQ gives up goes to {dead}"
    quorum = f"{name}: a quorum queue; {given_up}"
    if unlike is None:
        return ok(_QUEUE, quorum)
    unlimited = of_classic(arguments)
    classic = ok(_QUEUE, f"{name}: a classic queue, which lives on one node; {given_up}")
    kinds = [
        (of_quorum(unlimited), _without_limit(connection, config, quorum)),
        (unlimited, classic),
    ]
    lost = "what RabbitMQ gives up is lost, unless a policy says otherwise"
    kept = {"dead-letter-exchange": "", "dead-letter-routing-key": dead}
    for kind, bare in (("quorum", {"x-queue-type": "quorum"}), ("classic", {})):
        text = f"{name}: a {kind} queue without dead-lettering; {lost}"
        kinds.append((bare, warning(_QUEUE, text, _policy(config, kept))))
    for asked, finding in kinds:
        if compare_queue(connection, name, asked) is None:
            return finding
    return _other(_QUEUE, name, unlike, _ANEW)


def _without_limit(connection: BlockingConnection, config: RabbitMQConfig, text: str) -> Finding:
    """Judge a queue that was declared without a delivery limit: RabbitMQ 3 has none of its own."""
    if release(connection).startswith("3."):
        return ok(_QUEUE, text)
    limit = "that is after 20 crashes of the daemon, unless a policy says otherwise"
    kept = {"delivery-limit": main_arguments("")[DELIVERY_LIMIT]}
    return warning(_QUEUE, f"{text}, and {limit}", _policy(config, kept))


def _policy(config: RabbitMQConfig, definition: Mapping[str, Any]) -> str:
    pattern = f"^{re.escape(config.queue)}$"
    command = policy_command(config, "cki-notifier", pattern, definition)
    return f"have a policy say it: {command}"


def _dead_letters(
    connection: BlockingConnection, name: str, arguments: Arguments
) -> Iterator[Finding]:
    fault, messages = _beside(connection, _DEAD, name, arguments, _DROPS)
    yield fault or ok(_DEAD, f"{name}: as the daemon makes it")
    if messages:
        text = f"{number(messages, 'dead letter')} in {name}"
        yield warning(_LETTERS, text, "see what they are: cki-notifier dead-letters list")
    elif messages is not None:
        yield ok(_LETTERS, f"none in {name}")


def _delays(connection: BlockingConnection, queues: Mapping[str, Arguments]) -> Finding:
    """Return the worst there is to say of the delay queues."""
    seen = [_beside(connection, _DELAYS, name, it, _ANEW) for name, it in queues.items()]
    if faults := [fault for fault, _ in seen if fault]:
        return worst(faults)
    waiting = number(sum(messages or 0 for _, messages in seen), "message")
    return ok(_DELAYS, f"{len(queues)} of them; {waiting} waiting")


def _beside(
    connection: BlockingConnection, row: str, name: str, arguments: Arguments, advice: str
) -> tuple[Finding | None, int | None]:
    """Look at a queue beside the main one, which should be as the daemon would make it.

    That is a quorum queue, or, where the broker has none, a classic one.

    Returns:
        What is wrong with it, None for nothing; and its messages, None where it can't be asked.
    """
    counts = _counts(connection, row, name)
    if isinstance(counts, Finding):
        return counts, None
    unlike = compare_queue(connection, name, of_quorum(arguments))
    if unlike is None or compare_queue(connection, name, of_classic(arguments)) is None:
        return None, counts[0]
    return _other(row, name, unlike, advice), counts[0]


def _counts(connection: BlockingConnection, row: str, name: str) -> tuple[int, int] | Finding:
    """Count the messages of a queue that nobody holds yet, and its consumers.

    Returns:
        Why that can't be asked, mostly because the queue is not there.
    """
    seen: list[tuple[int, int]] = []

    def ask(channel: BlockingChannel) -> None:
        method = channel.queue_declare(name, passive=True).method
        seen.append((method.message_count or 0, method.consumer_count or 0))

    refusal = refused(connection, ask)
    if refusal is None:
        return seen[0]
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


def _other(row: str, name: str, unlike: Refusal, advice: str) -> Finding:
    """Say in the broker's words how a queue differs; who may not declare it hears of nothing."""
    if unlike.code == ACCESS_REFUSED:
        text = f"{name} is there; its arguments can't be seen, as the user may not declare it"
        return skipped(row, text)
    return warning(row, f"{name} is not what the daemon would make: {unlike.text}", advice)


def policy_command(
    config: RabbitMQConfig, name: str, pattern: str, definition: Mapping[str, Any], *more: str
) -> str:
    """Return the command that sets a policy for the queues whose names match a pattern."""
    options = ("--vhost", config.virtual_host, *more, "--apply-to", "queues")
    return shlex.join(
        ["rabbitmqctl", "set_policy", *options, name, pattern, json.dumps(definition)]
    )
