"""Command words for the daemons: bodies in the main queue that are no notifications."""

from collections.abc import Iterable

from cki_notifier.configuration.settings import RabbitMQConfig
from cki_notifier.rabbitmq.connection import (
    BasicProperties,
    connected,
    publish_to_queue,
    translated,
)

#: How long to wait while RabbitMQ accepts no messages, in seconds.
_BLOCKED_SECONDS = 1.0


def tell_daemons(config: RabbitMQConfig, words: Iterable[bytes], purpose: str) -> None:
    """Put words into the main queue on a connection of their own; any one daemon gets each.

    Args:
        config: the queue and its RabbitMQ.
        words: the bodies; each is requested after RabbitMQ confirmed the one before.
        purpose: of the connection, as RabbitMQ shows it.

    Raises:
        Unavailable: the last requested word may be missing.
    """
    with connected(config, purpose, blocked_seconds=_BLOCKED_SECONDS) as connection:
        with translated():
            channel = connection.channel()
            channel.confirm_delivery()
        for word in words:
            publish_to_queue(channel, config.queue, word, BasicProperties(delivery_mode=2))
