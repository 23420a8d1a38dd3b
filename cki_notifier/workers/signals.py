"""The signals that end the daemon: blocked in all threads, and waited for in the main one.

So no handler interrupts anything, none gets lost while the process is starting, and a process with
id 1 gets them too, which has no default action for them.
"""

import signal
from typing import Final

#: They end the process in order, and when it is ending already, at once.
URGENT: Final = frozenset({signal.SIGTERM, signal.SIGINT})


def endings() -> frozenset[signal.Signals]:
    """Return the signals that end the daemon: SIGHUP too, unless ``nohup`` keeps it out."""
    is_kept_out = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    return URGENT if is_kept_out else URGENT | {signal.SIGHUP}


def block() -> None:
    """Block them in this thread and in those it starts."""
    signal.pthread_sigmask(signal.SIG_BLOCK, endings())
