"""What the topic's headers say was announced, over a span: which checkouts, which stages.

All partitions are read, from the first record of the span up to the end that the topic has at the
call; a later call reads what was added since. What was read is remembered by a few bytes for each
record, up to :data:`MOST_RECORDS`.
"""

import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from cki_notifier.configuration.settings import KafkaConfig
from cki_notifier.kafka.client import KafkaException, Message, described
from cki_notifier.kafka.scan import EARLIEST, LATEST, PAUSE_SECONDS, Scan, is_forbidden
from cki_notifier.notification.digests import Digests
from cki_notifier.notification.errors import Unavailable
from cki_notifier.notification.models import EVENT_TYPES, Stage
from cki_notifier.workers.deadline import Deadline

logger = logging.getLogger(__name__)

#: Nothing is said of more records than that: three months of 20,000 a day, and some 150 MiB.
MOST_RECORDS = 2_000_000
#: Whoever writes a record may give it any time: none of ours is later, in milliseconds.
_LAST = 253_402_300_799_000
_SUBJECT, _TYPE = "ce_subject", "ce_type"


class Announcements:
    """What was announced; read by one thread, and then asked by any.

    Attributes:
        begins_late: what was announced before may be gone, because the topic does not reach back to
            the beginning of the span in each of its partitions; None where it does. A partition
            that nothing was written to for longer than the topic keeps it looks the same.
    """

    def __init__(self, config: KafkaConfig) -> None:
        self.begins_late: datetime | None = None
        self._config = config
        self._scan: Scan | None = None
        self._count = 0
        self._announced = Digests()
        #: Up to where each partition was read, in this call or those before.
        self._reached: dict[int, int] = {}
        #: Those of which nothing older than the span is left, though there was something.
        self._cut: set[int] = set()

    def read(
        self,
        since: datetime,
        deadline: Deadline,
        progress: Callable[[int, int], object] = lambda _done, _total: None,
    ) -> int:
        """Read up to the end that the topic has now; return how many records were read.

        Args:
            since: the beginning of the span; what was read by an earlier call is not read again.
            deadline: while Kafka is away, it is waited for.
            progress: told again and again how many records were read, and how many there are.

        Raises:
            Unavailable: the topic can't be read, or holds too much.
            Interrupted: the process is stopping.
        """
        before, total = self._count, 0
        ends: Mapping[int, int] = {}
        trouble = "no answer in time"

        def go_on() -> None:
            why = self._scan.trouble if self._scan else trouble
            deadline.check(_unreadable(why or "it takes too long"))
            progress(self._count - before, total)

        while True:
            deadline.check(_unreadable(trouble))
            try:
                self._scan = self._scan or Scan(self._config)
                ends = ends or self._begin(self._scan, since)
                ranges = {it: (self._reached[it], end) for it, end in ends.items()}
                left = sum(max(0, end - start) for start, end in ranges.values())
                total = self._count - before + left
                self._scan.read(ranges, self._take, go_on)
            except (KafkaException, MemoryError) as error:
                self.close()
                trouble = described(error)
                logger.debug("kafka: the topic can't be read: %s", trouble)
                if is_forbidden(error):
                    topic = self._config.topic
                    why = f"we may not read {topic}; have our user allowed to read it"
                    raise _unreadable(why) from error
                if not deadline.pause(PAUSE_SECONDS):
                    raise _unreadable(trouble) from error
            except BaseException:
                self.close()
                raise
            else:
                break
        self._reached |= {it: max(end, self._reached[it]) for it, end in ends.items()}
        progress(total, total)
        return self._count - before

    def has(self, checkout_id: str, stage: Stage) -> bool:
        """Tell whether a checkout's stage was announced."""
        return self._announced.has(checkout_id, EVENT_TYPES[stage])

    def close(self) -> None:
        """Leave the cluster; a later call of :meth:`read` comes back to it."""
        scan, self._scan = self._scan, None
        if scan is not None:
            scan.close()

    def _begin(self, scan: Scan, since: datetime) -> dict[int, int]:
        """Find where the span begins in partitions that are new to us; return where each ends."""
        partitions = scan.partitions()
        if not partitions:
            raise _unreadable(f"there is no topic {self._config.topic}")
        ends = scan.offsets(partitions, LATEST)
        if any(reached > ends.get(it, 0) for it, reached in self._reached.items()):
            raise _unreadable("it holds less than before, so it was made anew or lost records")
        new = [it for it in partitions if it not in self._reached]
        starts = scan.offsets(new, max(0, int(since.timestamp() * 1000)))
        firsts, lowest = scan.offsets(new, 0), scan.offsets(new, EARLIEST)
        if sum(ends[it] - min(start, ends[it]) for it, start in starts.items()) > MOST_RECORDS:
            raise _too_many()
        gone = {it for it in new if lowest[it] > 0}
        empty = {it for it in gone if firsts[it] >= ends[it]}
        if empty and not any(firsts[it] < starts[it] for it in new):
            self.begins_late = datetime.now(UTC)
        self._cut |= {it for it in gone - empty if firsts[it] == starts[it]}
        self._reached |= {it: min(start, ends[it]) for it, start in starts.items()}
        return ends

    def _take(self, message: Message) -> None:
        partition, offset = message.partition(), message.offset()
        if partition is None or offset is None or offset < self._reached[partition]:
            return  # seen before what failed
        self._reached[partition] = offset + 1
        self._count += 1
        if self._count > MOST_RECORDS:
            raise _too_many()
        if partition in self._cut:
            self._cut.remove(partition)
            at = datetime.fromtimestamp(min(max(0, message.timestamp()[1]), _LAST) / 1000, UTC)
            self.begins_late = max(self.begins_late or at, at)
        headers = dict(message.headers() or ())
        subject, type_ = _text(headers.get(_SUBJECT)), _text(headers.get(_TYPE))
        if subject and type_:
            self._announced.add(subject, type_)


def _text(value: str | bytes | None) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value or ""


def _unreadable(why: str) -> Unavailable:
    return Unavailable("kafka", f"the topic can't be read: {why}", held=True)


def _too_many() -> Unavailable:
    return Unavailable(
        "kafka", f"the topic holds more than {MOST_RECORDS:,} records of the span; ask for less"
    )
