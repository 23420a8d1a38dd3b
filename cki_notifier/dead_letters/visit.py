"""One visit to the dead-letter queue: takes letters into the hand, and gives back what is left.

A letter in the hand is unacknowledged: whatever ends the visit, the broker has it still, and hands
it out again. It leaves the queue only by an acknowledgement, after the broker confirmed its copy in
the main queue, or when it is discarded. How many did is told to the daemons, who count it.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from cki_notifier.configuration.settings import RabbitMQConfig
from cki_notifier.dead_letters.letter import Letter, fresh_properties, read_letter
from cki_notifier.notification.command_words import word_of
from cki_notifier.notification.errors import Unavailable
from cki_notifier.rabbitmq.acceptance import acceptance
from cki_notifier.rabbitmq.connection import (
    Blocked,
    BlockingChannel,
    BlockingConnection,
    close,
    connect,
    connected,
    ensure_accepting,
    publish_to_queue,
    ready_messages,
    translated,
)
from cki_notifier.rabbitmq.hand import Hand
from cki_notifier.rabbitmq.queues import dead_letter_queue
from cki_notifier.rabbitmq.words import tell_daemons

logger = logging.getLogger(__name__)

_PURPOSE = "dead-letters"
#: For so long nothing is published while RabbitMQ accepts no messages, in seconds.
_BLOCKED_SECONDS = 1.0


@contextmanager
def visit(config: RabbitMQConfig) -> Iterator["Visit"]:
    """Visit the dead-letter queue; what is still in the hand at the end is given back.

    Raises:
        Unavailable: RabbitMQ can't be had, or has neither the main nor the dead-letter queue.
    """
    with connected(config, _PURPOSE) as connection:
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


def _tell_daemons(config: RabbitMQConfig, taken: int) -> None:
    """Tell how many letters were taken out, by a new connection: the other may be gone."""
    if not taken:
        return
    try:
        tell_daemons(config, [word_of(taken)], _PURPOSE)
    except Unavailable as error:
        text = (
            "no daemon counts the %d dead letters taken out, so an alert may report them lost: %s"
        )
        logger.warning(text, taken, error)


class Visit(Hand):
    """The letters that are there when the visit begins; their queue is made when it is needed.

    Attributes:
        taken: how many letters were taken out.
    """

    def __init__(self, connection: BlockingConnection, config: RabbitMQConfig) -> None:
        self._config = config
        self._main = main = config.queue
        super().__init__(connection, dead_letter_queue(main), {})
        if not self.exists and ready_messages(connection, main) is None:
            text = f"neither {main} nor {self.queue} exists: check RABBITMQ_QUEUE"
            raise Unavailable("rabbitmq", text)
        self.taken = 0
        self._publisher: BlockingChannel | None = None
        self._publishing: BlockingConnection | None = None

    def letters(self) -> Iterator[Letter]:
        """Take one letter after the other; those that arrive meanwhile are left for next time."""
        for found in self.messages():
            yield read_letter(*found)

    def put_back(self, letter: Letter) -> None:
        """Put a letter into the main queue, and only then take it out of this one.

        Raises:
            Unavailable: it is in this queue still; it may be in the main queue, too. When nothing
                was put back by then, it is not.
        """
        if self._publisher is None:
            self._publisher = self._open_publisher()
        publish_to_queue(self._publisher, self._main, letter.body, fresh_properties(letter))
        text = "dead letter %s of %s: put back into %s"
        logger.info(text, letter.id, letter.checkout_id, self._main)
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
        self.settle(letter.tag)
        self.taken += 1
        text = "dead letter %s of %s: taken out of %s"
        logger.info(text, letter.id, letter.checkout_id, self.queue)
