"""The entry point of ``python -m cki_notifier`` and of the command ``cki-notifier``."""

import signal
import sys

from cki_notifier.workers import signals


def main() -> int:
    """Prepare the process, run the command line, and return the exit code."""
    try:
        is_daemon = len(sys.argv) == 1
        if is_daemon:
            signals.block()
        # These imports take a second, and a signal may arrive meanwhile.
        from cki_notifier import cli  # noqa: PLC0415  # see above
        from cki_notifier.telemetry import streams  # noqa: PLC0415  # see above

        streams.open_missing()
        if is_daemon:
            streams.unblock()
        try:
            return cli.main()
        finally:
            # Flush here: a failure at the interpreter's end would change the exit code.
            streams.write(sys.stdout, "")
            streams.write(sys.stderr, "")
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


if __name__ == "__main__":
    sys.exit(main())
