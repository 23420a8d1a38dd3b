"""Messages of a queue, taken to be read, and given back.

They stay unacknowledged, so RabbitMQ redelivers them after any failure. A taken message does not
expire. Given back after its expiration, it expires at once.
"""

import re
import time
from collections.abc import Iterator

from cki_notifier.rabbitmq.connection import (
    Arguments,
    BasicProperties,
    BlockingConnection,
    acknowledge,
    compare_queue,
    of_quorum,
    readable,
    ready_messages,
    translated,
)

#: Messages to give back at once. RabbitMQ 3.10 loses the order of a larger batch.
_BATCH = 32
#: The longest wait for a batch to be back in the queue, and the pause between checks, in seconds.
_BACK_SECONDS, _BACK_PAUSE_SECONDS = 1.0, 0.002

#: RabbitMQ's reply about an argument that differs from the requested one.
_DIFFERS = re.compile(r"inequivalent arg '([^']+)'(?:.* current is the value '(.*)' of type)?")
#: A quorum queue never differs in these, and has fewer than this many other arguments.
_TELLING = frozenset({"x-queue-type", "durable", "exclusive", "auto_delete"})
_MOST_ARGUMENTS = 20


class Hand:
    """The ready messages of a queue.

    Args:
        connection: for this object alone.
        queue: its name.
        arguments: with which the daemon declares such a queue.

    Attributes:
        queue: the same.
        count: how many messages were ready at the start.
        exists: whether there is such a queue.
    """

    def __init__(self, connection: BlockingConnection, queue: str, arguments: Arguments) -> None:
        self.queue = queue
        self._connection = connection
        self._arguments = arguments
        with translated():
            ready = ready_messages(connection, queue)
            self._channel = connection.channel()
        self.exists, self.count = ready is not None, ready or 0
        self._tags: dict[int, None] = {}

    def messages(self) -> Iterator[tuple[int, BasicProperties, bytes]]:
        """Take one after the other, without those that arrive later.

        Yields:
            The delivery tag, the properties and the body.

        Raises:
            Unavailable: RabbitMQ is away, refuses access to the queue, or sent a message that
                can't be decoded.
        """
        for _ in range(self.count):
            with translated(), readable(f"the next message of {self.queue}"):
                method, properties, body = self._channel.basic_get(self.queue)
            if method is None or properties is None or body is None:
                return
            tag = method.delivery_tag or 0
            self._tags[tag] = None
            yield tag, properties, body

    def settle(self, tag: int) -> None:
        """Acknowledge a message, which removes it from the queue."""
        with translated():
            acknowledge(self._channel, tag)
        del self._tags[tag]

    def give_back(self) -> None:
        """Give the taken messages back to their old places."""
        tags = list(self._tags)
        self._tags.clear()
        if not tags:
            return
        waits = True
        with translated():
            there = self._ready()
            for start in range(0, len(tags), _BATCH):
                batch = tags[start : start + _BATCH]
                self._channel.basic_nack(batch[-1], multiple=True, requeue=True)
                there += len(batch)
                waits = waits and self._is_back(there)
            self._channel.close()  # RabbitMQ answers after it has processed all of it

    def may_drop(self) -> bool:
        """Return whether the queue may drop messages after too many deliveries."""
        with translated():
            ours = of_quorum(self._arguments)
            return compare_queue(self._connection, self.queue, ours) is not None

    def wears_out(self) -> bool:
        """Return whether reading the queue may, in the end, make it drop messages."""
        return self.count > 0 and self.may_drop() and self._is_quorum()

    def _is_quorum(self) -> bool:
        """Return whether the queue is, or may be, a quorum queue.

        RabbitMQ names one differing argument at a time, so ask again with that one.
        """
        arguments: dict[str, str | int] = {"x-queue-type": "quorum"}
        with translated():
            for _ in range(_MOST_ARGUMENTS):
                refusal = compare_queue(self._connection, self.queue, arguments)
                found = refusal and _DIFFERS.search(refusal.text)
                if refusal is None or not found:
                    break
                name, text = found.groups()
                if name in _TELLING:
                    return False
                if text is None:
                    break
                arguments[name] = int(text) if text.isdecimal() else text
        return True

    def _is_back(self, count: int) -> bool:
        """Wait until this many messages are ready; not for long: others may expire or be taken."""
        deadline = time.monotonic() + _BACK_SECONDS
        while self._ready() < count:
            if time.monotonic() > deadline:
                return False
            time.sleep(_BACK_PAUSE_SECONDS)
        return True

    def _ready(self) -> int:
        return self._channel.queue_declare(self.queue, passive=True).method.message_count or 0
