"""The latency that a program adds when notifications come at a fixed rate.

It is the time from the moment before a notification is published until Kafka wrote its message, by
Kafka's clock (the broker's, `LogAppendTime`), less the services' own latency. Kafka counts whole
milliseconds and cuts off the rest, so half a millisecond is added.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pika.adapters.blocking_connection import BlockingChannel

from tools.benchmarks.figures import percentile
from tools.benchmarks.programs import Program
from tools.benchmarks.rig import Rig, Scene, publish
from tools.benchmarks.trial import Outcome, Progress, Setup, Trial, expected_of
from tools.benchmarks.workload import Notification, Workload
from tools.brokers.kafka import Record

#: Notifications that go before those which count.
WARM_UP: Final = 200
_WARM_UP_A_SECOND: Final = 200.0
_CUT_OFF_SECONDS: Final = 0.0005


@dataclass(frozen=True, slots=True)
class Rate:
    """So many notifications a second, noise included, for so many seconds."""

    setup: Setup
    per_second: float
    seconds: float

    @property
    def label(self) -> str:
        """What it is called in tables."""
        return f"{self.per_second:g}/s, {self.setup.label}"

    @property
    def messages(self) -> int:
        """How many messages come of it, about."""
        return (WARM_UP + round(self.per_second * self.seconds)) * 4 // 5

    @property
    def parameters(self) -> dict[str, float]:
        """The same as numbers."""
        return self.setup.parameters

    def run(self, rig: Rig, program: Program, progress: Progress) -> Outcome:
        """Have a program handle them."""
        setup = self.setup
        with rig.scene(setup.latency) as scene, scene.channel() as channel:
            workload = Workload(scene.gitlab, merge_requests=setup.merge_requests)
            first = workload.take(WARM_UP)
            second = workload.take(round(self.per_second * self.seconds))
            trial = Trial(scene, program, setup)
            pace(channel, scene, first, _WARM_UP_A_SECOND)
            trial.wait(expected_of(first), progress)
            start = time.time()
            published = pace(channel, scene, second, self.per_second)
            end = time.time()
            trial.wait(expected_of(first) + expected_of(second), progress)
            records, peak, verdict = trial.finish([*first, *second])
            added = list(latencies(records, published, setup.services_seconds))
            values = {
                "p50_ms": 1000 * percentile(added, 0.5),
                "p99_ms": 1000 * percentile(added, 0.99),
                "cpu_ms": trial.cpu_ms(start, end, len(second)),
                "peak_mib": peak,
                **trial.shares(start, end),
            }
            return Outcome(values, verdict)


def pace(
    channel: BlockingChannel, scene: Scene, notifications: Sequence[Notification], rate: float
) -> dict[str, float]:
    """Publish notifications at a rate; return when each was, by id, in seconds since 1970."""
    published = {}
    begin = time.perf_counter()
    for index, each in enumerate(notifications):
        time.sleep(max(0.0, begin + index / rate - time.perf_counter()))
        published[each.checkout_id] = time.time()
        publish(channel, scene.exchange, each)
    return published


def latencies(
    records: Iterable[Record], published: Mapping[str, float], services_seconds: float
) -> Iterable[float]:
    """Yield the seconds that were added to the services' own, for each record that counts."""
    for record in records:
        if record.key in published:
            written = record.timestamp_ms / 1000 + _CUT_OFF_SECONDS
            yield written - published[record.key] - services_seconds
