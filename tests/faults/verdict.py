"""The verdict: the outcome of each notification, as both brokers show it at the end."""

import contextlib
import json
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

from confluent_kafka import Consumer, KafkaException, TopicPartition

from cki_notifier.notification.models import EVENT_TYPES, Stage
from cki_notifier.rabbitmq.queues import DELAYS, dead_letter_queue, delay_queue
from tests.brokers.stage import Letter
from tests.faults.publisher import Expected
from tests.faults.scene import Fault, Run
from tools.brokers.kafka import Record, read_topic

#: How often the daemon starts to process notifications that its end returned to the queue.
_STARTS = 5
_READ_SECONDS = 20.0
#: The levels of warnings, and how many a log may have beyond one for each notification.
_COMPLAINTS, _COMPLAINTS_ASIDE = frozenset({"WARNING", "ERROR", "CRITICAL"}), 50
_PAUSE_SECONDS = 0.2


HEADINGS = (
    "fault",
    "sent",
    "lost",
    "duplicates",
    "dead letters",
    "seconds to recover",
    "seconds not ready",
    "tries/s",
)
CLUSTER_HEADINGS = (
    "fault",
    "consumers",
    "sent",
    "lost",
    "duplicates",
    "seconds to recover",
    "seconds not ready",
    "order changed",
)


#: By a checkout's id and, where it has two stages, the CloudEvents type of one.
Records: TypeAlias = dict[tuple[str, str], list[Record]]


@dataclass
class Order:
    """The number of checkouts with two messages, and of those in the wrong order."""

    pairs: int = 0
    changed: int = 0


@dataclass
class Verdict:
    """The outcome of a fault. The lists have a line for each faulty checkout."""

    fault: Fault
    sent: int = 0
    lost: list[str] = field(default_factory=list)
    unexplained: list[str] = field(default_factory=list)
    #: Messages beyond the first with the same `ce_id`; checkouts with more ids than bodies.
    duplicates: int = 0
    other_ids: list[str] = field(default_factory=list)
    #: Messages for ignored notifications.
    wrong: list[str] = field(default_factory=list)
    order: Order = field(default_factory=Order)
    dead_letters: int = 0
    seconds: float = 0.0
    #: Seconds without a ready process, from the start of the fault to the recovery.
    seconds_not_ready: float = 0.0
    tries_a_second: float | None = None

    def row(self) -> list[str]:
        """Return the texts of a row of the table."""
        return [
            self.fault.id,
            str(self.sent),
            str(len(self.lost)),
            str(self.duplicates),
            str(self.dead_letters),
            f"{self.seconds:.1f}",
            f"{self.seconds_not_ready:.1f}",
            "" if self.tries_a_second is None else f"{self.tries_a_second:.1f}",
        ]

    def cluster_row(self, consumers: str) -> list[str]:
        """Return the texts of a row of the table of clusters."""
        return [
            self.fault.id,
            consumers,
            str(self.sent),
            str(len(self.lost)),
            str(self.duplicates),
            f"{self.seconds:.1f}",
            f"{self.seconds_not_ready:.1f}",
            f"{self.order.changed} of {self.order.pairs}",
        ]

    @property
    def is_good(self) -> bool:
        """Whether nothing is lost, unexplained or wrong, with no more duplicates than allowed."""
        as_it_should = not (self.lost or self.unexplained or self.other_ids or self.wrong)
        return as_it_should and self.duplicates <= self.fault.doubles


def read_all(bootstrap: str, topic: str) -> list[Record]:
    """Return all records that are in a topic now."""
    count = _count(bootstrap, topic)
    if not count:
        return []
    return read_topic(
        bootstrap, topic, seconds=_READ_SECONDS, until=lambda seen: len(seen) >= count
    )


def _count(bootstrap: str, topic: str) -> int:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "count", "log_level": 0})
    try:
        with contextlib.suppress(KafkaException):
            partitions = consumer.list_topics(topic, timeout=5).topics[topic].partitions
            marks = [
                consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=5)
                for number in partitions
            ]
            return sum(end - start for start, end in marks)
        return 0
    finally:
        consumer.close()


def come_to_rest(scene: Run, patience: float) -> bool:
    """Wait until all is sent or dead-lettered and the queues are empty; stop the daemons.

    Returns False after the timeout.
    """
    deadline = time.monotonic() + patience
    for _ in range(_STARTS):
        while not is_at_rest(scene):
            if time.monotonic() > deadline:
                scene.stop()
                return False
            time.sleep(_PAUSE_SECONDS)
        scene.stop()
        # The count is exact only without a consumer.
        if not scene.stage.waiting(scene.stage.queue) and is_at_rest(scene):
            return True
        scene.daemon.start()
    return False


def is_at_rest(scene: Run) -> bool:
    """Whether all notifications are sent or dead-lettered, and the queues are empty."""
    stage = scene.stage
    if any(stage.waiting(queue) for queue in queues(scene)):
        return False
    published = scene.stream.published
    expected = {each.event for each in published if each.expected is not Expected.IGNORED}
    dead = stage.waiting(dead_letter_queue(stage.queue))
    found = _by_event(scene, [*scene.kept, *read_all(stage.bootstrap, stage.topic)])
    return len(found) + dead >= len(expected)


