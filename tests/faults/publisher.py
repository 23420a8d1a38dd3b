"""Publish notifications, each until the broker confirms it, and keep a list."""

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

#: Timeout for the broker, in seconds.
PATIENCE: Final = 60.0
#: Pause before another attempt, in seconds.
_PAUSE: Final = 0.1


class Expected(enum.Enum):
    """The expected outcome of a notification."""

    SENT = "sent"
    IGNORED = "ignored"
    #: Dead-lettered, with this as the reason.
    TOO_LARGE = "too-large"
    MALFORMED = "malformed"

    @property
    def is_dead(self) -> bool:
        """Whether a dead letter is expected."""
        return self in {Expected.TOO_LARGE, Expected.MALFORMED}


@dataclass(frozen=True, slots=True)
class Published:
    """A notification that the broker confirmed `at` a time. Its publication had `begun` before.

    Both are in seconds since 1970. `digest` is a checksum of the body. `stage` is the CloudEvents
    type of the message if the checkout has two stages, else empty.
    """

    checkout_id: str
    expected: Expected
    at: float
    begun: float
    digest: int
    stage: str = ""

    @property
    def event(self) -> tuple[str, str]:
        """The key of its message."""
        return self.checkout_id, self.stage


class Publisher:
    """Publishes to an exchange on its own connection; for one thread at a time."""

    def __init__(self, rabbitmq: RabbitMQ, exchange: str) -> None:
        self._parameters = rabbitmq.parameters()
        self._exchange = exchange
        self._connection: pika.BlockingConnection | None = None
        self._channel: BlockingChannel | None = None
        #: In the order of confirmation.
        self.published: list[Published] = []
        #: Checkouts whose notification may be in the queue twice, after a lost confirmation.
        self.repeated: set[str] = set()
        #: Checkouts with two stages.
        self.staged: set[str] = set()
        #: How long it repeats the publication of one, in seconds.
        self.patience = PATIENCE
        #: How often no queue got a notification.
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
