"""The exchange and the queues, as far as AMQP shows them without a change."""

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
_MAIN_QUEUE_STAYS = (
    "the daemon uses the queue as it is. Don't delete it: notifications would be lost until the "
    "daemon has declared and bound it again"
)
_RECREATE = (
    "the daemon uses the queue as it is. To recreate it, stop the daemon, wait until the queue is "
    "empty, delete it with rabbitmqctl delete_queue and start the daemon"
)
_DROPS = "RabbitMQ 4 may drop dead letters that are read often: see docs/dead-letters.md"


def exchange(connection: BlockingConnection, name: str) -> Finding:
    """Check that the exchange is a durable topic exchange."""
    missing = refused(connection, lambda it: it.exchange_declare(name, passive=True))
    unlike = compare_exchange(connection, name, "topic")
    if missing is None:
        as_made = ok(_EXCHANGE, f"{name}: a durable topic exchange")
        return _as_it_is(name, unlike) if unlike else as_made
    if missing.code != NOT_FOUND:
        return failed(_EXCHANGE, missing.text, "check RabbitMQ's log")
    advice = f"{_CHECK_EXCHANGE} and RABBITMQ_VIRTUAL_HOST"
    if unlike is not None and unlike.code == ACCESS_REFUSED:
        text = f"{name} does not exist, and the user may not declare it"
        more = "or let the user declare it with rabbitmqctl set_permissions"
        return failed(_EXCHANGE, text, f"{advice}, {more}")
    text = f"{name} does not exist; the daemon declares it when it starts"
    return warning(_EXCHANGE, f"{text}, but DataWarehouse must publish to it, too", advice)


def _as_it_is(name: str, unlike: Refusal) -> Finding:
    """Return the finding about an exchange that differs from the daemon's."""
    if unlike.code == ACCESS_REFUSED:
        text = f"{name} exists; its type is unknown, because the user may not declare it"
        return skipped(_EXCHANGE, text)
    if "inequivalent arg 'type'" in unlike.text:
        text = "is not a topic exchange, so the routing keys select wrong notifications or none"
        return failed(_EXCHANGE, f"{name} {text}: {unlike.text}", _CHECK_EXCHANGE)
    text = f"{name} differs from the daemon's declaration: {unlike.text}"
    return warning(_EXCHANGE, text, "the daemon uses it as it is; ask its owner to correct it")


def findings(connection: BlockingConnection, config: RabbitMQConfig) -> Iterator[Finding]:
    """Yield the findings about the queues; raise pika's errors if the connection is lost."""
    arguments, dead = retry_arguments(config.queue), dead_letter_queue(config.queue)
    yield from _main(connection, config)
    yield from _dead_letters(connection, dead, arguments.pop(dead))
    yield _delays(connection, arguments)


def _main(connection: BlockingConnection, config: RabbitMQConfig) -> Iterator[Finding]:
    """Yield the findings about the main queue: its arguments, consumers and bindings."""
    counts = _counts(connection, _QUEUE, config.queue)
    if isinstance(counts, Finding):
        yield counts
        return
    messages, consumers = counts
    yield _kind(connection, config)
    waiting = f"{number(messages, 'notification')} waiting"
    if consumers:
        yield ok(_CONSUMERS, f"{number(consumers, 'consumer')}; {waiting}")
    else:
        advice = "start the daemon; if it runs, find the reason in its log"
        yield warning(_CONSUMERS, f"the queue has no consumer; {waiting}", advice)
    columns = ("source_name", "destination_name", "routing_key")
    command = ["rabbitmqctl", "list_bindings", "--vhost", config.virtual_host, *columns]
    yield skipped(
        _BINDINGS,
        "AMQP does not show bindings; the daemon adds one for each of RABBITMQ_ROUTING_KEYS",
        f"{shlex.join(command)} shows them: expect one from {config.exchange} to "
        f"{config.queue} for each of {' '.join(config.routing_keys)}",
    )


def _kind(connection: BlockingConnection, config: RabbitMQConfig) -> Finding:
    """Return the finding about the type and the arguments of the main queue."""
    name, arguments = config.queue, main_arguments(config.queue)
    unlike = compare_queue(connection, name, of_quorum(arguments))
    dead = dead_letter_queue(name)
    kept = f"with dead-lettering to {dead}"
    quorum = f"{name}: a quorum queue {kept}"
    if unlike is None:
        return ok(_QUEUE, quorum)
    unlimited = of_classic(arguments)
    classic = ok(_QUEUE, f"{name}: a classic queue {kept}; it is on one node only")
    kinds = [
        (of_quorum(unlimited), _without_limit(connection, config, quorum)),
        (unlimited, classic),
    ]
    lost = "RabbitMQ drops notifications at its limits, unless a policy keeps them"
    keeping = {"dead-letter-exchange": "", "dead-letter-routing-key": dead}
    for kind, bare in (("quorum", {"x-queue-type": "quorum"}), ("classic", {})):
        text = f"{name}: a {kind} queue without dead-lettering; {lost}"
        kinds.append((bare, warning(_QUEUE, text, _policy(config, keeping))))
    for asked, finding in kinds:
        if compare_queue(connection, name, asked) is None:
            return finding
    return _other(_QUEUE, name, unlike, _MAIN_QUEUE_STAYS)


