"""Words to the daemons: bodies in the main queue that no daemon takes for a notification."""

from collections.abc import Iterable

from cki_notifier.configuration.settings import RabbitMQConfig
from cki_notifier.rabbitmq.connection import (
    BasicProperties,
    connected,
    publish_to_queue,
    translated,
)

#: A broker that is short of memory or disk takes no word; so long we wait for it, in seconds.
_BLOCKED_SECONDS = 1.0


def tell_daemons(config: RabbitMQConfig, words: Iterable[bytes], purpose: str) -> None:
    """Put words into the main queue, by a connection of their own; whichever daemon gets it hears.

    Args:
        config: which queue, and where.
        words: the bodies; the next one is asked for when the one before is there.
        purpose: of the connection, as the broker shows it.

    Raises:
        Unavailable: the last one that was asked for may not be there.
    """
    with connected(config, purpose, blocked_seconds=_BLOCKED_SECONDS) as connection:
        with translated():
            channel = connection.channel()
            channel.confirm_delivery()
        for word in words:
            publish_to_queue(channel, config.queue, word, BasicProperties(delivery_mode=2))
