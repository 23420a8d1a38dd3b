"""How fast a program works off a backlog, and at what cost.

All notifications are in the queue before the program starts, so that nothing is published while it
works. What it does first (start, connect, get warm) is left out: time and CPU are counted from the
moment at which a tenth of the messages is in the topic until the last one is there, by Kafka's own
clock.
"""

from dataclasses import dataclass
from typing import Final

from tools.benchmarks.programs import Program
from tools.benchmarks.rig import Rig
from tools.benchmarks.trial import Outcome, Progress, Setup, Trial, expected_of
from tools.benchmarks.workload import Workload

#: The share of the messages that go before those which count.
WARM_UP: Final = 0.1


@dataclass(frozen=True, slots=True)
class Backlog:
    """So many notifications, noise included, that wait when the program starts."""

    setup: Setup
    count: int

    @property
    def label(self) -> str:
        """What it is called in tables."""
        return self.setup.label

    @property
    def messages(self) -> int:
        """How many messages come of it, about."""
        return self.count * 4 // 5

    @property
    def parameters(self) -> dict[str, float]:
        """The same as numbers."""
        return self.setup.parameters

    def run(self, rig: Rig, program: Program, progress: Progress) -> Outcome:
        """Have a program work it off."""
        setup = self.setup
        with rig.scene(setup.latency) as scene:
            workload = Workload(
                scene.gitlab, merge_requests=setup.merge_requests, returned=setup.returned
            )
            notifications = workload.take(self.count)
            scene.fill_queue(notifications)
            trial = Trial(scene, program, setup)
            trial.wait(expected_of(notifications), progress)
            records, peak, verdict = trial.finish(notifications)
            first = int(len(records) * WARM_UP)
            start, end = records[first].timestamp_ms / 1000, records[-1].timestamp_ms / 1000
            # Noise is spread evenly among the others.
            handled = self.count * (len(records) - 1 - first) / len(records)
            values = {
                "throughput": handled / (end - start),
                "cpu_ms": trial.cpu_ms(start, end, handled),
                "peak_mib": peak,
                **trial.each,
                **trial.shares(start, end),
                "requests": scene.asked()["answered"] / self.count,
                "start_seconds": records[0].timestamp_ms / 1000 - trial.started,
                "lost": verdict.lost,
                "repeated": verdict.repeated,
            }
            return Outcome(values, verdict)
