"""The port: taken at once, answered from a thread of its own, and given back."""

import asyncio
import errno
import os
import socket
import threading
import time
from collections.abc import Collection

from cki_notifier.configuration.shutdown import REQUESTS_SECONDS
from cki_notifier.notification.errors import ConfigurationError
from cki_notifier.web.connections import Answers, Connections

#: So many connections may wait until they are accepted.
_BACKLOG = 1024
#: So much of an answer is the kernel's, in bytes: it keeps that even for who will never take it.
_KERNELS_SHARE = 65_536


class Server:
    """Holds a port of all interfaces from the start, and answers from :meth:`start` on.

    Args:
        port: its number.

    Raises:
        ConfigurationError: the port is taken, or not ours to take.
    """

    def __init__(self, port: int) -> None:
        try:
            self._listener = _listen(port)
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
            raise ConfigurationError(
                [f"CKI_METRICS_PORT: port {port} can't be used: {reason}"]
            ) from error
        self._listener.settimeout(0)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _KERNELS_SHARE)
        self._started: tuple[asyncio.AbstractEventLoop, Connections, threading.Thread] | None = None

    def start(self, answers: Answers, probes: Collection[str]) -> None:
        """Answer requests, in threads of their own.

        Args:
            answers: called for each request, in many threads at once.
            probes: the addresses that are answered however busy the others keep us.
        """
        loop, connections = asyncio.new_event_loop(), Connections(self._listener, answers, probes)

        def run() -> None:
            loop.run_until_complete(connections.serve(REQUESTS_SECONDS))

        thread = threading.Thread(target=run, name="http", daemon=True)
        thread.start()
        self._started = loop, connections, thread

    def close(self) -> None:
        """Give the port back within :data:`REQUESTS_SECONDS`; answers on their way are finished."""
        end = time.monotonic() + REQUESTS_SECONDS
        if self._started is not None:
            loop, connections, thread = self._started
            loop.call_soon_threadsafe(connections.stop)
            thread.join()
            loop.close()
            connections.close(end)
        self._listener.close()


def _listen(port: int) -> socket.socket:
    """Listen on all interfaces for IPv6 and IPv4, or for what of them the machine has.

    Raises:
        OSError: it can't be.
    """
    if socket.has_dualstack_ipv6():
        try:
            return socket.create_server(
                ("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=_BACKLOG
            )
        except OSError as error:
            if error.errno != errno.EADDRNOTAVAIL:  # IPv6 is there, but switched off
                raise
    return socket.create_server(("", port), backlog=_BACKLOG)
