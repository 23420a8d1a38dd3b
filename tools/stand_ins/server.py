"""A service that stands in for a real one, on a port of the loopback unless told otherwise."""

import errno
import socket
import threading
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Final

from .connection import Answer, BadRequestError, Connection, Seen
from .faults import Exchange, Fault

#: How long the end of a service waits for what is still being served, in all.
STOP_SECONDS: Final = 5.0
BACKLOG: Final = 512


@dataclass(frozen=True, slots=True)
class Place:
    """Where a service listens, and the address by which its clients know it.

    Port 0 is a free one. `url` has no slash at its end; "" is the one that leads to the port.
    """

    host: str = "127.0.0.1"
    port: int = 0
    url: str = ""


#: A free port of the loopback.
ANYWHERE: Final = Place()


@dataclass(slots=True)
class _Planned:
    """A fault, the requests that it's for, and how many are left; None for all to come."""

    match: str
    fault: Fault
    times: int | None

    def take(self, target: str) -> bool:
        """Say whether a request is to have this fault, and count it."""
        if self.times == 0 or self.match not in target:
            return False
        if self.times is not None:
            self.times -= 1
        return True


class Service(ABC):
    """A stand-in for a service; what it knows and how it answers is for the subclasses.

    It has a port from the start, but connections are refused until `up`. Every connection has a
    thread of its own. `requests` grows by each request as it comes in, before it's answered, and
    may be read and cleared by any thread.
    """

    def __init__(self, place: Place = ANYWHERE) -> None:
        """Reserve the port."""
        self.requests: list[Seen] = []
        #: Seconds that go by before any answer.
        self.latency = 0.0
        self._planned: list[_Planned] = []
        self._lock = threading.Lock()
        self._serving: dict[Connection, threading.Thread] = {}
        # Bound but never listening, this socket keeps the port while the service is down: nobody
        # else gets it, not even a client in search of a port to call from.
        self._host = place.host
        self._reserved = _bind(place.host, place.port)
        self._port: int = self._reserved.getsockname()[1]
        self._accepting: tuple[socket.socket, threading.Thread] | None = None
        #: Where the service is, without a slash at the end. It stays the same through `down`.
        self.url: Final = place.url or f"http://{place.host}:{self._port}"

    @abstractmethod
    def route(self, request: Seen) -> Answer:
        """Return the true answer to a request; called by many threads at once."""

    def answer(self, match: str, fault: Fault, *, times: int | None = None) -> None:
        """Treat the next `times` requests, or all, whose target contains `match` with a fault.

        The target is the path as it was sent, with the query; "" is contained in all. Where
        several faults fit, the one that was planned first goes first.
        """
        with self._lock:
            self._planned.append(_Planned(match, fault, times))

    def clear(self) -> None:
        """Forget all planned faults: from now on the service tells the truth."""
        with self._lock:
            self._planned.clear()

    def up(self) -> None:
        """Listen on the port."""
        if self._accepting is None:
            listener = _bind(self._host, self._port)
            listener.listen(BACKLOG)
            thread = threading.Thread(target=self._accept, args=(listener,), daemon=True)
            thread.start()
            self._accepting = listener, thread

    def down(self) -> None:
        """End every connection at once and refuse new ones until `up`."""
        if self._accepting is None:
            return
        listener, thread = self._accepting
        self._accepting = None
        # Only the shutdown wakes up the thread, a close doesn't.
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        listener.close()
        deadline = time.monotonic() + STOP_SECONDS
        with self._lock:
            serving = list(self._serving.items())
        for connection, _ in serving:
            connection.interrupt()
        for _, thread in serving:
            thread.join(max(0.0, deadline - time.monotonic()))

    def stop(self) -> None:
        """Go down for good."""
        self.down()
        self._reserved.close()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError as error:
                if error.errno == errno.EINVAL:
                    return  # The listener was shut down.
                raise
            connection = Connection(client)
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            with self._lock:
                self._serving[connection] = thread
            thread.start()

    def _serve(self, connection: Connection) -> None:
        try:
            self._converse(connection)
        except OSError:
            pass  # The client is gone, or the service goes down.
        finally:
            connection.close()
            with self._lock:
                del self._serving[connection]

    def _converse(self, connection: Connection) -> None:
        try:
            while connection.reusable and (request := connection.read()) is not None:
                self._treat(request, connection)
        except BadRequestError:
            connection.answer(Answer(400))

    def _treat(self, request: Seen, connection: Connection) -> None:
        self.requests.append(request)
        if not connection.wait(self.latency):
            return
        fault = self._take_fault(request.target)
        answer = self.route(request)
        if fault is None:
            connection.answer(answer, head_only=request.method == "HEAD")
        else:
            fault.deliver(Exchange(request, answer, connection))

    def _take_fault(self, target: str) -> Fault | None:
        with self._lock:
            for planned in self._planned:
                if planned.take(target):
                    return planned.fault
        return None


def _bind(host: str, port: int) -> socket.socket:
    """Return a socket on a port of an address, 0 for a free one, that may be bound twice."""
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    bound.bind((host, port))
    return bound
