"""RabbitMQ from the warehouse's side, and a look into the daemon's queues."""

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

#: How long one node of several may take to let us in.
_NODE_SECONDS = 5
#: For so long a queue may have no leader, and so often it is asked for meanwhile, in seconds.
_ELECTION_SECONDS, _AGAIN_SECONDS = 20, 0.5


@dataclass(frozen=True, slots=True)
class Letter:
    """A message in a queue."""

    body: bytes
    headers: dict[str, Any]


class Bus:
    """Notifications go out here, at the first node that answers.

    An address is `amqp://user:password@host:port/virtual-host`.
    """

    def __init__(self, *addresses: str) -> None:
        self._nodes = [pika.URLParameters(address) for address in addresses]
        for node in self._nodes if len(addresses) > 1 else ():
            # A node that hangs is left soon.
            node.socket_timeout = node.stack_timeout = _NODE_SECONDS

    def publish(self, body: bytes) -> str:
        """Publish a notification as the warehouse does; return its routing key.

        It is confirmed, and in a queue: raises `pika.exceptions.AMQPError` otherwise. A queue that
        has just lost its leader takes nothing for a moment, so that is tried again.
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
        """Return how many messages are in a queue, without those that are being handled."""
        with self._channel() as channel:
            return int(channel.queue_declare(queue, passive=True).method.message_count)

    def look(self, queue: str) -> list[Letter]:
        """Return what is in a queue, and leave it there."""
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
    """Return `datawarehouse.<object_type>.<status>`, with `unreadable` for what can't be read."""
    try:
        document = json.loads(body)
    except ValueError:
        document = None
    parts = document if isinstance(document, dict) else {}
    names = (str(parts.get(name, "unreadable")) for name in ("object_type", "status"))
    return ".".join(["datawarehouse", *names])
