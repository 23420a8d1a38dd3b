"""Collects the published checkouts and stages of a time span from the topic's headers.

It reads all partitions from the first record of the span up to the topic's end at the call. A later
call reads the records added since. It keeps a few bytes for each record, up to
:data:`MOST_RECORDS`.
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

#: The most records of a span: three months of 20,000 a day, in about 150 MiB.
MOST_RECORDS = 2_000_000
#: The latest usable time of a record, in milliseconds: other writers may give any time.
_LAST = 253_402_300_799_000
_SUBJECT, _TYPE = "ce_subject", "ce_type"


class Announcements:
    """The published stages of checkouts. One thread reads them, then any thread may ask.

    Attributes:
        begins_late: earlier records may be gone, because a partition does not reach back to the
            beginning of the span. None if all do. A partition without writes for longer than the
            topic's retention looks the same.
    """

    def __init__(self, config: KafkaConfig) -> None:
        self.begins_late: datetime | None = None
        self._config = config
        self._scan: Scan | None = None
        self._count = 0
        self._announced = Digests()
        #: By partition, the next offset to read.
        self._reached: dict[int, int] = {}
        #: Partitions that have lost their records from before the span.
        self._cut: set[int] = set()

    def read(
        self,
        since: datetime,
        deadline: Deadline,
        progress: Callable[[int, int], object] = lambda _done, _total: None,
    ) -> int:
        """Read up to the topic's current end; return the number of records read.

        Args:
            since: the beginning of the span. Later calls skip the records of earlier ones.
            deadline: limits the wait for Kafka.
            progress: repeatedly called with the number of records read, and of all.

        Raises:
            Unavailable: the topic is unreadable, or holds too many records.
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
                    why = f"we may not read {topic}; grant our user the right Read"
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
        """Tell whether the topic has a message about a checkout's stage."""
        return self._announced.has(checkout_id, EVENT_TYPES[stage])

    def close(self) -> None:
        """Disconnect. A later call of :meth:`read` connects again."""
        scan, self._scan = self._scan, None
        if scan is not None:
            scan.close()

    def _begin(self, scan: Scan, since: datetime) -> dict[int, int]:
        """Find the beginning of the span in new partitions; return the end of each partition."""
        partitions = scan.partitions()
        if not partitions:
            raise _unreadable(f"there is no topic {self._config.topic}")
        ends = scan.offsets(partitions, LATEST)
        if any(reached > ends.get(it, 0) for it, reached in self._reached.items()):
            raise _unreadable("it holds less than before: it was recreated or lost records")
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
            return  # read before an error
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
        "kafka",
        f"the topic holds more than {MOST_RECORDS:,} records of the span; choose a shorter one",
    )
