"""What big documents do to the small ones that pass by, and to the memory.

Small notifications come at a fixed rate; among them are those of checkouts with 20,000 tests and
20,000 testresults, one by one or all at once. The small ones that count are those published from
the first big one on until the message of the last big one is there.
"""

import time
from dataclasses import dataclass
from typing import Final

from pika.adapters.blocking_connection import BlockingChannel

from tools.benchmarks.figures import percentile
from tools.benchmarks.ids import Shape, checkout_id, number_of
from tools.benchmarks.programs import Program
from tools.benchmarks.rate import WARM_UP, latencies, pace
from tools.benchmarks.rig import Rig, Scene, publish
from tools.benchmarks.trial import Outcome, Progress, Setup, Trial, expected_of
from tools.benchmarks.workload import Notification, Workload, big

#: Goes by before the first big one, in seconds.
_BEFORE_SECONDS: Final = 2
#: However long the big ones take, then no more small ones are published, in seconds.
_LONGEST_SECONDS: Final = 180
#: So few messages that have not come yet may be small ones.
_FEW: Final = 5


@dataclass(frozen=True, slots=True)
class Big:
    """A stream of small notifications with big ones in it.

    Attributes:
        per_second: small notifications, noise included.
        count: big ones.
        every: seconds from one big one to the next; 0 for all at once.
        seconds: how long the stream lasts at least.
    """

    setup: Setup
    per_second: int
    count: int
    every: int
    seconds: int

    @property
    def label(self) -> str:
        """What it is called in tables."""
        if not self.count:
            return f"{self.per_second}/s, none big"
        how = f"one every {self.every} s" if self.every else "at once"
        return f"{self.per_second}/s, {self.count} big, {how}"

    @property
    def messages(self) -> int:
        """How many messages come of it, about."""
        return (WARM_UP + self.per_second * self.seconds) * 4 // 5 + self.count

    @property
    def parameters(self) -> dict[str, float]:
        """The same as numbers."""
        return self.setup.parameters

    def run(self, rig: Rig, program: Program, progress: Progress) -> Outcome:
        """Have a program handle them."""
        setup = self.setup
        with rig.scene(setup.latency, has_big=True) as scene, scene.channel() as channel:
            workload = Workload(scene.gitlab)
            first = workload.take(WARM_UP)
            trial = Trial(scene, program, setup)
            pace(channel, scene, first, len(first))
            trial.wait(expected_of(first), progress)
            stream = _Stream(self, scene, channel, workload, expected_of(first))
            stream.run(progress)
            everything = [*first, *stream.notifications]
            trial.wait(expected_of(everything), progress)
            records, peak, verdict = trial.finish(everything)
            written = {it.key: it.timestamp_ms / 1000 for it in records}
            ends = [written[it] for it in stream.big if it in written]
            end = max(ends, default=time.time())
            counted = {
                name: at for name, at in stream.published.items() if stream.began <= at <= end
            }
            added = list(latencies(records, counted, setup.services_seconds))
            values = {
                "p50_ms": 1000 * percentile(added, 0.5),
                "p99_ms": 1000 * percentile(added, 0.99),
                "peak_mib": peak,
                "big_seconds": end - stream.began if self.count else 0.0,
                **trial.shares(stream.began, end),
            }
            return Outcome(values, verdict)


class _Stream:
    """Publishes small and big notifications, a second at a time, until the big ones are done."""

    def __init__(
        self, plan: Big, scene: Scene, channel: BlockingChannel, workload: Workload, expected: int
    ) -> None:
        self._plan = plan
        self._scene = scene
        self._channel = channel
        self._workload = workload
        self._expected = expected
        self.notifications: list[Notification] = []
        #: When each small one was published.
        self.published: dict[str, float] = {}
        #: The ids of the big ones.
        self.big: list[str] = []
        #: When the first big one was published, or would have been.
        self.began = 0.0

    def run(self, progress: Progress) -> None:
        for second in range(_LONGEST_SECONDS):
            if second == _BEFORE_SECONDS:
                self.began = time.time()
            self._publish_big(second - _BEFORE_SECONDS)
            small = self._workload.take(self._plan.per_second)
            self.published |= pace(self._channel, self._scene, small, self._plan.per_second)
            self._note(small)
            written = self._scene.written()
            progress(written)
            if second >= self._plan.seconds and self._expected - written <= _FEW:
                return

    def _publish_big(self, second: int) -> None:
        plan = self._plan
        left = plan.count - len(self.big)
        is_due = second >= 0 and (not plan.every or second % plan.every == 0)
        for _ in range(min(left, 1) if plan.every else left) if is_due else ():
            index = len(self.big) + 1
            notification = big(self._scene.gitlab, index)
            publish(self._channel, self._scene.exchange, notification)
            self.big.append(checkout_id(number_of(Shape.BIG, index)))
            self._note([notification])

    def _note(self, notifications: list[Notification]) -> None:
        self.notifications += notifications
        self._expected += expected_of(notifications)
