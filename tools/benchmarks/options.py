"""The command line."""

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from tools.benchmarks.programs import Program, other

PER_SECOND: Final = 20
LONG: Final = 100_000


class Options(argparse.Namespace):
    """The options with their defaults: see ``--help``."""

    stand_in = backlog = matrix = big = idle = full = False
    rate: int | None = None
    scale: int | None = None
    against: Sequence[Program] = ()
    rounds = 3
    in_flight = 64
    latency_ms = 50
    processes = 1
    merge_requests = "both"
    returned = 0
    count = 4000
    seconds = 30
    idle_seconds = 60
    long_count = LONG
    quick = False
    json: Path | None = None
    write = False


def read(arguments: Sequence[str]) -> Options:
    """Read the arguments, without the program's name; exit with code 2 if they are wrong."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        allow_abbrev=False,
        description="Measures the daemon with a real RabbitMQ, a real Kafka and a stand-in for "
        "DataWarehouse with a configurable latency. Without an option of the first group: a "
        "backlog and a fixed rate.",
        epilog="Exit codes: 0 if all runs succeeded; 1 if one failed, or has lost, repeated or "
        "wrong messages; 2 for wrong usage.",
    )
    _add_parts(parser.add_argument_group("parts"))
    _add_ways(parser.add_argument_group("setup"))
    out = parser.add_argument_group("output, besides tables")
    out.add_argument("--json", type=Path, metavar="FILE", help="write the raw rows")
    out.add_argument("--write", action="store_true", help="write tables and a plot to docs/")
    options = parser.parse_args(arguments, Options())
    options.long_count = options.scale or LONG
    if options.quick:  # only shows that everything works: the figures mean nothing
        options.in_flight = min(options.in_flight, 8)
        options.count = options.long_count = 200
        options.seconds = 2
        options.rounds = options.idle_seconds = 1
    return options


def told(arguments: Sequence[str]) -> list[str]:
    """Return the arguments for the documentation: without the paths of this machine."""
    kept = []
    left = iter(arguments)
    for each in left:
        name, _, value = each.partition("=")
        if name in {"--json", "--against"}:
            value = value or next(left)
            kept += [name, Path(value).name] if name == "--against" else []
        elif name != "--write":
            kept.append(each)
    return kept


def _add_parts(group: "argparse._ArgumentGroup") -> None:
    flag = partial(group.add_argument, action="store_true")
    number = partial(group.add_argument, nargs="?", type=_from(1), metavar="N")
    flag("--backlog", help="throughput, CPU, memory")
    number("--rate", const=PER_SECOND, help="added latency at N notifications a second (20)")
    flag("--matrix", help="a backlog, with more and fewer notifications in flight")
    number(
        "--scale",
        const=LONG,
        help="a backlog of N notifications (100000) for one, two and three processes, and a "
        "simulation of KEDA",
    )
    flag("--big", help="big documents among small ones")
    flag("--idle", help="the start, and 60 idle seconds")
    flag("--stand-in", help="only the stand-in for DataWarehouse")
    flag("--full", help="all of these")


def _add_ways(group: "argparse._ArgumentGroup") -> None:
    number = partial(group.add_argument, type=_from(1), metavar="N")
    group.add_argument(
        "--against",
        nargs=1,
        type=other,
        metavar="PROGRAM",
        help="run in turn with Benthos (its program) or another copy of this project (its folder), "
        "and print ratios to that",
    )
    number("--rounds", help="runs of each case (3)")
    number("--in-flight", help="64")
    number("--latency-ms", type=_from(0), help="50")
    number("--processes", help="replicas (1)")
    group.add_argument("--merge-requests", nargs="?", const="yes", choices=("both", "no", "yes"))
    number("--returned", help="percentage of a backlog that comes as from a retry queue (0)")
    number("--count", help="most notifications of a backlog (4000)")
    number("--seconds", help="duration of a fixed rate (30)")
    group.add_argument(
        "--quick", action="store_true", help="only a few notifications, to see that it works"
    )


def _from(least: int) -> Callable[[str], int]:
    def read_number(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} on")
        return int(text)

    return read_number
