"""Publishes notifications, each until the broker has it, and keeps a list of them."""

import contextlib
import enum
import time
import zlib
from dataclasses import dataclass
from typing import Final

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPError, UnroutableError

from tools.brokers.rabbitmq import RabbitMQ

#: However long the broker is away, then it does not come back any more, in seconds.
PATIENCE: Final = 60.0
#: Pause before a notification is published again that could not be, in seconds.
_PAUSE: Final = 0.1


class Expected(enum.Enum):
    """What has to become of a notification."""

    SENT = "sent"
    IGNORED = "ignored"
    #: Dead-lettered, with this as the reason.
    TOO_LARGE = "too-large"
    MALFORMED = "malformed"

    @property
    def is_dead(self) -> bool:
        """Whether it has to be dead-lettered."""
        return self in {Expected.TOO_LARGE, Expected.MALFORMED}


@dataclass(frozen=True, slots=True)
class Published:
    """A notification that the broker confirmed `at` a time; to publish it was `begun` before.

    Both are in seconds since 1970. `digest` tells its body from others. Where a checkout has two
    stages, `stage` is the CloudEvents type of the message, and empty elsewhere.
    """

    checkout_id: str
    expected: Expected
    at: float
    begun: float
    digest: int
    stage: str = ""

    @property
    def event(self) -> tuple[str, str]:
        """What its message is told by."""
        return self.checkout_id, self.stage


class Publisher:
    """Publishes to an exchange, on a connection of its own; for one thread at a time."""

    def __init__(self, rabbitmq: RabbitMQ, exchange: str) -> None:
        self._parameters = rabbitmq.parameters()
        self._exchange = exchange
        self._connection: pika.BlockingConnection | None = None
        self._channel: BlockingChannel | None = None
        #: In the order in which they were confirmed.
        self.published: list[Published] = []
        #: Checkouts whose notification may be in the queue twice, because a confirmation got lost.
        self.repeated: set[str] = set()
        #: Checkouts with two stages.
        self.staged: set[str] = set()
        #: For so long one is published again and again, in seconds.
        self.patience = PATIENCE
        #: How often there was no queue to take a notification.
        self.unroutable = 0

    def publish(self, checkout_id: str, expected: Expected, body: bytes, stage: str = "") -> None:
        """Publish until the broker confirms that a queue has it; see :class:`Published`."""
        deadline = time.monotonic() + self.patience
        while True:
            begun = time.time()
            try:
                self._confirmed_channel().basic_publish(
                    self._exchange,
                    "datawarehouse.checkout.any",
                    body,
                    pika.BasicProperties(delivery_mode=2),
                    mandatory=True,
                )
            except UnroutableError:
                self.unroutable += 1  # there is no queue now, so it is nowhere
            except (AMQPError, OSError):
                if self._channel is not None:
                    self.repeated.add(checkout_id)
                self.disconnect()
            else:
                self.published.append(
                    Published(checkout_id, expected, time.time(), begun, zlib.crc32(body), stage)
                )
                return
            assert time.monotonic() < deadline, "RabbitMQ does not take notifications any more"
            time.sleep(_PAUSE)

    def _confirmed_channel(self) -> BlockingChannel:
        if self._channel is None:
            self._connection = pika.BlockingConnection(self._parameters)
            channel = self._connection.channel()
            channel.confirm_delivery()
            self._channel = channel
        return self._channel

    def disconnect(self) -> None:
        """Close the connection; the next notification opens another one."""
        connection, self._connection, self._channel = self._connection, None, None
        with contextlib.suppress(AMQPError):
            if connection is not None:
                connection.close()