def _without_limit(connection: BlockingConnection, config: RabbitMQConfig, text: str) -> Finding:
    """Return the finding about a queue without a delivery limit: RabbitMQ 3 has no default."""
    if release(connection).startswith("3."):
        return ok(_QUEUE, text)
    limit = "a notification becomes a dead letter after 20 crashes of the daemon"
    kept = {"delivery-limit": main_arguments("")[DELIVERY_LIMIT]}
    return warning(_QUEUE, f"{text}; {limit}, unless a policy allows more", _policy(config, kept))


def _policy(config: RabbitMQConfig, definition: Mapping[str, Any]) -> str:
    pattern = f"^{re.escape(config.queue)}$"
    command = policy_command(config, "cki-notifier", pattern, definition)
    return f"set a policy: {command}"


def _dead_letters(
    connection: BlockingConnection, name: str, arguments: Arguments
) -> Iterator[Finding]:
    fault, messages = _beside(connection, _DEAD, name, arguments, _DROPS)
    yield fault or ok(_DEAD, f"{name}: as the daemon declares it")
    if messages:
        text = f"{number(messages, 'dead letter')} in {name}"
        yield warning(_LETTERS, text, "list them with cki-notifier dead-letters list")
    elif messages is not None:
        yield ok(_LETTERS, f"no dead letters in {name}")


def _delays(connection: BlockingConnection, queues: Mapping[str, Arguments]) -> Finding:
    """Return the worst finding about the retry queues."""
    seen = [_beside(connection, _DELAYS, name, it, _RECREATE) for name, it in queues.items()]
    if faults := [fault for fault, _ in seen if fault]:
        return worst(faults)
    waiting = number(sum(messages or 0 for _, messages in seen), "notification")
    return ok(_DELAYS, f"{len(queues)} retry queues; {waiting} waiting")


def _beside(
    connection: BlockingConnection, row: str, name: str, arguments: Arguments, advice: str
) -> tuple[Finding | None, int | None]:
    """Check that a queue beside the main one is as the daemon declares it.

    That is a quorum queue, or a classic one if the broker has no quorum queues.

    Returns:
        The problem, None for none, and the number of messages, None if unknown.
    """
    counts = _counts(connection, row, name)
    if isinstance(counts, Finding):
        return counts, None
    unlike = compare_queue(connection, name, of_quorum(arguments))
    if unlike is None or compare_queue(connection, name, of_classic(arguments)) is None:
        return None, counts[0]
    return _other(row, name, unlike, advice), counts[0]


def _counts(connection: BlockingConnection, row: str, name: str) -> tuple[int, int] | Finding:
    """Count the waiting messages of a queue, and its consumers.

    Returns:
        Both numbers, or a finding if they are unknown, mostly because the queue does not exist.
    """
    seen: list[tuple[int, int]] = []

    def ask(channel: BlockingChannel) -> None:
        method = channel.queue_declare(name, passive=True).method
        seen.append((method.message_count or 0, method.consumer_count or 0))

    refusal = refused(connection, ask)
    if refusal is None:
        return seen[0]
    if refusal.code != NOT_FOUND or "no queue" not in refusal.text:
        return failed(row, refusal.text, "check RabbitMQ's log and rabbitmqctl list_queues")
    if may_declare_queue(connection, name):
        return warning(
            row,
            f"{name} does not exist; the daemon declares it when it starts",
            "start the daemon; if it ran before, check RABBITMQ_QUEUE and RABBITMQ_VIRTUAL_HOST",
        )
    return failed(
        row,
        f"{name} does not exist, and the user may not declare it",
        "let the user declare it with rabbitmqctl set_permissions, or check RABBITMQ_QUEUE",
    )


def _other(row: str, name: str, unlike: Refusal, advice: str) -> Finding:
    """Quote the broker on how a queue differs. A user who may not declare it gets no answer."""
    if unlike.code == ACCESS_REFUSED:
        text = f"{name} exists; its arguments are unknown, because the user may not declare it"
        return skipped(row, text)
    return warning(row, f"{name} differs from the daemon's declaration: {unlike.text}", advice)


def policy_command(
    config: RabbitMQConfig, name: str, pattern: str, definition: Mapping[str, Any], *more: str
) -> str:
    """Return the command that sets a policy for the queues with matching names."""
    options = ("--vhost", config.virtual_host, *more, "--apply-to", "queues")
    return shlex.join(
        ["rabbitmqctl", "set_policy", *options, name, pattern, json.dumps(definition)]
    )
