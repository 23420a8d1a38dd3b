"""The names and arguments of our queues: the main one, one for each delay, the dead letters."""

from typing import Any

from cki_notifier.configuration.settings import RabbitMQConfig
from cki_notifier.rabbitmq.connection import (
    DELIVERY_LIMIT,
    BlockingConnection,
    ensure_exchange,
    ensure_queue,
)

#: The pauses before a notification is tried again, in seconds; the last one is repeated.
DELAYS = (5, 30, 120, 600, 3600)
#: All that a process holds comes back when it dies, whatever it died of. RabbitMQ 4 gives that up
#: after 20 deaths; restarted every five minutes, a process dies so often in three days and a half.
_MOST_DELIVERIES = 1000
_LABELS = {5: "5s", 30: "30s", 120: "2m", 600: "10m", 3600: "1h"}


def delay_queue(queue: str, seconds: int) -> str:
    """Return the name of the queue a notification waits in for so many of :data:`DELAYS`."""
    return f"{queue}.retry.{_LABELS[seconds]}"


def dead_letter_queue(queue: str) -> str:
    """Return the name of the queue that keeps what can't be sent."""
    return f"{queue}.dead-letter"


def main_arguments(queue: str) -> dict[str, Any]:
    """Return the arguments of the main queue.

    A quorum queue gives a message up after too many deliveries in vain: then it goes to the
    dead-letter queue instead of nowhere.
    """
    limit = {DELIVERY_LIMIT: _MOST_DELIVERIES}
    return _dead_lettered_to(dead_letter_queue(queue)) | limit


def retry_arguments(queue: str) -> dict[str, dict[str, Any]]:
    """Return the arguments of the dead-letter queue and of the delay queues, by their names."""
    arguments: dict[str, dict[str, Any]] = {dead_letter_queue(queue): {}}
    for seconds in DELAYS:
        expires = {"x-message-ttl": seconds * 1000}
        arguments[delay_queue(queue, seconds)] = expires | _dead_lettered_to(queue)
    return arguments


class MainQueue:
    """The queue that is consumed.

    Args:
        config: its name, and what it is bound to.
        is_temporary: whether only the connection that declares it sees it; it ends with that.
    """

    def __init__(self, config: RabbitMQConfig, *, is_temporary: bool) -> None:
        self._config = config
        self._is_temporary = is_temporary

    def declare(self, connection: BlockingConnection) -> str:
        """Make sure that it is there and bound; return its name.

        The queues that catch what fails come first, so that nothing falls beside them.
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
        """Make sure that the exchange is there and the queue bound to it; nothing is done twice."""
        ensure_exchange(connection, self._config.exchange)
        with connection.channel() as channel:
            for key in self._config.routing_keys:
                channel.queue_bind(name, self._config.exchange, key)


def _dead_lettered_to(queue: str) -> dict[str, Any]:
    """Send what expires by the queue's name through the default exchange."""
    return {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": queue}
