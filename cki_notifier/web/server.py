"""The port: taken at once, each request answered in a thread of its own, and given back."""

import contextlib
import logging
import socket
import sys
import threading
import time
from collections.abc import Callable
from socketserver import ThreadingTCPServer
from typing import Any

from cki_notifier.configuration.shutdown import REQUESTS_SECONDS
from cki_notifier.notification.errors import ConfigurationError
from cki_notifier.web.answer import Answer, Request
from cki_notifier.web.handler import Handler

logger = logging.getLogger(__name__)

#: So many requests are answered at once; whoever comes on top of that is hung up on.
_MOST_AT_ONCE = 64
#: How soon the end is noticed, in seconds.
_POLL_SECONDS = 0.1

Answers = Callable[[Request], Answer]


class Server:
    """Holds a port of all interfaces from the start, and answers from :meth:`start` on.

    Args:
        port: its number.

    Raises:
        ConfigurationError: the port is taken, or not ours to take.
    """

    def __init__(self, port: int) -> None:
        try:
            self._listener = _Listener(port)
        except OSError as error:
            raise ConfigurationError(
                [f"CKI_METRICS_PORT: port {port} can't be used: {error.strerror}"]
            ) from error
        self._thread: threading.Thread | None = None

    def start(self, answers: Answers) -> None:
        """Answer requests, in threads of their own.

        Args:
            answers: called for each request, in many threads at once.
        """
        self._listener.answers = answers
        self._thread = threading.Thread(
            target=self._listener.serve_forever, args=(_POLL_SECONDS,), name="http", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Give the port back; no thread is left."""
        if self._thread is not None:
            self._listener.shutdown()
            self._thread.join()
        self._listener.server_close()
        self._listener.finish(REQUESTS_SECONDS)


class _Listener(ThreadingTCPServer):
    """Accepts connections; no more than are good for us."""

    allow_reuse_address = True  # connections of an earlier process may linger
    allow_reuse_port = False  # two processes on one port would answer by turns
    request_queue_size = _MOST_AT_ONCE
    answers: Answers

    def __init__(self, port: int) -> None:
        self._lock = threading.Lock()
        self._busy: dict[threading.Thread, socket.socket] = {}
        super().__init__(("", port), Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Give the connection a thread, or hang up when there are too many."""
        thread = threading.Thread(
            target=self.process_request_thread,
            args=(request, client_address),
            name="http request",
            daemon=True,
        )
        with self._lock:
            is_taken = len(self._busy) < _MOST_AT_ONCE
            if is_taken:
                self._busy[thread] = request
        if is_taken:
            thread.start()
        else:
            logger.warning("more than %d requests at once; hanging up", _MOST_AT_ONCE)
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Be the thread of one connection."""
        super().process_request_thread(request, client_address)
        with self._lock:
            del self._busy[threading.current_thread()]

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Answer on one connection."""
        Handler(self.answers, request, client_address, self)

    def handle_error(self, _request: Any, client_address: Any) -> None:
        """Tell of what went wrong on one connection; the others go on."""
        error = sys.exception()
        if isinstance(error, OSError):  # whoever asked went away, or asked for too much
            logger.debug("%s: %s", client_address[0], error)
        else:
            logger.error("a bug in answering %s", client_address[0], exc_info=error)

    def finish(self, seconds: float) -> None:
        """Hear nothing more; let answers be taken for so long, and then cut them off."""
        end = time.monotonic() + seconds
        with self._lock:
            busy = dict(self._busy)
        for connection in busy.values():
            _shut(connection, socket.SHUT_RD)  # browsers open some and say nothing
        for thread, connection in busy.items():
            thread.join(max(0.0, end - time.monotonic()))
            _shut(connection, socket.SHUT_RDWR)
            thread.join()


def _shut(connection: socket.socket, what: int) -> None:
    """Shut a connection, which may be gone by now."""
    with contextlib.suppress(OSError):
        connection.shutdown(what)
