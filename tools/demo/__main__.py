"""The command line: arguments, signals, exit codes.

Exit codes: 0 if the demo went as expected, 1 if not, 2 for wrong usage, 128 + n after signal n.
"""

import argparse
import sys

from tools.demo.interrupts import Interrupted, interrupts


def main() -> int:
    """Run the demo; return its exit code."""
    interrupts.install()
    try:
        parsed = _parse()
        # The import takes half a second, in which Ctrl-C should print no traceback.
        from tools.demo.run import run  # noqa: PLC0415  # signals first

        return run(**vars(parsed))
    except Interrupted as error:
        print(f"\nEnded by {error}.", file=sys.stderr)
        return 128 + error.number


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tools.demo",
        description="Shows the daemon's decisions about sixteen notifications, and its messages.",
    )
    flags = {
        "--real-kafka": "start a private Kafka broker (needs Java) instead of the mock",
        "--cluster": "start three nodes of RabbitMQ, three brokers of Kafka and two processes of "
        "the daemon (needs Java)",
        "--keep": "keep everything running until Ctrl-C, and print commands to try",
        "--full": "show whole messages",
    }
    for flag, purpose in flags.items():
        parser.add_argument(flag, action="store_true", help=purpose)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
