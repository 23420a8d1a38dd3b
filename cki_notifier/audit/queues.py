"""What still waits in RabbitMQ: looked up in its queues, without taking anything.

Whatever is looked at is given back, one queue after the other, in the order in which a notification
moves from queue to queue, so that none is missed because it moved meanwhile. The main queue is not
looked into, so that nobody is in the daemons' way; what a daemon holds, or somebody else who looks
at the same moment, can't be seen.

Each look counts as a delivery: the daemon takes what comes out of a delay queue for a possible
repeat anyway, and looks it up in the topic.
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

#: Where a notification may wait; spelled as in the report.
DELAYED, DEAD_LETTER = "delayed", "dead-letter"

_PURPOSE = "audit"
#: No more is looked at, in notifications and in bytes.
_MOST, _MOST_BYTES = 100_000, 1024 * 1024 * 1024
#: The stages that a notification may announce.
_STAGES: Mapping[str, tuple[Stage, ...]] = {
    Status.BUILD_SETUPS_FINISHED: (Stage.PRE_TEST,),
    Status.READY_TO_REPORT: (Stage.POST_TEST,),
    Status.ISSUEOCCURRENCES_CHANGED: (Stage.POST_TEST,),
    Status.UNKNOWN: (Stage.PRE_TEST, Stage.POST_TEST),
}


class Waiting(Struct):
    """What waits in RabbitMQ, as far as it was looked at.

    Attributes:
        in_main: how many notifications are ready in the main queue, of whatever kind; None where
            that can't be told.
        unseen: the queues that were not looked at, or not to their end, each with the reason.
        trouble: why there was no look, ``""`` when there was one or nobody asked for it.
        found: what was seen in either place, the later one last.
    """

    in_main: int | None = None
    unseen: list[str] = msgspec.field(default_factory=list)
    trouble: str = ""
    found: dict[str, Digests] = msgspec.field(
        default_factory=lambda: {DELAYED: Digests(), DEAD_LETTER: Digests()}
    )

    def where(self, due: Due) -> str:
        """Return where a notification waits that announces this stage, ``""`` for nowhere."""
        places = (it for it, found in self.found.items() if found.has(due.checkout_id, due.stage))
        return next(places, "")


def look(config: RabbitMQConfig, seconds: float) -> Waiting:
    """Look into the delay queues and the dead-letter queue.

    Args:
        config: where.
        seconds: for all of it. What has to be looked at after that is unseen.

    Raises:
        Unavailable: RabbitMQ can't be had.
    """
    arguments, dead = retry_arguments(config.queue), dead_letter_queue(config.queue)
    arguments[dead] = arguments.pop(dead)  # the last one that a notification moves to
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
        """Look into a queue, by a connection of its own: none is the worse for the one before."""
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
                    with suppress(Unavailable):  # the broker does when the connection ends
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
    """Yield what a notification announces, unless the rules ignore it unseen."""
    try:
        notification, ignored = Pipeline.begin(body)
    except Malformed:
        return
    if not ignored:
        for stage in _STAGES.get(notification.status, ()):
            yield Due(notification.checkout_id, stage)
