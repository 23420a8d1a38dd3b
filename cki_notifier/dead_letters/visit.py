"""One visit to the dead-letter queue: takes letters into the hand, and gives back what is left.

A letter in the hand is unacknowledged: whatever ends the visit, the broker has it still, and hands
it out again. It leaves the queue only by an acknowledgement, after the broker confirmed its copy in
the main queue, or when it is discarded. How many did is told to the daemons, who count it.
"""

import logging
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from cki_notifier.configuration.settings import RabbitMQConfig
from cki_notifier.dead_letters.letter import Letter, fresh_properties, read_letter
from cki_notifier.notification.errors import Unavailable
from cki_notifier.notification.taken import word_of
from cki_notifier.rabbitmq.acceptance import acceptance
from cki_notifier.rabbitmq.connection import (
    Blocked,
    BlockingChannel,
    BlockingConnection,
    acknowledge,
    close,
    compare_queue,
    connect,
    ensure_accepting,
    get,
    is_quorum_queue_like,
    publish_to_queue,
    ready_messages,
    translated,
)
from cki_notifier.rabbitmq.queues import dead_letter_queue
from cki_notifier.rabbitmq.words import tell_daemons

logger = logging.getLogger(__name__)

_PURPOSE = "dead-letters"
#: For so long nothing is published while RabbitMQ accepts no messages, in seconds.
_BLOCKED_SECONDS = 1.0
#: So many letters are given back at once: what is more comes back in any order (RabbitMQ 3.10).
_BATCH = 32
#: For a batch to be back in the queue, and the pause between two looks, in seconds.
_BACK_SECONDS, _BACK_PAUSE_SECONDS = 1.0, 0.002

#: What the broker says of an argument that it has and we did not ask for, or asked for otherwise.
_DIFFERS = re.compile(r"inequivalent arg '([^']+)'(?:.* current is the value '(.*)' of type)?")
#: In these a quorum queue never differs; and the number of the others is certainly below.
_TELLING = frozenset({"x-queue-type", "durable", "exclusive", "auto_delete"})
_MOST_ARGUMENTS = 20


@contextmanager
def visit(config: RabbitMQConfig) -> Iterator["Visit"]:
    """Visit the dead-letter queue; what is still in the hand at the end is given back.

    Raises:
        Unavailable: RabbitMQ can't be had, or has neither the main nor the dead-letter queue.
    """
    connection = connect(config, _PURPOSE)
    try:
        with translated():
            visiting = Visit(connection, config)
        try:
            yield visiting
        except Unavailable:
            with suppress(Unavailable):  # if it can't, the broker does when the connection ends
                visiting.give_back()
            raise
        else:
            visiting.give_back()
        finally:
            visiting.close()
            _tell_daemons(config, visiting.taken)
    finally:
        close(connection)


def _tell_daemons(config: RabbitMQConfig, taken: int) -> None:
    """Tell how many letters were taken out, by a new connection: the other may be gone."""
    if not taken:
        return
    try:
        tell_daemons(config, word_of(taken), _PURPOSE)
    except Unavailable as error:
        text = "the daemons don't know that %d were taken out, and an alert may miss them: %s"
        logger.warning(text, taken, error)


class Visit:
    """The letters that are there when the visit begins.

    Attributes:
        queue: the dead-letter queue's name.
        count: how many letters are in it that nobody else holds.
        exists: whether there is such a queue; it is made when it is first needed.
        taken: how many letters were taken out.
    """

    def __init__(self, connection: BlockingConnection, config: RabbitMQConfig) -> None:
        self._connection = connection
        self._config = config
        self._main = main = config.queue
        self.queue = dead_letter_queue(main)
        ready = ready_messages(connection, self.queue)
        if ready is None and ready_messages(connection, main) is None:
            text = f"there is neither a queue {main} nor {self.queue}; is that the right name?"
            raise Unavailable("rabbitmq", text)
        self.exists, self.count = ready is not None, ready or 0
        self.taken = 0
        self._hand: dict[int, None] = {}
        self._reader = connection.channel()
        self._publisher: BlockingChannel | None = None
        self._publishing: BlockingConnection | None = None

    def letters(self) -> Iterator[Letter]:
        """Take one letter after the other; those that arrive meanwhile are left for next time."""
        for _ in range(self.count):
            found = get(self._reader, self.queue)
            if found is None:
                return
            letter = read_letter(*found)
            self._hand[letter.tag] = None
            yield letter

    def put_back(self, letter: Letter) -> None:
        """Put a letter into the main queue, and only then take it out of this one.

        Raises:
            Unavailable: it is in this queue still; it may be in the main queue, too. When nothing
                was put back by then, it is not.
        """
        if self._publisher is None:
            self._publisher = self._open_publisher()
        publish_to_queue(self._publisher, self._main, letter.body, fresh_properties(letter))
        logger.info("%s: put into %s (%s)", letter.checkout_id, self._main, letter.id)
        self.remove(letter)

    def _open_publisher(self) -> BlockingChannel:
        """Return a channel for publishing, on a connection of its own.

        Once a broker short of memory or disk takes nothing from a connection, letters could not be
        given back on it either. It is asked before it gets anything that it might keep.
        """
        self._publishing = connect(self._config, _PURPOSE, blocked_seconds=_BLOCKED_SECONDS)
        try:
            ensure_accepting(self._publishing)
        except Blocked as error:
            raise Blocked("rabbitmq", f"{acceptance.refusal}; nothing was moved") from error
        with translated():
            channel = self._publishing.channel()
            channel.confirm_delivery()
        return channel

    def close(self) -> None:
        """Close the connection for publishing, if there is one."""
        if self._publishing is not None:
            close(self._publishing)

    def remove(self, letter: Letter) -> None:
        """Take a letter out of the queue."""
        with translated():
            acknowledge(self._reader, letter.tag)
        self.taken += 1
        del self._hand[letter.tag]
        logger.info("%s: taken out of %s (%s)", letter.checkout_id, self.queue, letter.id)

    def give_back(self) -> None:
        """Give back what is in the hand, to its old place."""
        tags = list(self._hand)
        self._hand.clear()
        if not tags:
            return
        waits = True
        with translated():
            there = self._ready()
            for start in range(0, len(tags), _BATCH):
                batch = tags[start : start + _BATCH]
                self._reader.basic_nack(batch[-1], multiple=True, requeue=True)
                there += len(batch)
                waits = waits and self._is_back(there)
            self._reader.close()  # the broker answers when it has seen all of it

    def may_drop(self) -> bool:
        """Tell whether the queue may be one that drops what was handed out too often."""
        with translated():
            return not is_quorum_queue_like(self._connection, self.queue, {})

    def is_quorum(self) -> bool:
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
        """Wait until so many letters are there; not for long, as others may take some away."""
        deadline = time.monotonic() + _BACK_SECONDS
        while self._ready() < count:
            if time.monotonic() > deadline:
                return False
            time.sleep(_BACK_PAUSE_SECONDS)
        return True

    def _ready(self) -> int:
        return self._reader.queue_declare(self.queue, passive=True).method.message_count or 0
