"""Measures the daemon: ``scripts/bench``, or ``python -m benchmarks`` where all is installed.

    scripts/bench                           a backlog, a fixed rate; without and with merge requests
    scripts/bench --against benthos         the same, in turn with Benthos; ratios to it
    scripts/bench --against ../other        in turn with another copy of this project
    scripts/bench --backlog --merge-requests no --in-flight 32 --latency-ms 0 --rounds 5
    scripts/bench --rate 20 --seconds 60
    scripts/bench --matrix                  in flight, latency, one and two processes
    scripts/bench --idle --big --stand-in   each by itself
    scripts/bench --full --write            everything in docs/performance.md, which it writes

Exit codes: 0 all was measured and nothing was lost, repeated or wrong; 1 something was; 2 usage.
"""

import argparse
import dataclasses
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchmarks import plan as plans
from benchmarks.benthos import benthos
from benchmarks.figures import Row, by_part, summary
from benchmarks.plan import Plan
from benchmarks.plot import draw
from benchmarks.programs import NOTIFIER, Program, notifier_in
from benchmarks.report import circumstances, markdown, show, write
from benchmarks.rig import private_rig
from benchmarks.screen import Screen
from benchmarks.session import Part, run
from benchmarks.trial import Setup

_DOCS = Path(__file__).resolve().parent.parent / "docs"
_PARTS = {
    "stand_in": plans.stand_in,
    "backlog": plans.backlog,
    "rate": plans.rate,
    "matrix": plans.matrix,
    "big": plans.big,
    "idle": plans.idle,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the arguments ask for; return the exit code.

    Args:
        arguments: without the program's name; None for the process' own.
    """
    given = sys.argv[1:] if arguments is None else arguments
    parsed = _parse(given)
    parts = _parts(parsed)
    console = Console()
    with private_rig() as rig, Screen(console, sum(part.runs for part in parts)) as screen:
        rows = run(rig, parts, screen)
    reference = parts[-1].programs[-1].name
    tables = {}
    for part in parts:
        found = by_part(rows)[part.name]
        lines = summary(found, reference if len(part.programs) > 1 else None)
        show(console, part.title, lines)
        tables[part.name] = f"{markdown(lines)}\n\n{circumstances(given)}"
    if parsed.json:
        texts = [json.dumps(dataclasses.asdict(row)) for row in rows]
        parsed.json.write_text("[\n" + ",\n".join(texts) + "\n]\n")
    if parsed.write:
        write(_DOCS / "performance.md", tables)
        _draw(rows)
    return 0 if all(row.is_good for row in rows) else 1


def _draw(rows: Sequence[Row]) -> None:
    if of_matrix := by_part(rows).get("matrix"):
        draw(of_matrix, _DOCS / "performance.svg")


def _parts(parsed: argparse.Namespace) -> list[Part]:
    others = [_program(parsed.against, parsed.benthos)] if parsed.against else []
    plan = Plan(
        setup=Setup(
            in_flight=parsed.in_flight,
            latency=parsed.latency_ms / 1000,
            processes=parsed.processes,
            logging_level=parsed.log_level,
        ),
        merge_requests={"no": [False], "yes": [True], "both": [False, True]}[parsed.merge_requests],
        programs=[NOTIFIER, *others],
        count=parsed.count,
        turns=parsed.rounds,
        per_second=parsed.rate or 20.0,
        seconds=parsed.seconds,
        idle_seconds=60.0,
        big=parsed.in_flight,
    )
    asked = {"backlog": parsed.backlog, "rate": parsed.rate is not None, "matrix": parsed.matrix}
    asked |= {"idle": parsed.idle, "big": parsed.big, "stand_in": parsed.stand_in}
    if not any(asked.values()):
        asked |= dict.fromkeys(_PARTS if parsed.full else ("backlog", "rate"), True)
    return [make(plan) for name, make in _PARTS.items() if asked[name]]


def _program(name: str, binary: str) -> Program:
    return benthos(Path(binary)) if name == "benthos" else notifier_in(Path(name))


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measures the daemon between a real RabbitMQ, a real Kafka and a stand-in "
        "warehouse. Without an option of the first group, --backlog --rate.",
    )
    parts = parser.add_argument_group("what is measured")
    parts.add_argument("--backlog", action="store_true", help="throughput, CPU, memory")
    parts.add_argument(
        "--rate",
        nargs="?",
        type=float,
        const=20.0,
        metavar="N",
        help="the latency added at N notifications a second (20)",
    )
    parts.add_argument(
        "--matrix", action="store_true", help="a backlog, for more and less in flight"
    )
    parts.add_argument("--big", action="store_true", help="big documents among small ones")
    parts.add_argument("--idle", action="store_true", help="the start, and 60 s of nothing to do")
    parts.add_argument("--stand-in", action="store_true", help="the stand-in warehouse alone")
    parts.add_argument("--full", action="store_true", help="everything")
    how = parser.add_argument_group("how")
    how.add_argument("--against", metavar="benthos|FOLDER", help="in turn with another program")
    how.add_argument(
        "--benthos", metavar="PATH", default=os.environ.get("BENTHOS", "benthos"), help="its binary"
    )
    how.add_argument("--rounds", type=int, default=3, metavar="N", help="runs of each case (3)")
    how.add_argument("--count", type=int, default=4000, metavar="N", help="backlog, at most (4000)")
    how.add_argument("--seconds", type=float, default=30, metavar="N", help="at a fixed rate (30)")
    how.add_argument("--in-flight", type=int, default=64, metavar="N")
    how.add_argument("--latency-ms", type=float, default=50, metavar="N")
    how.add_argument("--processes", type=int, default=1, metavar="N")
    how.add_argument(
        "--merge-requests", nargs="?", const="yes", default="both", choices=("no", "yes", "both")
    )
    how.add_argument("--log-level", default="WARN", metavar="LEVEL")
    out = parser.add_argument_group("what comes of it")
    out.add_argument("--json", type=Path, metavar="FILE", help="raw rows")
    out.add_argument("--write", action="store_true", help="tables and plot into docs/")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
