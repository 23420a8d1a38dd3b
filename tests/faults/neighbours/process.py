"""Bad neighbours of the process itself: its HTTP clients, and the readers of its output."""

import contextlib
import socket
import sys
from functools import partial

from tests.faults import kinds
from tests.faults.neighbours.company import Company, Neighbour
from tests.faults.publisher import Expected

#: Starts the daemon with its output in a pipe that nothing reads.
_UNREAD = """
import os, sys
unread, pipe = os.pipe()
os.set_inheritable(unread, True)
os.dup2(pipe, 1)
os.dup2(pipe, 2)
os.execv(sys.executable, [sys.executable, "-m", "cki_notifier"])
"""
#: The output about this many notifications fills a pipe.
_TALKATIVE = 500
_SENT_KINDS = (
    (Expected.SENT, kinds.pre_test),
    (Expected.SENT, kinds.post_test),
    (Expected.SENT, kinds.with_merge_request),
)


class _Callers:
    """Silent connections to the HTTP port."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._open = contextlib.ExitStack()

    def come(self, company: Company) -> None:
        """Open the connections."""
        for _ in range(self._count):
            address = ("127.0.0.1", company.probes.port)
            self._open.enter_context(socket.create_connection(address, timeout=5))

    def leave(self, _company: Company) -> None:
        """Close the connections."""
        self._open.close()


def _silent(count: int, *, short: bool = False) -> Neighbour:
    callers = _Callers(count)
    return Neighbour(
        "process",
        f"{count} silent connections to its HTTP port",
        callers.come,
        callers.leave,
        short=short,
    )


def _print_for_nobody(company: Company) -> None:
    company.scene.daemon.command = [sys.executable, "-c", _UNREAD]


NEIGHBOURS = (
    _silent(64, short=True),
    _silent(300),
    Neighbour(
        "process",
        "nothing reads its output at DEBUG",
        partial(Company.bring, count=_TALKATIVE, make=kinds.pre_test),
        prepare=_print_for_nobody,
        settings={"CKI_LOGGING_LEVEL": "DEBUG"},
        good=_SENT_KINDS,
        waits=False,
    ),
)
