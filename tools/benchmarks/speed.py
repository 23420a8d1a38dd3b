"""The stand-in warehouse measured alone; see ``tools.benchmarks.probe``."""

import json
import sys
import time
from dataclasses import dataclass

from tools.benchmarks.meter import Meter
from tools.benchmarks.programs import Program
from tools.benchmarks.rig import Rig
from tools.benchmarks.trial import Outcome, Progress
from tools.benchmarks.verdict import NOTHING_WRONG
from tools.notifier import complete
from tools.processes import run


@dataclass(frozen=True, slots=True)
class Speed:
    """As many requests as the stand-in can answer, or at its latency, from so many connections."""

    connections: int
    latency: float
    seconds: float
    messages: int = 1

    @property
    def label(self) -> str:
        """What it is called in tables."""
        return f"{self.connections} connections, {self.latency * 1000:g} ms"

    @property
    def parameters(self) -> dict[str, float]:
        """The same as numbers."""
        return {"connections": self.connections, "latency_ms": self.latency * 1000}

    def run(self, rig: Rig, _program: Program, _progress: Progress) -> Outcome:
        """Drive the stand-in; the program is not needed."""
        with rig.scene(self.latency) as scene:
            pids = scene.services()["warehouse"]
            meter = Meter({"warehouse": pids})
            start = time.time()
            told = json.loads(self._drive(scene.warehouse.rpartition(":")[2], rig))
            meter.stop()
            cpu = meter.cpu_between("warehouse", start, time.time())
            values = {
                "requests_a_second": told["requests"] / told["seconds"],
                "request_us": 1e6 * cpu / told["requests"],
                "mean_ms": 1000 * told["mean"],
                "longest_ms": 1000 * told["p99"],
            }
            return Outcome(values, NOTHING_WRONG)

    def _drive(self, port: str, rig: Rig) -> str:
        arguments = ("--port", port, "--connections", self.connections, "--seconds", self.seconds)
        return run(
            "the probe",
            [sys.executable, "-m", "tools.benchmarks.probe", *map(str, arguments)],
            environment=complete({}),
            folder=rig.folder,
            seconds=self.seconds + 30,
        )
