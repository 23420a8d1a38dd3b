"""What a program costs when nothing happens, and how soon after its start it has sent a message.

The start is the moment at which its process is asked for, so it includes that of the interpreter;
a notification waits in the queue by then, and the services answer at once.
"""

import time
from dataclasses import dataclass, replace
from typing import Final

from tools.benchmarks.programs import Program
from tools.benchmarks.rig import Rig
from tools.benchmarks.trial import Outcome, Progress, Setup, Trial
from tools.benchmarks.workload import Workload

#: What goes on after the first message is over after that, in seconds.
_CALM_SECONDS: Final = 3.0


@dataclass(frozen=True, slots=True)
class Idle:
    """Nothing, for so many seconds, after a first notification."""

    setup: Setup
    seconds: float

    @property
    def label(self) -> str:
        """What it is called in tables."""
        return f"idle for {self.seconds:g} s, {self.setup.in_flight} in flight"

    @property
    def messages(self) -> int:
        """How many messages come of it."""
        return 1

    @property
    def parameters(self) -> dict[str, float]:
        """The same as numbers."""
        return self.setup.parameters

    def run(self, rig: Rig, program: Program, progress: Progress) -> Outcome:
        """Have a program do nothing."""
        setup = replace(self.setup, latency=0.0)
        with rig.scene(setup.latency) as scene:
            notifications = Workload(scene.gitlab).take(1)
            scene.fill_queue(notifications)
            trial = Trial(scene, program, setup)
            trial.wait(len(notifications), progress)
            time.sleep(_CALM_SECONDS)
            start = time.time()
            time.sleep(self.seconds)
            end = time.time()
            records, peak, verdict = trial.finish(notifications)
            values = {
                "start_seconds": records[0].timestamp_ms / 1000 - trial.started,
                "idle_percent": 100 * trial.meter.cpu_between("program", start, end) / self.seconds,
                "peak_mib": peak,
            }
            return Outcome(values, verdict)
