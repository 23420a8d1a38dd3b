"""The signals that end a process in order.

The daemon blocks them in all threads and waits for them in the main one. So no handler interrupts
anything, and no signal is lost during the start. A process with id 1, which has no default
action for them, gets them too. A command that changes something postpones them.
"""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

#: The first one ends the process in order, the second one at once.
URGENT: Final = frozenset({signal.SIGTERM, signal.SIGINT})


def endings() -> frozenset[signal.Signals]:
    """Return the signals that end the daemon: SIGHUP too, unless ``nohup`` blocks it."""
    is_kept_out = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    return URGENT if is_kept_out else URGENT | {signal.SIGHUP}


def block() -> None:
    """Block the signals in this thread and in those it starts."""
    signal.pthread_sigmask(signal.SIG_BLOCK, endings())


@contextmanager
def postponed(note: Callable[[int], object]) -> Iterator[None]:
    """Note signals, so that they do not interrupt I/O.

    Args:
        note: called with the first one, by a handler; a second one ends the process at once.
    """
    received: list[int] = []

    def handle(number: int, _frame: FrameType | None) -> None:
        if received:
            os._exit(128 + number)
        received.append(number)
        note(number)

    before = {number: signal.signal(number, handle) for number in sorted(URGENT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
