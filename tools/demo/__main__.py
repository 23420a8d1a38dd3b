"""The command line: arguments, signals, exit codes.

Exit: 0 when all was seen that should be, 1 when something was not, 2 for wrong usage, 128 + n after
signal n.
"""

import argparse
import sys

from tools.demo.interrupts import Interrupted, interrupts


def main() -> int:
    """Run the demo; return its exit code."""
    interrupts.install()
    try:
        parsed = _parse()
        # Takes half a second, and a Ctrl-C in it should be as quiet as any other.
        from tools.demo.run import run  # noqa: PLC0415  # signals first

        return run(**vars(parsed))
    except Interrupted as error:
        print(f"\nEnded by {error}.", file=sys.stderr)
        return 128 + error.number


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tools.demo",
        description="Shows what the daemon decides about a dozen notifications, and what it sends.",
    )
    flags = {
        "--real-kafka": "start a private Kafka broker (needs Java) instead of the mock",
        "--cluster": "start three nodes of RabbitMQ, three brokers of Kafka and two processes of "
        "the daemon (needs Java)",
        "--keep": "leave everything running until Ctrl-C, and tell what to try",
        "--full": "show messages as a whole",
    }
    for flag, purpose in flags.items():
        parser.add_argument(flag, action="store_true", help=purpose)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
