"""The stand-ins as a program: `python -m tools.stand_ins`, until SIGTERM or Ctrl-C.

They serve the documents of the demo, as they are at its end. Their addresses and tokens come from
the daemon's variables (`DATAWAREHOUSE_URL`, `GITLAB_TOKENS`, …). Exit code: 0, or 2 for wrong usage
or configuration.
"""

import argparse
import signal
import sys
from collections import deque

from cki_notifier.configuration.settings import read_config
from cki_notifier.notification.errors import ConfigurationError
from tools.demo.scenario import scenario
from tools.stand_ins.configured import configured

_SIGNALS = {signal.SIGTERM, signal.SIGINT}


def main() -> int:
    """Serve until a signal comes; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.stand_ins",
        description="Serves stand-ins for DataWarehouse, GitLab and Jira. Their addresses and "
        "tokens come from the daemon's variables.",
    )
    parser.add_argument(
        "--listen",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="the address to listen on, 127.0.0.1 by default",
    )
    listen = parser.parse_args().listen
    # Blocked in all threads, and received below, so that a process with id 1 gets them, too.
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        services = configured(read_config(needs_rabbitmq=False, needs_kafka=False), listen)
    except (ConfigurationError, OSError) as error:
        print(f"The stand-ins can't be started: {error}", file=sys.stderr)
        return 2
    deque(scenario(services), maxlen=0)  # each scene updates the documents
    with services:
        print("Standing in at", *(service.url for service in services.all), flush=True)
        signal.sigwait(_SIGNALS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
