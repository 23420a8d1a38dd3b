"""Simulate KEDA's rule for a backlog, from the measured rates of one and more processes.

The HorizontalPodAutoscaler asks KEDA for the length of the queue. With at least one replica,
nothing else decides: ``pollingInterval`` only matters between 0 and 1. For its defaults, see
https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/

The simulation leaves out:

- notifications that arrive meanwhile
- notifications that replicas hold, which KEDA does not count: four times those in flight
- services that become slower under load
- retries
- clusters that first have to find room or pull the image
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Final, NamedTuple, Self

import yaml

from tools import PROJECT
from tools.benchmarks.figures import Row

SCALED_OBJECT: Final = PROJECT / "deploy/kubernetes/overlays/production/keda" / "scaled-object.yaml"
BACKLOGS: Final = (10_000, 100_000, 1_000_000)
#: Assumed time until a pod's process starts, on a node that has the image.
POD_SECONDS: Final = 15.0

_LOOK_SECONDS: Final = 15
_STABLE_SECONDS: Final = 300
_TOLERANCE: Final = 0.1
_MORE_AT_ONCE: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """The number of replicas: one for each `value` waiting notifications, within limits."""

    least: int
    most: int
    value: int

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a ScaledObject with a single trigger."""
        spec = yaml.safe_load(path.read_text())["spec"]
        (trigger,) = spec["triggers"]
        return cls(
            least=spec["minReplicaCount"],
            most=spec["maxReplicaCount"],
            value=int(trigger["metadata"]["value"]),
        )

    def desired(self, waiting: float, replicas: int) -> int:
        """Return the number of replicas that the autoscaler wants, with its tolerance."""
        is_near = abs(waiting / (self.value * replicas) - 1) <= _TOLERANCE
        wanted = replicas if is_near else math.ceil(waiting / self.value)
        return min(max(wanted, self.least), self.most)


class Course(NamedTuple):
    """The result: seconds until the queue is empty, and pairs of a time and the replicas then."""

    seconds: int
    replicas: list[tuple[int, int]]


def simulate(waiting: float, rates: Sequence[float], rule: Rule, pod_seconds: float) -> Course:
    """Simulate a backlog that arrives at once, just after the autoscaler's last decision.

    Ends when the queue is empty and the least number of replicas remains.

    Args:
        waiting: the number of notifications.
        rates: notifications a second of one replica, two, and so on up to the most.
        rule: for the number of replicas.
        pod_seconds: from the decision until a replica consumes.
    """
    seconds, course = 0, [(0, rule.least)]
    consume_at = [0.0] * rule.least
    wanted: list[int] = []
    for now in count(1):
        waiting -= rates[sum(since < now for since in consume_at) - 1]
        if waiting > 0:
            seconds = now + 1
        if now % _LOOK_SECONDS == 0:
            replicas = len(consume_at)
            wanted.append(rule.desired(max(0.0, waiting), replicas))
            at_most = max(2 * replicas, replicas + _MORE_AT_ONCE)
            consume_at += [now + pod_seconds] * (min(wanted[-1], at_most) - replicas)
            del consume_at[max(wanted[-_STABLE_SECONDS // _LOOK_SECONDS :]) :]
            if len(consume_at) != replicas:
                course.append((now, len(consume_at)))
        if waiting <= 0 and len(consume_at) == rule.least:
            break
    return Course(seconds, course)


def simulated(rows: Sequence[Row], rule: Rule) -> list[Row]:
    """Return rows of the part ``keda``, from those of the part ``scale``.

    Rates beyond the measured replicas grow linearly, with the last measured difference.
    """
    replicas = []
    for latency in dict.fromkeys(row.setup.latency for row in rows):
        found = [row for row in rows if row.setup.latency == latency]
        if not all(row.values for row in found):
            continue  # A run failed.
        rates = [row.values["throughput"] for row in found]
        while len(rates) < rule.most:
            rates.append(max(rates[-1], 2 * rates[-1] - rates[-2]))
        pod_seconds = POD_SECONDS + found[0].values["start_seconds"]
        replicas += [
            Row(
                part="keda",
                case=f"{waiting:,} waiting, {latency * 1000:g} ms",
                program=f"{rule.least} to {rule.most} replicas",
                values=_values(waiting, rates, rule, pod_seconds),
            )
            for waiting in BACKLOGS
        ]
    return replicas


def _values(
    waiting: float, rates: Sequence[float], rule: Rule, pod_seconds: float
) -> dict[str, float]:
    fixed = replace(rule, most=rule.least)
    course = simulate(waiting, rates, rule, pod_seconds)
    most = max(replicas for _, replicas in course.replicas)
    values: dict[str, float] = {
        "fixed_seconds": simulate(waiting, rates, fixed, pod_seconds).seconds,
        "keda_seconds": course.seconds,
        "most_replicas": most,
    }
    if len(course.replicas) > 1:
        grown = next(since for since, replicas in course.replicas if replicas == most)
        values["grown_seconds"] = grown + pod_seconds
        values["shrunk_seconds"] = course.replicas[-1][0]
    return values
