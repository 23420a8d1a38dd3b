"""Measure the daemon: see ``scripts/bench``, or ``python -m tools.benchmarks --help``."""

import contextlib
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
from tools.benchmarks.trial import Trial, private_rig

_DOCS: Final = PROJECT / "docs"
#: Width of lines in a log.
_WIDTH: Final = 160
#: Notifications before the measurements.
_WARM_UP: Final = 2000


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark; return the exit code: 1 if a run lost messages or failed."""
    options = read(arguments)
    planned = parts(options)
    console = Console()
    if not console.is_terminal:
        console.width = _WIDTH
    with private_rig() as rig:
        if not options.quick:
            # The brokers' first run is slow.
            with contextlib.ExitStack() as stack:
                backlog(Trial(rig, NOTIFIER, Setup(latency=0.0), stack), _WARM_UP)
        rows = run(rig, planned, console)
    if options.json:
        texts = [json.dumps(dataclasses.asdict(row)) for row in rows]
        options.json.write_text("[\n" + ",\n".join(texts) + "\n]\n")
    _report(console, planned, rows, circumstances(told(arguments)), writes=options.write)
    return 1 if any(row.fault for row in rows) else 0


def _report(
    console: Console, planned: Sequence[Part], rows: Sequence[Row], made: str, *, writes: bool
) -> None:
    """Show the tables, and write them to the documentation."""
    found = {part.name: [row for row in rows if row.part == part.name] for part in planned}
    tables = {}
    for part in planned:
        reference = part.programs[-1].name if len(part.programs) > 1 else None
        tables[part.name] = part.title, table(found[part.name], reference, part.extra)
    if "scale" in found:
        replicas = simulated(found["scale"], Rule.read(SCALED_OBJECT))
        tables["keda"] = "Replicas with KEDA, simulated", table(replicas)
    for title, lines in tables.values():
        show(console, title, lines)
    if writes:
        sections = {name: f"{markdown(lines)}\n\n{made}" for name, (_, lines) in tables.items()}
        write(_DOCS / "performance.md", sections)
        if "matrix" in found:
            draw(found["matrix"], _DOCS / "performance.svg")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
