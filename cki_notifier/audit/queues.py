"""Reads the notifications that wait in RabbitMQ, and gives them back.

The queues are read in the order in which a notification moves through them, so a move hides none.
The main queue is not read, to leave its notifications to the daemons. Notifications in flight with
another consumer are invisible.

Each look counts as a delivery, which changes nothing for the daemon. It looks up each notification
from a retry queue in the topic anyway.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import suppress

import msgspec
from msgspec import Struct

from cki_notifier.audit.stages import Due
from cki_notifier.configuration.settings import RabbitMQConfig
from cki_notifier.notification.digests import Digests
from cki_notifier.notification.errors import Malformed, Unavailable
from cki_notifier.notification.models import Stage, Status
from cki_notifier.pipeline import Pipeline
from cki_notifier.rabbitmq.connection import Arguments, connected, ready_messages, translated
from cki_notifier.rabbitmq.hand import Hand
from cki_notifier.rabbitmq.queues import dead_letter_queue, retry_arguments

#: The places where notifications wait, as in the report.
DELAYED, DEAD_LETTER = "delayed", "dead-letter"

_PURPOSE = "audit"
#: The most that is read, in notifications and in bytes.
_MOST, _MOST_BYTES = 100_000, 1024 * 1024 * 1024
#: The stages that a notification may be about, by status.
_STAGES: Mapping[str, tuple[Stage, ...]] = {
    Status.BUILD_SETUPS_FINISHED: (Stage.PRE_TEST,),
    Status.READY_TO_REPORT: (Stage.POST_TEST,),
    Status.ISSUEOCCURRENCES_CHANGED: (Stage.POST_TEST,),
    Status.UNKNOWN: (Stage.PRE_TEST, Stage.POST_TEST),
}


class Waiting(Struct):
    """The notifications that wait in RabbitMQ.

    Attributes:
        in_main: the number of notifications ready in the main queue, None if unknown.
        unseen: the queues not read, or not to their end, each with the reason.
        trouble: why no queue was read, ``""`` otherwise.
        found: the notifications by place, in the order in which they move.
    """

    in_main: int | None = None
    unseen: list[str] = msgspec.field(default_factory=list)
    trouble: str = ""
    found: dict[str, Digests] = msgspec.field(
        default_factory=lambda: {DELAYED: Digests(), DEAD_LETTER: Digests()}
    )

    def where(self, due: Due) -> str:
        """Return the place where a stage's notification waits, ``""`` for none."""
        places = (it for it, found in self.found.items() if found.has(due.checkout_id, due.stage))
        return next(places, "")


def look(config: RabbitMQConfig, seconds: float) -> Waiting:
    """Read the retry queues and the dead-letter queue.

    Args:
        config: of RabbitMQ.
        seconds: for all queues. Later notifications are unseen.

    Raises:
        Unavailable: RabbitMQ does not answer.
    """
    arguments, dead = retry_arguments(config.queue), dead_letter_queue(config.queue)
    arguments[dead] = arguments.pop(dead)  # a notification moves here last
    looking = _Look(config, time.monotonic() + seconds)
    for name in arguments:
        place = DEAD_LETTER if name == dead else DELAYED
        looking.into(name, arguments[name], looking.waiting.found[place])
    with connected(config, _PURPOSE) as connection, suppress(Unavailable), translated():
        looking.waiting.in_main = ready_messages(connection, config.queue)
    return looking.waiting


class _Look:
    """One look; see :func:`look`."""

    def __init__(self, config: RabbitMQConfig, end: float) -> None:
        self._config = config
        self._end = end
        self._left, self._left_bytes = _MOST, _MOST_BYTES
        self.waiting = Waiting()

    def into(self, queue: str, arguments: Arguments, found: Digests) -> None:
        """Read a queue on its own connection, independent of the others' failures."""
        with connected(self._config, _PURPOSE) as connection:
            try:
                hand = Hand(connection, queue, arguments)
                if hand.wears_out():
                    self.waiting.unseen.append(
                        f"{queue}: it may drop notifications after many deliveries"
                    )
                    return
                try:
                    self._read(hand, found)
                finally:
                    with suppress(Unavailable):  # RabbitMQ does so anyway when the connection ends
                        hand.give_back()
            except Unavailable as error:
                self.waiting.unseen.append(f"{queue}: {error}")

    def _read(self, hand: Hand, found: Digests) -> None:
        for seen, (_, _, body) in enumerate(hand.messages(), 1):
            self._left -= 1
            self._left_bytes -= len(body)
            for due in _announced_by(body):
                found.add(due.checkout_id, due.stage)
            late = time.monotonic() > self._end
            if seen < hand.count and (late or self._left <= 0 or self._left_bytes <= 0):
                why = "the time is over" if late else "the limit is reached"
                self.waiting.unseen.append(
                    f"{hand.queue}: {why} after {seen:,} of {hand.count:,} notifications"
                )
                return


def _announced_by(body: bytes) -> Iterator[Due]:
    """Yield the stages of a notification, none if a rule ignores its body alone."""
    try:
        notification, ignored = Pipeline.begin(body)
    except Malformed:
        return
    if not ignored:
        for stage in _STAGES.get(notification.status, ()):
            yield Due(notification.checkout_id, stage)
