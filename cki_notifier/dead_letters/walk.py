"""A walk through the dead-letter queue, once: does something to each letter that is meant."""

import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from cki_notifier.configuration.settings import RabbitMQConfig
from cki_notifier.dead_letters.letter import Letter, Selection, names_of
from cki_notifier.dead_letters.progress import Progress
from cki_notifier.dead_letters.visit import Visit, visit

#: RabbitMQ 4 drops a message that was handed out 20 times, unless its queue says otherwise.
_MANY_LOOKS = 10

Act = Callable[[Visit, Letter], None]


class Walk:
    """What is known of a walk, also of one that failed midway.

    Args:
        config: where.
        selection: which letters are meant.
        deed: what is done to them, in the past tense.

    Attributes:
        queue: the dead-letter queue's name, and whether it ``exists``.
        count: how many letters were there at the beginning.
        reasons: of all that were looked at, how many have which reason.
        done: to how many of them the deed was done.
        missing: the names nobody was found for.
        is_worn: whether the broker may soon drop letters because they were looked at too often.
        signal: the signal that ended it early, 0 when none did.
    """

    def __init__(self, config: RabbitMQConfig, selection: Selection, deed: str) -> None:
        self._config = config
        self._selection = selection
        self.deed = deed
        self.queue = ""
        self.exists = True
        self.count = 0
        self.reasons: Counter[str] = Counter()
        self.done = 0
        self.missing = set(selection.names)
        self.is_worn = False
        self.signal = 0

    def go(self, act: Act) -> None:
        """Go through the queue.

        A signal lets the letter in work be finished and the others be given back; a second one ends
        the process at once, which loses nothing either.

        Raises:
            Unavailable: RabbitMQ can't be had (any more).
        """
        with _postponed_signals() as signals, visit(self._config) as visiting:
            self.queue, self.exists, self.count = visiting.queue, visiting.exists, visiting.count
            progress = Progress(self.count, self.deed)
            most_looks = 0
            try:
                for letter in visiting.letters():
                    self._consider(letter, visiting, act)
                    most_looks = max(most_looks, letter.looks)
                    progress.show(self.seen, self.done)
                    self.signal = signals[0] if signals else 0
                    if signals or self.done == (self._selection.limit or None):
                        break
            finally:
                progress.clear()
            self.is_worn = most_looks >= _MANY_LOOKS and visiting.may_drop()

    @property
    def seen(self) -> int:
        """How many letters were looked at."""
        return self.reasons.total()

    @property
    def is_whole(self) -> bool:
        """Whether it came to the queue's end."""
        return not self.signal and self.done != (self._selection.limit or None)

    def _consider(self, letter: Letter, visiting: Visit, act: Act) -> None:
        self.reasons[letter.reason] += 1
        if letter in self._selection:
            act(visiting, letter)
            self.done += 1
            self.missing -= names_of(letter)


@contextmanager
def _postponed_signals() -> Iterator[list[int]]:
    """Note signals instead of being interrupted by them, which might be in the midst of I/O."""
    received: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        if received:
            os._exit(128 + number)
        received.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
