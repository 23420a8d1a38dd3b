"""Publish to RabbitMQ as DataWarehouse does, and look into the daemon's queues."""

import contextlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import NackError

EXCHANGE = "cki.exchange.webhooks"

#: Time for a connection to one node of several.
_NODE_SECONDS = 5
#: How long a queue may be without a leader, and the pause between attempts, in seconds.
_ELECTION_SECONDS, _AGAIN_SECONDS = 20, 0.5


@dataclass(frozen=True, slots=True)
class Letter:
    """A message in a queue."""

    body: bytes
    headers: dict[str, Any]


class Bus:
    """Publishes notifications to the first node that answers.

    An address is `amqp://user:password@host:port/virtual-host`.
    """

    def __init__(self, *addresses: str) -> None:
        self._nodes = [pika.URLParameters(address) for address in addresses]
        for node in self._nodes if len(addresses) > 1 else ():
            # Give up a node that hangs.
            node.socket_timeout = node.stack_timeout = _NODE_SECONDS

    def publish(self, body: bytes) -> str:
        """Publish a notification as DataWarehouse does; return its routing key.

        Raises `pika.exceptions.AMQPError` unless RabbitMQ confirms that a queue has it. Retries
        while the queue has no leader.
        """
        key = routing_key(body)
        properties = pika.BasicProperties(content_type="application/json", delivery_mode=2)
        end = time.monotonic() + _ELECTION_SECONDS
        while True:
            try:
                with self._channel() as channel:
                    channel.confirm_delivery()
                    channel.basic_publish(EXCHANGE, key, body, properties, mandatory=True)
            except NackError:
                if time.monotonic() > end:
                    raise
                time.sleep(_AGAIN_SECONDS)
            else:
                return key

    def waiting(self, queue: str) -> int:
        """Return how many messages are in a queue, without those in flight."""
        with self._channel() as channel:
            return int(channel.queue_declare(queue, passive=True).method.message_count)

    def look(self, queue: str) -> list[Letter]:
        """Return the messages in a queue, and leave them there."""
        letters = []
        with self._channel() as channel:
            # Unacknowledged, they go back into the queue when the channel closes.
            while (got := channel.basic_get(queue))[2] is not None:
                _, properties, body = got
                letters.append(Letter(body, dict(properties.headers or {})))
        return letters

    @contextlib.contextmanager
    def _channel(self) -> Iterator[BlockingChannel]:
        connection = pika.BlockingConnection(self._nodes)
        try:
            yield connection.channel()
        finally:
            connection.close()


def routing_key(body: bytes) -> str:
    """Return `datawarehouse.<object_type>.<status>`, with `unreadable` for missing parts."""
    try:
        document = json.loads(body)
    except ValueError:
        document = None
    parts = document if isinstance(document, dict) else {}
    names = (str(parts.get(name, "unreadable")) for name in ("object_type", "status"))
    return ".".join(["datawarehouse", *names])
