"""Messages of a queue, taken into the hand to be looked at, and given back.

What is in the hand is unacknowledged: whatever ends it, the broker has it still, and hands it out
again. In a queue where messages expire, one that is in the hand does not; given back after its time
it expires at once.
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

#: So many messages are given back at once: what is more comes back in any order (RabbitMQ 3.10).
_BATCH = 32
#: For a batch to be back in the queue, and the pause between two looks, in seconds.
_BACK_SECONDS, _BACK_PAUSE_SECONDS = 1.0, 0.002

#: What the broker says of an argument that it has and we did not ask for, or asked for otherwise.
_DIFFERS = re.compile(r"inequivalent arg '([^']+)'(?:.* current is the value '(.*)' of type)?")
#: In these a quorum queue never differs; and the number of the others is certainly below.
_TELLING = frozenset({"x-queue-type", "durable", "exclusive", "auto_delete"})
_MOST_ARGUMENTS = 20


class Hand:
    """The messages that are in a queue when it is looked at.

    Args:
        connection: nobody else uses it meanwhile.
        queue: its name.
        arguments: what we make such a queue with.

    Attributes:
        queue: the same.
        count: how many messages are in it that nobody else holds.
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
        """Take one after the other; those that arrive meanwhile are left for next time.

        Yields:
            The number that it is settled by, its properties, and its body.

        Raises:
            Unavailable: the broker can't be had (any more), or does not let us read the queue, or
                the message can't be decoded.
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
        """Take a message out of the queue for good."""
        with translated():
            acknowledge(self._channel, tag)
        del self._tags[tag]

    def give_back(self) -> None:
        """Give back what is in the hand, to its old place."""
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
            self._channel.close()  # the broker answers when it has seen all of it

    def may_drop(self) -> bool:
        """Tell whether the queue may be one that drops what was handed out too often."""
        with translated():
            ours = of_quorum(self._arguments)
            return compare_queue(self._connection, self.queue, ours) is not None

    def wears_out(self) -> bool:
        """Tell whether messages may be dropped, at last, because they are looked at."""
        return self.count > 0 and self.may_drop() and self._is_quorum()

    def _is_quorum(self) -> bool:
        """Tell whether the queue is a quorum queue, or may be one as far as that can be told.

        The broker names one argument that differs, so one after the other is asked for.
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
        """Wait until so many messages are there; not for long: some may be taken, or expire."""
        deadline = time.monotonic() + _BACK_SECONDS
        while self._ready() < count:
            if time.monotonic() > deadline:
                return False
            time.sleep(_BACK_PAUSE_SECONDS)
        return True

    def _ready(self) -> int:
        return self._channel.queue_declare(self.queue, passive=True).method.message_count or 0
