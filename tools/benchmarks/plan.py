"""Plan the parts: their cases, and the number of notifications of each."""

from dataclasses import replace
from functools import partial
from typing import Final

from tools.benchmarks import cases
from tools.benchmarks.figures import Setup
from tools.benchmarks.options import PER_SECOND, Options
from tools.benchmarks.programs import NOTIFIER, Program
from tools.benchmarks.session import Case, Part

_VARIANTS: Final = {"no": (False,), "yes": (True,), "both": (False, True)}
#: The values of the matrix.
_IN_FLIGHT: Final = (1, 32, 64, 256)
_LATENCIES: Final = (0.0, 0.05)
_PROCESSES: Final = (1, 2)
#: Numbers of processes that share a long backlog.
_REPLICAS: Final = (1, 2, 3)
#: Latency of slow services, in seconds. They get a tenth of the backlog, to save time.
_SLOW: Final = 1.0
_OF_SCALE: Final = ("largest_mib", "evenness", "rabbitmq", "kafka", "lost", "repeated")
_BIG_EVERY_SECONDS: Final = 3
_STAND_IN_SECONDS: Final = 3

_MIX: Final = 5
#: The approximate duration of a backlog in seconds, and its least number of notifications.
_LONGEST_SECONDS: Final = 15.0
_FEWEST: Final = 200
_TIMES_IN_FLIGHT: Final = 20
#: The highest rate with one notification at a time, notifications a second.
_FASTEST_OF_ONE: Final = 200.0


def parts(options: Options) -> list[Part]:
    """Return the requested parts, in the order of their runs."""
    makers = (_stand_in, _backlog, _rate, _matrix, _scale, _big, _idle)
    made = {part.name: part for part in (make(options) for make in makers)}
    names = [it for it in made if options.full or getattr(options, it.replace("-", "_"))]
    return [made[name] for name in names or ("backlog", "rate")]


def _stand_in(options: Options) -> Part:
    many, latency = options.in_flight, options.latency_ms / 1000
    speeds = [
        Case(
            f"{connections} connections, {seconds * 1000:g} ms",
            Setup(in_flight=connections, latency=seconds),
            1,
            partial(cases.stand_in, connections=connections, seconds=_STAND_IN_SECONDS),
        )
        for connections, seconds in ((many, 0.0), (many, latency), (1, latency))
    ]
    probe = Program("the probe", ())
    return Part("stand-in", "The stand-in for DataWarehouse alone", speeds, [probe])


def _backlog(options: Options) -> Part:
    backlogs = [backlog(setup, notifications(setup, options.count)) for setup in _variants(options)]
    return Part("backlog", "A backlog", backlogs, [NOTIFIER, *options.against], options.rounds)


def _rate(options: Options) -> Part:
    per_second = options.rate or PER_SECOND
    rates = [
        Case(
            f"{per_second}/s, {setup.label}",
            setup,
            (cases.WARM_UP + per_second * options.seconds) * 4 // 5,
            partial(cases.rate, per_second=per_second, seconds=options.seconds),
        )
        for setup in _variants(options)
    ]
    return Part("rate", "A fixed rate", rates, [NOTIFIER, *options.against], options.rounds)


def _matrix(options: Options) -> Part:
    setups = [
        replace(_setup(options), in_flight=number, latency=latency, processes=processes)
        for processes in _PROCESSES
        for latency in _LATENCIES
        for number in _IN_FLIGHT
    ]
    backlogs = [backlog(setup, notifications(setup, options.count)) for setup in setups]
    return Part("matrix", "More or less in flight", backlogs, [NOTIFIER], options.rounds)


def _scale(options: Options) -> Part:
    """Return a long backlog for more and more processes, with low and high latency."""
    many, few = options.long_count, max(options.long_count // 10, _FEWEST)
    backlogs = [
        backlog(replace(_setup(options), latency=latency, processes=processes), count)
        for latency, count in ((0.0, many), (options.latency_ms / 1000, many), (_SLOW, few))
        for processes in _REPLICAS
    ]
    return Part("scale", "A long backlog", backlogs, [NOTIFIER], extra=_OF_SCALE)


def _big(options: Options) -> Part:
    per_second, seconds = options.rate or PER_SECOND, options.seconds
    few, many = max(1, seconds // _BIG_EVERY_SECONDS), options.in_flight
    streams = [
        Case(
            f"{per_second}/s, {label}",
            _setup(options),
            (cases.WARM_UP + per_second * seconds) * 4 // 5 + count,
            partial(
                cases.among_big_ones,
                per_second=per_second,
                seconds=seconds,
                big=count,
                every=every,
            ),
            has_big=True,
        )
        for label, count, every in (
            ("none big", 0, 0),
            (f"{few} big, one every {_BIG_EVERY_SECONDS} s", few, _BIG_EVERY_SECONDS),
            (f"{many} big, at once", many, 0),
        )
    ]
    return Part("big", "Big documents among small ones", streams, [NOTIFIER])


def _idle(options: Options) -> Part:
    seconds = options.idle_seconds
    calm = Case(
        f"idle for {seconds} s, {options.in_flight} in flight",
        replace(_setup(options), latency=0.0),
        1,
        partial(cases.idle, seconds=seconds),
    )
    programs = [NOTIFIER, *options.against]
    return Part("idle", "Start, and nothing to do", [calm], programs, extra=("start_seconds",))


def _setup(options: Options) -> Setup:
    return Setup(
        in_flight=options.in_flight,
        latency=options.latency_ms / 1000,
        processes=options.processes,
        returned=options.returned,
    )


def _variants(options: Options) -> list[Setup]:
    setup, variants = _setup(options), _VARIANTS[options.merge_requests]
    return [replace(setup, merge_requests=each) for each in variants]


def backlog(setup: Setup, count: int) -> Case:
    """Return a backlog of ``count`` notifications."""
    return Case(setup.label, setup, count * 4 // 5, partial(cases.backlog, count=count))


def notifications(setup: Setup, usual: int) -> int:
    """Return the length of a backlog that takes neither too long nor too short.

    Args:
        setup: with few notifications in flight a backlog takes long. With many, the last
            notifications, which finish with free slots, must be a small share.
        usual: the number without these limits.
    """
    at_once = setup.in_flight * setup.processes
    wait = max(setup.services_seconds, 1 / _FASTEST_OF_ONE)
    most = max(_FEWEST, round(_LONGEST_SECONDS * at_once / wait))
    count = min(max(usual, _TIMES_IN_FLIGHT * at_once), most)
    return max(_MIX, count // _MIX * _MIX)
