"""Which cases make which part, and how many notifications each takes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from tools.benchmarks.backlog import Backlog
from tools.benchmarks.big import Big
from tools.benchmarks.idle import Idle
from tools.benchmarks.programs import Program
from tools.benchmarks.rate import Rate
from tools.benchmarks.session import Part
from tools.benchmarks.speed import Speed
from tools.benchmarks.trial import Setup

#: Of these the matrix is made.
IN_FLIGHT: Final = (1, 32, 64, 256)
LATENCIES: Final = (0.0, 0.05)
PROCESSES: Final = (1, 2)
#: So many processes share a long backlog.
REPLICAS: Final = (1, 2, 3)
#: Of slow services, in seconds: of a tenth of the backlog, or it would take for ever.
SLOW: Final = 1.0

_MIX: Final = 5
#: A backlog is worked off within about so many seconds, and a few notifications it has at least.
_LONGEST_SECONDS: Final = 15.0
_FEWEST: Final = 200
_TIMES_IN_FLIGHT: Final = 20
#: More a second were not seen of one notification at a time.
_FASTEST_OF_ONE: Final = 200.0
_BIG_EVERY_SECONDS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is asked for on the command line.

    Attributes:
        setup: without merge requests.
        merge_requests: the variants to run.
        programs: the one that ratios are to is the last.
        count: notifications of a backlog at most.
        long_count: of a long backlog.
        turns: how often each program runs each case.
        per_second, seconds: of what comes at a fixed rate.
        idle_seconds: how long the idle program is watched.
        big: big checkouts that come at once.
    """

    setup: Setup
    merge_requests: Sequence[bool]
    programs: Sequence[Program]
    count: int
    long_count: int
    turns: int
    per_second: float
    seconds: float
    idle_seconds: float
    big: int


def backlog(plan: Plan) -> Part:
    """Throughput, CPU and memory."""
    cases = [_backlog(plan, setup) for setup in _variants(plan)]
    return Part("backlog", "A backlog", cases, plan.programs, plan.turns)


def rate(plan: Plan) -> Part:
    """The latency that is added at a fixed rate."""
    cases = [Rate(setup, plan.per_second, plan.seconds) for setup in _variants(plan)]
    return Part("rate", "A fixed rate", cases, plan.programs, plan.turns)


def matrix(plan: Plan) -> Part:
    """A backlog again, for all numbers in flight, latencies and numbers of processes."""
    cases = [
        _backlog(plan, replace(plan.setup, in_flight=number, latency=latency, processes=processes))
        for processes in PROCESSES
        for latency in LATENCIES
        for number in IN_FLIGHT
    ]
    return Part("matrix", "More or less in flight", cases, plan.programs[:1], plan.turns)


def scale(plan: Plan) -> Part:
    """A long backlog for one, two and three processes: where CPU counts, and where latency does."""
    many, few = plan.long_count, max(plan.long_count // 10, _FEWEST)
    cases = [
        Backlog(replace(plan.setup, latency=latency, processes=processes), count)
        for latency, count in ((0.0, many), (plan.setup.latency, many), (SLOW, few))
        for processes in REPLICAS
    ]
    return Part("scale", "A long backlog", cases, plan.programs[:1], 1, _OF_SCALE)


_OF_SCALE: Final = ("largest_mib", "evenness", "rabbitmq", "kafka", "lost", "repeated")


def idle(plan: Plan) -> Part:
    """What doing nothing costs."""
    cases = [Idle(plan.setup, plan.idle_seconds)]
    return Part("idle", "Start, and nothing to do", cases, plan.programs, 1, ("start_seconds",))


def big(plan: Plan) -> Part:
    """Big documents among small ones."""
    rate, seconds = int(plan.per_second), int(plan.seconds)
    cases = [
        Big(plan.setup, rate, 0, 0, seconds),
        Big(plan.setup, rate, max(1, seconds // _BIG_EVERY_SECONDS), _BIG_EVERY_SECONDS, seconds),
        Big(plan.setup, rate, plan.big, 0, seconds),
    ]
    return Part("big", "Big documents among small ones", cases, plan.programs[:1], 1)


def stand_in(plan: Plan) -> Part:
    """The stand-in warehouse alone."""
    many, latency = plan.setup.in_flight, plan.setup.latency
    cases = [
        Speed(connections, seconds, _STAND_IN_SECONDS)
        for connections, seconds in ((many, 0.0), (many, latency), (1, latency))
    ]
    return Part("stand-in", "The stand-in warehouse alone", cases, (_NOBODY,), 1)


_STAND_IN_SECONDS: Final = 3.0
_NOBODY: Final = Program("the probe", (), lambda _: {})


def _variants(plan: Plan) -> Iterable[Setup]:
    return [replace(plan.setup, merge_requests=each) for each in plan.merge_requests]


def _backlog(plan: Plan, setup: Setup) -> Backlog:
    return Backlog(setup, notifications(setup, plan.count))


def notifications(setup: Setup, usual: int) -> int:
    """Return how many notifications make a backlog that takes neither too long nor too short.

    Args:
        setup: the fewer are in flight, the longer each takes; and however many are, what is
            handled while the last ones come to their end must not count for much.
        usual: the number where neither is the case.
    """
    at_once = setup.in_flight * setup.processes
    wait = max(setup.services_seconds, 1 / _FASTEST_OF_ONE)
    most = max(_FEWEST, round(_LONGEST_SECONDS * at_once / wait))
    count = min(max(usual, _TIMES_IN_FLIGHT * at_once), most)
    return max(_MIX, count // _MIX * _MIX)
