"""One visit to the dead-letter queue: receives letters, and returns the unacknowledged ones.

RabbitMQ keeps an unacknowledged letter and redelivers it, however the visit ends. An
acknowledgement removes a letter: after RabbitMQ confirmed its copy in the main queue, or to discard
it. The daemons get the number of removed letters and count it.
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
#: How long to wait for a RabbitMQ that accepts no messages, in seconds.
_BLOCKED_SECONDS = 1.0


@contextmanager
def visit(config: RabbitMQConfig) -> Iterator["Visit"]:
    """Visit the dead-letter queue; give back the letters in flight at the end.

    Raises:
        Unavailable: RabbitMQ does not answer, or has neither the main nor the dead-letter queue.
    """
    with connected(config, _PURPOSE) as connection:
        with translated():
            visiting = Visit(connection, config)
        try:
            yield visiting
        except Unavailable:
            with suppress(Unavailable):  # RabbitMQ does so anyway when the connection ends
                visiting.give_back()
            raise
        else:
            visiting.give_back()
        finally:
            visiting.close()
            _tell_daemons(config, visiting.taken)


def _tell_daemons(config: RabbitMQConfig, taken: int) -> None:
    """Send the daemons the number of removed letters, on a new connection."""
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
    """The letters in the dead-letter queue at the beginning of the visit.

    Attributes:
        taken: the number of removed letters.
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
        """Receive one letter after the other, without those that arrive meanwhile."""
        for found in self.messages():
            yield read_letter(*found)

    def put_back(self, letter: Letter) -> None:
        """Copy a letter into the main queue, and after the confirmation remove the letter.

        Raises:
            Unavailable: the letter is still here, perhaps with a copy in the main queue.
            Blocked: RabbitMQ accepts no messages. Of the visit's first letter it has no copy.
        """
        if self._publisher is None:
            self._publisher = self._open_publisher()
        publish_to_queue(self._publisher, self._main, letter.body, fresh_properties(letter))
        text = "dead letter %s of %s: put back into %s"
        logger.info(text, letter.id, letter.checkout_id, self._main)
        self.remove(letter)

    def _open_publisher(self) -> BlockingChannel:
        """Return a channel for publishing, on a connection of its own.

        RabbitMQ reads nothing more from a connection that publishes while memory or disk is low, so
        letters could not be given back on it. Check for that before the first message.
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
        """Close the publishing connection, if there is one."""
        if self._publishing is not None:
            close(self._publishing)

    def remove(self, letter: Letter) -> None:
        """Remove a letter from the queue."""
        self.settle(letter.tag)
        self.taken += 1
        text = "dead letter %s of %s: taken out of %s"
        logger.info(text, letter.id, letter.checkout_id, self.queue)
