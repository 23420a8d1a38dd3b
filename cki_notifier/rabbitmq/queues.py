"""The names and arguments of our queues: the main one, one for each delay, the dead letters."""

from typing import Any

from cki_notifier.configuration.settings import RabbitMQConfig
from cki_notifier.rabbitmq.connection import BlockingConnection, ensure_exchange, ensure_queue

#: The pauses before a notification is tried again, in seconds; the last one is repeated.
DELAYS = (5, 30, 120, 600, 3600)
_LABELS = {5: "5s", 30: "30s", 120: "2m", 600: "10m", 3600: "1h"}


def delay_queue(queue: str, seconds: int) -> str:
    """Return the name of the queue a notification waits in for so many of :data:`DELAYS`."""
    return f"{queue}.retry.{_LABELS[seconds]}"


def dead_letter_queue(queue: str) -> str:
    """Return the name of the queue that keeps what can't be sent."""
    return f"{queue}.dead-letter"


def main_arguments(queue: str) -> dict[str, Any]:
    """Return the arguments of the main queue.

    A quorum queue gives a message up after too many deliveries (20 by default from RabbitMQ 4.0):
    then it goes to the dead-letter queue instead of nowhere.
    """
    return _dead_lettered_to(dead_letter_queue(queue))


def retry_arguments(queue: str) -> dict[str, dict[str, Any]]:
    """Return the arguments of the dead-letter queue and of the delay queues, by their names."""
    arguments: dict[str, dict[str, Any]] = {dead_letter_queue(queue): {}}
    for seconds in DELAYS:
        expires = {"x-message-ttl": seconds * 1000}
        arguments[delay_queue(queue, seconds)] = expires | _dead_lettered_to(queue)
    return arguments


def declare_retry_queues(connection: BlockingConnection, queue: str) -> None:
    """Make sure that the dead-letter queue and the delay queues are there."""
    for name, arguments in retry_arguments(queue).items():
        ensure_queue(connection, name, arguments)


def declare_main(connection: BlockingConnection, config: RabbitMQConfig) -> str:
    """Make sure that exchange and queues are there, the main one bound; return its name.

    The queues that catch what fails come first, so that nothing falls beside them.
    """
    declare_retry_queues(connection, config.queue)
    ensure_exchange(connection, config.exchange)
    ensure_queue(connection, config.queue, main_arguments(config.queue))
    _bind(connection, config.queue, config)
    return config.queue


def declare_temporary(connection: BlockingConnection, config: RabbitMQConfig) -> str:
    """Make a queue that only this connection sees and that ends with it; return its name."""
    ensure_exchange(connection, config.exchange)
    channel = connection.channel()
    declared = channel.queue_declare("", exclusive=True, auto_delete=True)
    channel.close()
    name = str(declared.method.queue)
    _bind(connection, name, config)
    return name


def _bind(connection: BlockingConnection, queue: str, config: RabbitMQConfig) -> None:
    channel = connection.channel()
    for key in config.routing_keys:
        channel.queue_bind(queue, config.exchange, key)
    channel.close()


def _dead_lettered_to(queue: str) -> dict[str, Any]:
    """Send what expires by the queue's name through the default exchange."""
    return {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": queue}
