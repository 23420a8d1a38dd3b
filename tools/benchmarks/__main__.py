"""Measures the daemon: ``scripts/bench``, or ``python -m tools.benchmarks`` where all is installed.

scripts/bench                           a backlog, a fixed rate; without and with merge requests
scripts/bench --against benthos         the same, in turn with Benthos; ratios to it
scripts/bench --against ../other        in turn with another copy of this project
scripts/bench --backlog --merge-requests no --in-flight 32 --latency-ms 0 --rounds 5
scripts/bench --rate 20 --seconds 60
scripts/bench --matrix                  in flight, latency, one and two processes
scripts/bench --scale                   100,000 for one, two, three processes; KEDA's rule
scripts/bench --idle --big --stand-in   each by itself
scripts/bench --full --write            everything in docs/performance.md, which it writes
"""

import dataclasses
import json
import signal
import sys
from collections.abc import Sequence

from rich.console import Console

from tools import PROJECT
from tools.benchmarks.arguments import Asked, read
from tools.benchmarks.autoscaler import SCALED_OBJECT, Rule, simulated
from tools.benchmarks.figures import Row, by_part, summary
from tools.benchmarks.plot import draw
from tools.benchmarks.report import circumstances, markdown, show, write
from tools.benchmarks.rig import private_rig
from tools.benchmarks.screen import Screen
from tools.benchmarks.session import run, warm_up

_DOCS = PROJECT / "docs"
#: Of the lines of a log, which nobody reads in a window.
_WIDTH = 160


def main(arguments: Sequence[str]) -> int:
    """Run what the arguments ask for; return the exit code: 1 when something was lost or wrong."""
    asked = read(arguments)
    console = Console()
    if not console.is_terminal:
        console.width = _WIDTH
    with private_rig() as rig, Screen(console, sum(part.runs for part in asked.parts)) as screen:
        if asked.warms_up:
            warm_up(rig)
        rows = run(rig, asked.parts, screen)
    _report(console, asked, rows)
    return 0 if all(row.is_good for row in rows) else 1


def _report(console: Console, asked: Asked, rows: Sequence[Row]) -> None:
    """Show the tables, and keep what is to be kept."""
    found = by_part(rows)
    made = circumstances(asked.command)
    tables = {}
    for part in asked.parts:
        reference = part.programs[-1].name if len(part.programs) > 1 else None
        tables[part.name] = part.title, summary(found[part.name], reference, part.extra)
    if "scale" in found:
        replicas = simulated(found["scale"], Rule.read(SCALED_OBJECT))
        tables["keda"] = "What KEDA makes of it, simulated", summary(replicas, None)
    sections = {}
    for name, (title, lines) in tables.items():
        show(console, title, lines)
        sections[name] = f"{markdown(lines)}\n\n{made}"
    if asked.json:
        texts = [json.dumps(dataclasses.asdict(row)) for row in rows]
        asked.json.write_text("[\n" + ",\n".join(texts) + "\n]\n")
    if asked.writes:
        write(_DOCS / "performance.md", sections)
        if "matrix" in found:
            draw(found["matrix"], _DOCS / "performance.svg")


def _end(number: int, _frame: object) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
