"""Which acknowledgements a channel needs for what was settled: as few as AMQP allows. No I/O."""


class SettledTags:
    """Collects the delivery tags of one channel, which the broker counts from 1.

    Tags are settled in nearly the order of the queue, so that mostly one acknowledgement does for
    many; nothing is held back for that.
    """

    def __init__(self) -> None:
        self._through = 0
        self._new: list[int] = []
        self._beyond: set[int] = set()

    def add(self, tag: int) -> bool:
        """Collect a tag; tell whether it is the first one since :meth:`take`."""
        self._new.append(tag)
        return len(self._new) == 1

    def take(self) -> tuple[int, tuple[int, ...]]:
        """Return what is to be acknowledged now, and count it as done.

        First the tag that is acknowledged together with all before it (AMQP's ``multiple``), 0 for
        none; then further tags, each by itself.
        """
        new, self._new = self._new, []
        self._beyond.update(new)
        while self._through + 1 in self._beyond:
            self._through += 1
            self._beyond.remove(self._through)
        # Not simply all: RabbitMQ closes a channel that names a tag it was told of before.
        through = max((tag for tag in new if tag <= self._through), default=0)
        return through, tuple(tag for tag in new if tag > self._through)
