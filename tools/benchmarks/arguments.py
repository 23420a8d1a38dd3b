"""The command line: which parts to run, how, and what to make of the rows."""

import argparse
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

from tools.benchmarks import plan as plans
from tools.benchmarks.benthos import benthos
from tools.benchmarks.plan import Plan
from tools.benchmarks.programs import NOTIFIER, Program, notifier_in
from tools.benchmarks.session import Part
from tools.benchmarks.trial import Setup

_PARTS: Final[Mapping[str, Callable[[Plan], Part]]] = MappingProxyType(
    {
        "stand_in": plans.stand_in,
        "backlog": plans.backlog,
        "rate": plans.rate,
        "matrix": plans.matrix,
        "scale": plans.scale,
        "big": plans.big,
        "idle": plans.idle,
    }
)
_BY_DEFAULT: Final = ("backlog", "rate")
_PER_SECOND: Final = 20.0
_LONG: Final = 100_000
#: In flight, when it has to be quick.
_FEW: Final = 8
_VARIANTS: Final = MappingProxyType({"no": (False,), "yes": (True,), "both": (False, True)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is asked for.

    Attributes:
        parts: to be run, in this order.
        warms_up: whether the brokers are to be warm before anything is measured.
        command: the arguments as they are told to others, without where things are here.
        json: where raw rows go, None for nowhere.
        writes: whether tables and plot go into the documentation.
    """

    parts: list[Part]
    warms_up: bool
    command: list[str]
    json: Path | None
    writes: bool


def read(arguments: Sequence[str]) -> Asked:
    """Read the arguments, without the program's name; exit with code 2 when they are wrong."""
    parser = _parser()
    parsed = parser.parse_args(arguments)
    try:
        plan = _plan(parsed)
    except ValueError as error:
        parser.error(str(error))
    names = [name for name in _PARTS if getattr(parsed, name) not in {None, False}]
    if not names:
        names = list(_PARTS if parsed.full else _BY_DEFAULT)
    return Asked(
        parts=[_PARTS[name](plan) for name in names],
        warms_up=not parsed.quick,
        command=_told(arguments),
        json=parsed.json,
        writes=parsed.write,
    )


def _told(arguments: Sequence[str]) -> list[str]:
    """Return the arguments without the paths of this machine."""
    told = []
    left = iter(arguments)
    for each in left:
        name, _, value = each.partition("=")
        if name in {"--json", "--benthos", "--against"}:
            value = value or next(left)
            told += [name, Path(value).name] if name == "--against" else []
        elif name != "--write":
            told.append(each)
    return told


def _plan(parsed: argparse.Namespace) -> Plan:
    """Return the plan; raise ValueError when the other program is not there."""
    others = [_other(parsed.against, parsed.benthos)] if parsed.against else []
    plan = Plan(
        setup=Setup(
            in_flight=parsed.in_flight,
            latency=parsed.latency_ms / 1000,
            processes=parsed.processes,
            returned=parsed.returned,
            logging_level=parsed.log_level,
        ),
        merge_requests=_VARIANTS[parsed.merge_requests],
        programs=[NOTIFIER, *others],
        count=parsed.count,
        long_count=parsed.scale or _LONG,
        turns=parsed.rounds,
        per_second=parsed.rate or _PER_SECOND,
        seconds=parsed.seconds,
        idle_seconds=60.0,
        big=parsed.in_flight,
    )
    return quick(plan) if parsed.quick else plan


def quick(plan: Plan) -> Plan:
    """Return a plan that takes seconds, to see that everything works: its figures mean nothing."""
    setup = replace(plan.setup, in_flight=min(plan.setup.in_flight, _FEW))
    return replace(
        plan,
        setup=setup,
        count=200,
        long_count=200,
        turns=1,
        seconds=2.0,
        idle_seconds=1.0,
        big=2,
    )


def _other(name: str, binary: str) -> Program:
    if name != "benthos":
        return notifier_in(Path(name))
    found = shutil.which(binary)
    if found is None:
        raise ValueError(f"there is no program {binary}; --benthos or BENTHOS says where it is")
    return benthos(Path(found).resolve())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        allow_abbrev=False,
        description="Measures the daemon between a real RabbitMQ, a real Kafka and a stand-in "
        "warehouse whose latency can be set. Without an option of the first group: a backlog and "
        "a fixed rate.",
        epilog="Exit codes: 0 all was measured, and nothing lost, repeated or wrong; 1 something "
        "was; 2 wrong usage.",
    )
    _add_parts(parser.add_argument_group("what is measured"))
    _add_ways(parser.add_argument_group("how"))
    out = parser.add_argument_group("what comes of it, besides tables")
    out.add_argument("--json", type=Path, metavar="FILE", help="the raw rows")
    out.add_argument("--write", action="store_true", help="tables and a plot in docs/")
    return parser


def _add_parts(group: "argparse._ArgumentGroup") -> None:
    group.add_argument("--backlog", action="store_true", help="throughput, CPU, memory")
    group.add_argument(
        "--rate",
        nargs="?",
        type=_positive,
        const=_PER_SECOND,
        metavar="N",
        help="the latency added at N notifications a second (20)",
    )
    group.add_argument(
        "--matrix", action="store_true", help="a backlog, for more and less in flight"
    )
    group.add_argument(
        "--scale",
        nargs="?",
        type=_whole,
        const=_LONG,
        metavar="N",
        help="a backlog of N notifications (100000) for one, two and three processes, and what "
        "KEDA makes of it, simulated",
    )
    group.add_argument("--big", action="store_true", help="big documents among small ones")
    group.add_argument("--idle", action="store_true", help="the start, and 60 s of nothing to do")
    group.add_argument("--stand-in", action="store_true", help="the stand-in warehouse alone")
    group.add_argument("--full", action="store_true", help="all of these")


def _add_ways(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "--against",
        metavar="benthos|FOLDER",
        help="in turn with Benthos or with another copy of this project; ratios are to that",
    )
    group.add_argument(
        "--benthos",
        metavar="PATH",
        default=os.environ.get("BENTHOS", "benthos"),
        help="its binary (the variable BENTHOS, or benthos in the path)",
    )
    group.add_argument("--rounds", type=_whole, default=3, metavar="N", help="of each case (3)")
    group.add_argument("--in-flight", type=_whole, default=64, metavar="N", help="64")
    group.add_argument("--latency-ms", type=_latency, default=50.0, metavar="N", help="50")
    group.add_argument("--processes", type=_whole, default=1, metavar="N", help="replicas (1)")
    group.add_argument(
        "--merge-requests", nargs="?", const="yes", default="both", choices=sorted(_VARIANTS)
    )
    group.add_argument(
        "--returned",
        type=_whole,
        default=0,
        metavar="N",
        help="of a backlog, so many percent come as from a delay queue (0)",
    )
    group.add_argument("--log-level", default="WARN", metavar="LEVEL", help="WARN")
    group.add_argument(
        "--count", type=_whole, default=4000, metavar="N", help="of a backlog, at most (4000)"
    )
    group.add_argument(
        "--seconds", type=_positive, default=30.0, metavar="N", help="at a fixed rate (30)"
    )
    group.add_argument("--quick", action="store_true", help="a few of all: does it work?")


def _whole(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above 0")
    return int(text)


def _positive(text: str) -> float:
    number = _latency(text)
    if not number:
        raise argparse.ArgumentTypeError("0 is not above 0")
    return number


def _latency(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 on")
    return number
