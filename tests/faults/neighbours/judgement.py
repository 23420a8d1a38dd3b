"""One run with a bad neighbour: the times of good notifications without and with it."""

import json
import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from tests.brokers.stage import eventually
from tests.faults import meter
from tests.faults.neighbours.company import LIVE, READY, Company, Neighbour
from tests.faults.neighbours.probes import Seen
from tests.faults.publisher import Expected, Published
from tests.faults.scene import Fault, nothing
from tests.faults.verdict import Verdict, come_to_rest, is_at_rest, judge, read_all

HEADINGS = (
    "bad neighbour",
    "good ones alone, p99",
    "with it, p99",
    "seconds until all is through",
    "lost",
    "duplicates",
    "dead letters",
    "peak RSS, MiB",
)
#: The number of good notifications in each stream, and their rate a second.
COUNT, RATE = 60, 20.0
#: The most seconds for a good notification. Alone it takes a tenth of that.
BOUND = 3.0
#: Timeout for a message, in seconds after the last notification.
_NEVER = 15.0
#: The most resident memory of the daemon, in MiB.
ROOM = 400.0
_LOOK_SECONDS = 0.5
_SHARE = 0.99


@dataclass
class Judgement:
    """The result of a run. Times at a timeout are infinite."""

    neighbour: Neighbour
    verdict: Verdict
    alone: float
    among: float
    recovery: float
    peak: float
    #: Claims that did not hold.
    untrue: list[str] = field(default_factory=list)

    @property
    def faults(self) -> list[str]:
        """All faults, a line each."""
        found = list(self.untrue)
        if self.among > BOUND:
            found.append(f"the good ones are held up: p99 {self.among:.1f} s")
        if self.recovery > self.neighbour.patience:
            found.append(f"not at rest {self.neighbour.patience:g} s after the repair")
        if self.peak > ROOM:
            found.append(f"it took {self.peak:.0f} MiB")
        if not self.verdict.is_good:
            found += [
                f"{name}: {len(lines)}, such as {lines[0]}"
                for name in ("lost", "unexplained", "other_ids", "wrong")
                if (lines := getattr(self.verdict, name))
            ]
            if self.verdict.duplicates:
                found.append(f"duplicates: {self.verdict.duplicates}")
        return found

    def row(self) -> list[str]:
        """Return the texts of a row of the table."""
        return [
            self.neighbour.id,
            f"{self.alone:.2f}",
            _seconds(self.among, 2),
            _seconds(self.recovery, 1),
            str(len(self.verdict.lost)),
            str(self.verdict.duplicates),
            str(self.verdict.dead_letters),
            f"{self.peak:.0f}",
        ]


def run(company: Company, neighbour: Neighbour) -> Judgement:
    """Publish good notifications alone, then among the bad ones, then repair."""
    scene = company.scene
    neighbour.prepare(company)
    with scene.daemon:
        eventually(company.probes.is_ready, what="a daemon that is ready")
        alone = _stream(company, neighbour, "alone")
        with company.probes.watching() as looks:
            neighbour.come(company)
            among = _stream(company, neighbour, "among")
            untrue = _untrue(company, neighbour, looks)
        neighbour.leave(company)
        scene.is_over()
        scene.stream.published += [*company.good.published, *company.bad.published]
        scene.stream.repeated |= company.good.repeated | company.bad.repeated
        recovery = _recovery(company, neighbour.patience)
        peak = meter.peak(meter.find(scene.daemon.log.parent))
        come_to_rest(scene, 0 if math.isinf(recovery) else neighbour.patience)
        verdict = judge(scene, Fault(neighbour.edge, neighbour.name, nothing))
    return Judgement(neighbour, verdict, alone, among, recovery, peak, untrue)


def _stream(company: Company, neighbour: Neighbour, name: str) -> float:
    """Publish good notifications at their rate; return the 99th percentile of their times.

    Prepares all of them before, so that a slow test does not look like a slow daemon.
    """
    services = company.scene.services
    prepared = []
    for number in range(COUNT):
        expected, make = neighbour.good[number % len(neighbour.good)]
        checkout_id = f"redhat:good-{name}-{number}"
        prepared.append((checkout_id, expected, json.dumps(make(services, checkout_id)).encode()))
    before = len(company.good.published)
    due = time.monotonic()
    for each in prepared:
        time.sleep(max(0.0, due - time.monotonic()))
        due = max(due + 1 / RATE, time.monotonic())
        company.good.publish(*each)
    return _percentile(_times(company, company.good.published[before:]))


def _times(company: Company, published: Sequence[Published]) -> list[float]:
    """Wait for the notifications; return the time of each."""
    deadline = time.monotonic() + _NEVER
    while True:
        ends = _ends(company)
        times = [ends.get(each.checkout_id, math.inf) - each.begun for each in published]
        if max(times) < math.inf or time.monotonic() > deadline:
            return times
        time.sleep(_LOOK_SECONDS)


def _ends(company: Company) -> dict[str, float]:
    """Return when each checkout was sent or ignored, in seconds since 1970."""
    stage = company.scene.stage
    ends = {
        record.key: record.timestamp_ms / 1000
        for record in reversed(read_all(stage.bootstrap, stage.topic))
    }
    for line in company.scene.daemon.settled():
        if line["outcome"] == Expected.IGNORED.value:
            ends[line["checkout"]] = datetime.fromisoformat(line["time"]).timestamp()
    return ends


def _percentile(times: Iterable[float]) -> float:
    ordered = sorted(times)
    return ordered[math.ceil(_SHARE * len(ordered)) - 1]


def _untrue(company: Company, neighbour: Neighbour, looks: list[Seen]) -> list[str]:
    """Return the claims that do not hold; wait for those that need not always hold."""
    claims = [READY, LIVE, *neighbour.claims(company)]
    time.sleep(neighbour.stays)
    deadline = time.monotonic() + neighbour.told_within
    while True:
        now = company.probes.look()
        soon = [each.what for each in claims if not each.always and not each.holds(now)]
        if not soon or time.monotonic() > deadline:
            break
        time.sleep(_LOOK_SECONDS)
    for each in claims:
        failing = sum(not each.holds(seen) for seen in [*looks, now])
        if each.always and failing:
            soon.append(f"{each.what}: not so {failing} of {len(looks) + 1} times")
    return soon


def _recovery(company: Company, patience: float) -> float:
    """Return the seconds until all notifications are handled."""
    started = time.monotonic()
    while not is_at_rest(company.scene):
        if time.monotonic() - started > patience:
            return math.inf
        time.sleep(_LOOK_SECONDS)
    return time.monotonic() - started


def _seconds(seconds: float, digits: int) -> str:
    return "never" if math.isinf(seconds) else f"{seconds:.{digits}f}"
