"""How fast a program works off a backlog, and at what cost.

All notifications are in the queue before the program starts, so that nothing is published while it
works. What it does first (start, connect, get warm) is left out: time and CPU are counted from the
moment at which a tenth of the messages is in the topic until the last one is there, by Kafka's own
clock.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from benchmarks.meter import Meter, processes_in
from benchmarks.programs import Program
from benchmarks.rig import Rig, Scene
from benchmarks.verdict import Verdict, judge
from benchmarks.workload import Kind, Workload
from sandbox.kafka import Record
from sandbox.processes import Process

#: The share of the messages that go before those which count.
WARM_UP: Final = 0.1
#: A program that writes nothing for so long does not come back, in seconds.
_STALLED_SECONDS: Final = 20.0
#: What is not yet acknowledged when the last message is there is so after that, in seconds.
_SETTLE_SECONDS: Final = 0.3
_POLL_SECONDS: Final = 0.05

#: Told how many messages are there.
Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What to run.

    Attributes:
        count: notifications, noise included.
        in_flight: notifications handled at once by each process.
        latency: the warehouse's, in seconds.
        processes: replicas on the one queue.
    """

    count: int
    in_flight: int = 64
    latency: float = 0.05
    processes: int = 1
    merge_requests: bool = False
    logging_level: str = "WARN"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What was measured, over all processes of the program.

    Attributes:
        throughput: notifications a second, noise included.
        cpu_ms: CPU milliseconds, user and system, for each notification.
        peak_mib: the most memory.
        requests: HTTP requests for each notification.
        shares: CPU of the program and of all around it, as parts of a core.
    """

    program: str
    backlog: Backlog
    throughput: float
    cpu_ms: float
    peak_mib: float
    requests: float
    shares: dict[str, float]
    verdict: Verdict


def run(rig: Rig, program: Program, backlog: Backlog, progress: Progress) -> Result:
    """Have a program work off a backlog; what it lost or spoilt is in the verdict."""
    with rig.scene(backlog.latency) as scene:
        workload = Workload(scene.gitlab, merge_requests=backlog.merge_requests)
        notifications = workload.take(backlog.count)
        scene.fill_queue(notifications)
        expected = sum(it.kind is not Kind.NOISE for it in notifications)
        processes, meter = start(scene, program, backlog)
        await_records(scene, expected, progress)
        time.sleep(_SETTLE_SECONDS)
        meter.stop()
        peak = meter.peak_mib("program")
        for process in processes:
            process.stop()
        records = scene.records()
        verdict = judge(notifications, records, scene.left_in_queue())
        asked = scene.asked()["answered"] / backlog.count
        return _result(program, backlog, records, meter, (peak, asked, verdict))


def start(scene: Scene, program: Program, backlog: Backlog) -> tuple[list[Process], Meter]:
    """Start the processes of a program, and what measures them."""
    task = scene.task(
        in_flight=backlog.in_flight,
        logging_level=backlog.logging_level,
        merge_requests=backlog.merge_requests,
    )
    folders = [scene.folder / f"{program.name}-{each}" for each in range(backlog.processes)]
    processes = [program.process(task, folder) for folder in folders]
    for process in processes:
        scene.run(process)
    pids = [pid for folder in folders for pid in processes_in(folder)]
    return processes, Meter({"program": pids, **scene.services()})


def await_records(scene: Scene, count: int, progress: Progress) -> None:
    """Return when so many records are there, or when no more come."""
    seen, since = 0, time.monotonic()
    while seen < count and time.monotonic() - since < _STALLED_SECONDS:
        time.sleep(_POLL_SECONDS)
        now = scene.written()
        if now != seen:
            seen, since = now, time.monotonic()
            progress(seen)


def _result(
    program: Program,
    backlog: Backlog,
    records: list[Record],
    meter: Meter,
    told: tuple[float, float, Verdict],
) -> Result:
    peak, requests, verdict = told
    first = int(len(records) * WARM_UP)
    start, end = records[first].timestamp_ms / 1000, records[-1].timestamp_ms / 1000
    # Noise is spread evenly among the others.
    handled = backlog.count * (len(records) - 1 - first) / len(records)
    cpu = {
        group: meter.cpu_between(group, start, end)
        for group in ("program", "warehouse", "rabbitmq", "kafka")
    }
    return Result(
        program=program.name,
        backlog=backlog,
        throughput=handled / (end - start),
        cpu_ms=1000 * cpu["program"] / handled,
        peak_mib=peak,
        requests=requests,
        shares={group: seconds / (end - start) for group, seconds in cpu.items()},
        verdict=verdict,
    )
