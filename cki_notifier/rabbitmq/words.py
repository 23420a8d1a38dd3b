"""Words to the daemons: bodies in the main queue that no daemon takes for a notification."""

from cki_notifier.configuration.settings import RabbitMQConfig
from cki_notifier.rabbitmq.connection import (
    BasicProperties,
    close,
    connect,
    publish_to_queue,
    translated,
)

#: A broker that is short of memory or disk takes no word; so long we wait for it, in seconds.
_BLOCKED_SECONDS = 1.0


def tell_daemons(config: RabbitMQConfig, word: bytes, purpose: str) -> None:
    """Put a word into the main queue, by a connection of its own; whichever daemon gets it hears.

    Args:
        config: which queue, and where.
        word: the body.
        purpose: of the connection, as the broker shows it.

    Raises:
        Unavailable: it may not be there.
    """
    connection = connect(config, purpose, blocked_seconds=_BLOCKED_SECONDS)
    try:
        with translated():
            channel = connection.channel()
            channel.confirm_delivery()
        publish_to_queue(channel, config.queue, word, BasicProperties(delivery_mode=2))
    finally:
        close(connection)