def queues(scene: Run) -> list[str]:
    """Return the names of the queues that have to be empty in the end."""
    queue = scene.stage.queue
    return [queue, *(delay_queue(queue, delay) for delay in DELAYS)]


def judge(scene: Run, fault: Fault) -> Verdict:
    """Compare the topic and the queues with the expected outcomes."""
    verdict = Verdict(fault, sent=len(scene.stream.published))
    everything = [*scene.kept, *read_all(scene.stage.bootstrap, scene.stage.topic)]
    records = _by_event(scene, everything)
    letters = _letters(scene)
    _judge_each(verdict, scene, records, letters)
    known = {each.event for each in scene.stream.published}
    verdict.unexplained += [f"{key}: no notification" for key, _ in sorted(records.keys() - known)]
    verdict.order = order_of(scene.stream.staged, records)
    for queue in queues(scene):
        if left := scene.stage.waiting(queue):
            verdict.unexplained.append(f"{left} left in {queue}")
    if fault.gives_up and not verdict.dead_letters:
        verdict.unexplained.append("RabbitMQ gave no notification up")
    lines = scene.lines()
    bugs = [line for line in lines if "traceback" in line]
    verdict.unexplained += [str(line["traceback"]) for line in bugs]
    complaints = sum(line["level"] in _COMPLAINTS for line in lines)
    if not_alive := scene.readiness.not_alive:
        verdict.unexplained.append(f"/live answered {sorted(set(not_alive))}")
    if complaints > verdict.sent + _COMPLAINTS_ASIDE:
        verdict.unexplained.append(f"{complaints} warnings and errors in the log")
    verdict.seconds = _recovery(scene, records)
    return verdict


def _judge_each(
    verdict: Verdict,
    scene: Run,
    records: Records,
    letters: dict[str, list[Letter]],
) -> None:
    bodies = Counter(
        event for event, _ in {(each.event, each.digest) for each in scene.stream.published}
    )
    for each in scene.stream.published:
        own = records.get(each.event, [])
        dead = letters.pop(each.checkout_id, [])
        verdict.dead_letters += len(dead)
        explained = _dead_letters_explained(dead, each.expected, verdict.fault)
        if dead and not explained:
            verdict.unexplained.append(f"{each.checkout_id}: dead-lettered, {dead[0].headers}")
        if each.expected is Expected.SENT and not own and not dead:
            verdict.lost.append(each.checkout_id)
        if each.expected.is_dead and not dead:
            verdict.lost.append(f"{each.checkout_id}, {each.expected.value}")
        if each.expected is not Expected.SENT and own:
            verdict.wrong.append(each.checkout_id)
        if len({record.headers["ce_id"] for record in own}) > bodies[each.event]:
            verdict.other_ids.append(each.checkout_id)
    for (key, _), own in records.items():
        if key not in scene.stream.repeated:
            verdict.duplicates += len(own) - len({record.headers["ce_id"] for record in own})
    for key, dead in letters.items():
        verdict.unexplained.append(f"{key}: dead-lettered, {dead[0].headers}")


def _dead_letters_explained(dead: list[Letter], expected: Expected, fault: Fault) -> bool:
    reasons = Counter(
        str(letter.headers.get("x-cki-reason") or letter.headers.get("x-first-death-reason"))
        for letter in dead
    )
    if expected.is_dead:
        return set(reasons) == {expected.value}
    return fault.gives_up and set(reasons) == {"delivery_limit"}


def _by_event(scene: Run, records: list[Record]) -> Records:
    """Return records by checkout, and by stage if it has two."""
    found = defaultdict(list)
    for record in records:
        is_staged = record.key in scene.stream.staged
        found[record.key, record.headers["ce_type"] if is_staged else ""].append(record)
    return found


def order_of(staged: Iterable[str], records: Records) -> Order:
    """Count the checkouts with two stages, and those with a changed order.

    All messages of a checkout have its id as key, so they are in one partition.
    """
    order = Order()
    for key in staged:
        first, second = (records.get((key, EVENT_TYPES[stage])) for stage in Stage)
        if first and second:
            order.pairs += 1
            order.changed += min(it.offset for it in second) < min(it.offset for it in first)
    return order


def _letters(scene: Run) -> dict[str, list[Letter]]:
    """Take all dead letters, by checkout."""
    queue = dead_letter_queue(scene.stage.queue)
    count = scene.stage.waiting(queue)
    found = defaultdict(list)
    for letter in scene.stage.take(queue, count) if count else []:
        found[str(json.loads(letter.body)["id"])].append(letter)
    return found


def _recovery(scene: Run, records: Records) -> float:
    """Return the seconds from the end of the fault to the recovery.

    The recovery is complete when all earlier notifications and a later one have their messages.
    """
    assert scene.over_at is not None
    before: list[float] = [scene.over_at]
    after: list[float] = []
    for each in scene.stream.published:
        if own := records.get(each.event):
            times = before if each.at <= scene.over_at else after
            times.append(min(record.timestamp_ms for record in own) / 1000)
    return max(*before, min(after, default=scene.over_at)) - scene.over_at
