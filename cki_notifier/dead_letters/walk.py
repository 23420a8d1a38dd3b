"""One walk through the dead-letter queue, with an act on each selected letter."""

from collections import Counter
from collections.abc import Callable
from operator import itemgetter
from typing import Generic, TypeVar

from cki_notifier.configuration.settings import RabbitMQConfig
from cki_notifier.dead_letters.letter import Letter, Order, Selection, names_of
from cki_notifier.dead_letters.visit import Visit, visit
from cki_notifier.telemetry.terminal import progress
from cki_notifier.workers.signals import postponed

#: Half of RabbitMQ 4's default limit of 20 deliveries.
_MANY_LOOKS = 10

Act = Callable[[Visit, Letter], None]
T = TypeVar("T")


class Walk:
    """A walk and its result, even after a failure.

    Args:
        config: of RabbitMQ.
        selection: the letters to act on.
        deed: the act, in the past tense.

    Attributes:
        queue: the dead-letter queue's name.
        exists: whether the queue exists.
        count: the number of letters at the beginning.
        reasons: the letters seen, by reason.
        done: the number of letters acted on.
        missing: the selected names or ids without a letter.
        is_worn: whether RabbitMQ may soon drop letters because of many deliveries.
        signal: the signal that ended the walk early, 0 for none.
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
        """Walk through the whole queue in its order; :class:`Choice` applies a limit.

        Returning only a part of the letters would put them behind the others.

        After a signal, finish the current letter and give the others back. A second signal ends the
        process at once, without a loss.

        Raises:
            Unavailable: RabbitMQ does not answer (any more).
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
        """The number of letters seen."""
        return self.reasons.total()

    def _consider(self, letter: Letter, visiting: Visit, act: Act) -> None:
        self.reasons[letter.reason] += 1
        if letter not in self._selection:
            return
        if self._selection.chosen is not None and not self._left[letter.id]:
            return  # all chosen ones with this id are done
        act(visiting, letter)
        self.done += 1
        if self._left[letter.id] > 1:
            self._left[letter.id] -= 1
        else:
            self._left.pop(letter.id, None)
            self.missing -= names_of(letter)


class Choice(Generic[T]):
    """The oldest letters, each with a value kept for it.

    Keeps at most twice the limit: a queue can be larger than the memory.

    Args:
        limit: the most letters; 0 for no limit.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept: list[tuple[Order, T]] = []
        self._too_late: Order | None = None

    def add(self, letter: Letter, keep: Callable[[Letter], T]) -> None:
        """Keep a letter's value, unless enough letters are older."""
        order = letter.order
        if self._too_late is None or order < self._too_late:
            self._kept.append((order, keep(letter)))
        if self._limit and len(self._kept) >= 2 * self._limit:
            self._cut()

    def kept(self) -> list[T]:
        """Return the kept values, the oldest letter first."""
        self._cut()
        return [it for _, it in self._kept]

    def ids(self) -> Counter[str]:
        """Return the number of chosen letters by id."""
        self._cut()
        return Counter(letter_id for (_, _, letter_id), _ in self._kept)

    def _cut(self) -> None:
        self._kept.sort(key=itemgetter(0))
        if self._limit and len(self._kept) >= self._limit:
            del self._kept[self._limit :]
            self._too_late = self._kept[-1][0]
