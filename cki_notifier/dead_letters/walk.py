"""A walk through the dead-letter queue, once: does something to each letter that is meant."""

from collections import Counter
from collections.abc import Callable
from operator import itemgetter
from typing import Generic, TypeVar

from cki_notifier.configuration.settings import RabbitMQConfig
from cki_notifier.dead_letters.letter import Letter, Order, Selection, names_of
from cki_notifier.dead_letters.visit import Visit, visit
from cki_notifier.telemetry.terminal import progress
from cki_notifier.workers.signals import postponed

#: RabbitMQ 4 drops a message that was handed out 20 times, unless its queue says otherwise.
_MANY_LOOKS = 10

Act = Callable[[Visit, Letter], None]
T = TypeVar("T")


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
        missing: the names nobody was found for; ids, where letters were chosen by them.
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
        self._left = Counter(selection.chosen or {})
        self.missing = set(selection.names) | set(self._left)
        self.is_worn = False
        self.signal = 0

    def go(self, act: Act) -> None:
        """Go through the queue, in its own order, whatever the limit is: see :class:`Choice`.

        To its end, because what is given back of a part comes behind the other letters.

        A signal lets the letter in work be finished and the others be given back; a second one ends
        the process at once, which loses nothing either.

        Raises:
            Unavailable: RabbitMQ can't be had (any more).
        """
        signals: list[int] = []
        with postponed(signals.append), visit(self._config) as visiting:
            self.queue, self.exists, self.count = visiting.queue, visiting.exists, visiting.count
            most_looks = 0
            with progress(self.deed) as tell:
                for letter in visiting.letters():
                    self._consider(letter, visiting, act)
                    most_looks = max(most_looks, letter.looks)
                    tell(self.count, self.seen, self.done)
                    self.signal = signals[0] if signals else 0
                    if signals:
                        break
            self.is_worn = most_looks >= _MANY_LOOKS and visiting.may_drop()

    @property
    def seen(self) -> int:
        """How many letters were looked at."""
        return self.reasons.total()

    def _consider(self, letter: Letter, visiting: Visit, act: Act) -> None:
        self.reasons[letter.reason] += 1
        if letter not in self._selection:
            return
        if self._selection.chosen is not None and not self._left[letter.id]:
            return  # as many as were chosen are done
        act(visiting, letter)
        self.done += 1
        if self._left[letter.id] > 1:
            self._left[letter.id] -= 1
        else:
            self._left.pop(letter.id, None)
            self.missing -= names_of(letter)


class Choice(Generic[T]):
    """The oldest of the letters that are shown to it, with what is kept of each.

    Only so much is kept as may be needed: a queue may hold more than there is memory.

    Args:
        limit: no more than so many; 0 for any number.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept: list[tuple[Order, T]] = []
        self._too_late: Order | None = None

    def add(self, letter: Letter, keep: Callable[[Letter], T]) -> None:
        """Keep something of a letter, unless there are enough that are older."""
        order = letter.order
        if self._too_late is None or order < self._too_late:
            self._kept.append((order, keep(letter)))
        if self._limit and len(self._kept) >= 2 * self._limit:
            self._cut()

    def kept(self) -> list[T]:
        """Return what was kept of each, the oldest first."""
        self._cut()
        return [it for _, it in self._kept]

    def ids(self) -> Counter[str]:
        """Return how many there are of which id."""
        self._cut()
        return Counter(letter_id for (_, _, letter_id), _ in self._kept)

    def _cut(self) -> None:
        self._kept.sort(key=itemgetter(0))
        if self._limit and len(self._kept) >= self._limit:
            del self._kept[self._limit :]
            self._too_late = self._kept[-1][0]
