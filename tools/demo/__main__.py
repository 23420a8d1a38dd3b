"""The command line: arguments, signals, exit codes.

Exit: 0 when all was seen that should be, 1 when something was not, 2 for wrong usage, 128 + n after
signal n.
"""

import argparse
import sys

from tools.demo.interrupts import Interrupted, Interrupts


def main() -> int:
    """Run the demo; return its exit code."""
    interrupts = Interrupts()
    interrupts.install()
    try:
        parsed = _parse()
        # Takes half a second, and a Ctrl-C in it should be as quiet as any other.
        from tools.demo.run import run  # noqa: PLC0415  # signals first

        return run(interrupts, **vars(parsed))
    except Interrupted as error:
        print(f"\nEnded by {error}.", file=sys.stderr)
        return 128 + error.number


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tools.demo",
        description="Shows what the daemon decides about a dozen notifications, and what it sends.",
    )
    parser.add_argument(
        "--real-kafka",
        action="store_true",
        help="start a private Kafka broker (needs Java) instead of the mock",
    )
    parser.add_argument(
        "--cluster",
        action="store_true",
        help="start three nodes of RabbitMQ, three brokers of Kafka and two processes of the "
        "daemon (needs Java)",
    )
    parser.add_argument(
        "--keep",
        action="store_true",
        help="leave everything running until Ctrl-C, and tell what to try",
    )
    parser.add_argument("--full", action="store_true", help="show messages as a whole")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
