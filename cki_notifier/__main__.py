"""``python -m cki_notifier``, and the command ``cki-notifier``: what comes before all else."""

import signal
import sys

from cki_notifier.workers import signals


def main() -> int:
    """Make the process ready for the command line, and run it; return the exit code."""
    try:
        is_daemon = len(sys.argv) == 1
        if is_daemon:
            signals.block()
        # What these import takes a second, in which a signal may come.
        from cki_notifier import cli  # noqa: PLC0415  # see above
        from cki_notifier.telemetry import streams  # noqa: PLC0415  # see above

        streams.open_missing()
        if is_daemon:
            streams.unblock()
        try:
            return cli.main()
        finally:
            # What can't be written now can't be at the interpreter's end either.
            streams.write(sys.stdout, "")
            streams.write(sys.stderr, "")
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


if __name__ == "__main__":
    sys.exit(main())
