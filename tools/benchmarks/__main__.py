"""Measures the daemon: ``scripts/bench``, or ``python -m tools.benchmarks`` where all is installed.

scripts/bench                           a backlog, a fixed rate; without and with merge requests
scripts/bench --against ./benthos       the same, in turn with Benthos; ratios to it
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
from typing import Final

from rich.console import Console

from tools import PROJECT
from tools.benchmarks.autoscaler import SCALED_OBJECT, Rule, simulated
from tools.benchmarks.cases import backlog
from tools.benchmarks.figures import Row, Setup, table
from tools.benchmarks.options import read, told
from tools.benchmarks.plan import parts
from tools.benchmarks.programs import NOTIFIER
from tools.benchmarks.report import circumstances, draw, markdown, show, write
from tools.benchmarks.session import Part, run
from tools.benchmarks.trial import private_rig, trial

_DOCS: Final = PROJECT / "docs"
#: Of the lines of a log, which nobody reads in a window.
_WIDTH: Final = 160
#: Notifications that nobody counts.
_WARM_UP: Final = 2000


def main(arguments: Sequence[str]) -> int:
    """Run what the arguments ask for; return the exit code: 1 when something was lost or wrong."""
    options = read(arguments)
    planned = parts(options)
    console = Console()
    if not console.is_terminal:
        console.width = _WIDTH
    with private_rig() as rig:
        if not options.quick:
            # The first run of the brokers is a slow one for anybody.
            with trial(rig, NOTIFIER, Setup(latency=0.0)) as first:
                backlog(first, _WARM_UP)
        rows = run(rig, planned, console)
    if options.json:
        texts = [json.dumps(dataclasses.asdict(row)) for row in rows]
        options.json.write_text("[\n" + ",\n".join(texts) + "\n]\n")
    _report(console, planned, rows, circumstances(told(arguments)), writes=options.write)
    return 1 if any(row.fault for row in rows) else 0


def _report(
    console: Console, planned: Sequence[Part], rows: Sequence[Row], made: str, *, writes: bool
) -> None:
    """Show the tables, and put them into the documentation."""
    found = {part.name: [row for row in rows if row.part == part.name] for part in planned}
    tables = {}
    for part in planned:
        reference = part.programs[-1].name if len(part.programs) > 1 else None
        tables[part.name] = part.title, table(found[part.name], reference, part.extra)
    if "scale" in found:
        replicas = simulated(found["scale"], Rule.read(SCALED_OBJECT))
        tables["keda"] = "What KEDA makes of it, simulated", table(replicas)
    for title, lines in tables.values():
        show(console, title, lines)
    if writes:
        sections = {name: f"{markdown(lines)}\n\n{made}" for name, (_, lines) in tables.items()}
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
