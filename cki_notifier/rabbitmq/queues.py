"""The names and arguments of our queues: main queue, retry queues, dead-letter queue."""

from typing import Any

from cki_notifier.configuration.settings import RabbitMQConfig
from cki_notifier.rabbitmq.connection import (
    DELIVERY_LIMIT,
    BlockingConnection,
    ensure_exchange,
    ensure_queue,
)

#: The delays before each retry, in seconds; the last one repeats.
DELAYS = (5, 30, 120, 600, 3600)
#: RabbitMQ redelivers all notifications in flight when a process dies. RabbitMQ 4 gives up after 20
#: deaths; with this limit, a process that dies every five minutes has three and a half days.
_MOST_DELIVERIES = 1000
_LABELS = {5: "5s", 30: "30s", 120: "2m", 600: "10m", 3600: "1h"}


def delay_queue(queue: str, seconds: int) -> str:
    """Return the name of the retry queue with this delay, one of :data:`DELAYS`."""
    return f"{queue}.retry.{_LABELS[seconds]}"


def dead_letter_queue(queue: str) -> str:
    """Return the name of the dead-letter queue."""
    return f"{queue}.dead-letter"


def main_arguments(queue: str) -> dict[str, Any]:
    """Return the arguments of the main queue.

    A quorum queue drops a message after too many deliveries. The arguments send it to the
    dead-letter queue instead.
    """
    limit = {DELIVERY_LIMIT: _MOST_DELIVERIES}
    return _dead_lettered_to(dead_letter_queue(queue)) | limit


def retry_arguments(queue: str) -> dict[str, dict[str, Any]]:
    """Return the arguments of the dead-letter queue and of the retry queues, by name."""
    arguments: dict[str, dict[str, Any]] = {dead_letter_queue(queue): {}}
    for seconds in DELAYS:
        expires = {"x-message-ttl": seconds * 1000}
        arguments[delay_queue(queue, seconds)] = expires | _dead_lettered_to(queue)
    return arguments


class MainQueue:
    """The queue to consume.

    Args:
        config: its name and its bindings.
        is_temporary: whether it is exclusive to the connection that declares it, and ends with it.
    """

    def __init__(self, config: RabbitMQConfig, *, is_temporary: bool) -> None:
        self._config = config
        self._is_temporary = is_temporary

    def declare(self, connection: BlockingConnection) -> str:
        """Declare and bind the queue where it is missing; return its name.

        The retry and dead-letter queues come first, because a failure needs them.
        """
        if self._is_temporary:
            with connection.channel() as channel:
                name = str(channel.queue_declare("", exclusive=True, auto_delete=True).method.queue)
        else:
            name = self._config.queue
            for retries, arguments in retry_arguments(name).items():
                ensure_queue(connection, retries, arguments)
            ensure_queue(connection, name, main_arguments(name))
        self.bind(connection, name)
        return name

    def bind(self, connection: BlockingConnection, name: str) -> None:
        """Declare the exchange if it is missing, and bind the queue; may be repeated."""
        ensure_exchange(connection, self._config.exchange)
        with connection.channel() as channel:
            for key in self._config.routing_keys:
                channel.queue_bind(name, self._config.exchange, key)


def _dead_lettered_to(queue: str) -> dict[str, Any]:
    """Return the arguments that dead-letter messages into a queue through the default exchange."""
    return {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": queue}
