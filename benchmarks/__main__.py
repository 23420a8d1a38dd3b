"""Measures the daemon: ``scripts/bench``.

python -m benchmarks                          64 in flight, 50 ms, three rounds
python -m benchmarks --count 6000 --rounds 1  more notifications, once
python -m benchmarks --in-flight 32 --latency-ms 0 --merge-requests --log-level INFO
"""

import argparse
import contextlib
import sys

from benchmarks import backlog
from benchmarks.backlog import Backlog, Result
from benchmarks.programs import NOTIFIER
from benchmarks.rig import Rig


def main() -> int:
    """Run what the arguments ask for; return 1 when a program lost something."""
    parsed = _parse()
    plan = Backlog(
        count=parsed.count,
        in_flight=parsed.in_flight,
        latency=parsed.latency_ms / 1000,
        processes=parsed.processes,
        merge_requests=parsed.merge_requests,
        logging_level=parsed.log_level,
    )
    results = []
    with contextlib.ExitStack() as stack:
        rig = Rig(stack)
        for _ in range(parsed.rounds):
            results.append(backlog.run(rig, NOTIFIER, plan, lambda _: None))
            print(_line(results[-1]), flush=True)
    return 0 if all(each.verdict.is_good for each in results) else 1


def _line(result: Result) -> str:
    shares = ", ".join(f"{name} {share:.0%}" for name, share in result.shares.items())
    return (
        f"{result.program}: {result.throughput:.0f}/s, {result.cpu_ms:.3f} ms CPU each, "
        f"{result.peak_mib:.1f} MiB, {result.requests:.2f} requests each; of a core: {shares}; "
        f"{result.verdict}"
    )


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measures the daemon.")
    parser.add_argument("--count", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--latency-ms", type=float, default=50)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--merge-requests", action="store_true")
    parser.add_argument("--log-level", default="WARN")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
