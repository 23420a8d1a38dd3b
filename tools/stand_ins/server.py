"""A stand-in for a service, by default on a port of the loopback.

The standard library's HTTP server hides the bytes that faults need: the target as sent, half of a
response, a reset in the middle.
"""

import contextlib
import errno
import json
import socket
import struct
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.client import HTTPException, parse_headers, responses
from typing import Final, TypeAlias
from urllib.parse import parse_qs, parse_qsl, unquote, urlencode

#: How long `down` waits for open requests, in all.
STOP_SECONDS: Final = 5.0
BACKLOG: Final = 512
LONGEST_LINE_BYTES: Final = 65536


@dataclass(frozen=True, slots=True)
class Seen:
    """A request as received.

    `path` is percent-encoded, without the query; `target` has both. The names of `headers` are in
    lower case. `at` is `time.monotonic()`.
    """

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    at: float
    target: str = ""
    body: bytes = b""

    @property
    def parts(self) -> list[str]:
        """The decoded parts of the path. An encoded slash doesn't separate parts."""
        return [unquote(part) for part in self.path.split("/")[1:]]

    def first(self, name: str) -> str:
        """Return the first value of a query parameter, "" without one."""
        return self.query.get(name, [""])[0]

    def number(self, name: str) -> int:
        """Return the first value of a query parameter as a number, 0 without one."""
        text = self.first(name)
        return int(text) if text.isdecimal() else 0

    def target_with(self, **parameters: int | None) -> str:
        """Return the target with changed query parameters; None removes one."""
        query = dict(parse_qsl(self.target.partition("?")[2])) | parameters
        known = {name: value for name, value in query.items() if value is not None}
        return f"{self.path}?{urlencode(sorted(known.items()))}"


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, headers and the whole body."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    def head(self) -> bytes:
        """Return the status line and the headers, with the full length of the body."""
        headers = {"Content-Length": str(len(self.body)), **self.headers}
        lines = [f"HTTP/1.1 {self.status} {responses.get(self.status, 'Unknown')}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")


def json_answer(
    document: object, status: int = 200, headers: Mapping[str, str] | None = None
) -> Answer:
    """Return an answer with a document as compact JSON in UTF-8."""
    body = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    return Answer(status, body, {"Content-Type": "application/json", **(headers or {})})


class Connection:
    """One client's connection. Every method may raise OSError when the client is gone.

    Only the thread that serves it calls its methods, except `interrupt`.
    """

    def __init__(self, client: socket.socket) -> None:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = client
        self._reader = client.makefile("rb")
        #: Whether another request may follow on this connection.
        self.reusable = True

    @property
    def port(self) -> int:
        """The client's port."""
        return int(self._socket.getpeername()[1])

    def read(self) -> Seen | None:
        """Wait for the next request; return None when the client has closed the connection.

        Raises HTTPException if the bytes are not HTTP.
        """
        line = self._reader.readline(LONGEST_LINE_BYTES)
        if not line.strip():
            return None
        try:
            method, target, version = line.decode("latin-1").split()
        except ValueError as error:
            raise HTTPException from error
        headers = {name.lower(): value for name, value in parse_headers(self._reader).items()}
        if headers.get("connection", "").lower() == "close" or version == "HTTP/1.0":
            self.reusable = False
        path, _, query = target.partition("?")
        return Seen(
            method=method,
            path=path,
            query=parse_qs(query, keep_blank_values=True),
            headers=headers,
            at=time.monotonic(),
            target=target,
            body=self._reader.read(int(headers.get("content-length", "0"))),
        )

    def write(self, data: bytes) -> None:
        """Send bytes unchanged."""
        self._socket.sendall(data)

    def answer(self, answer: Answer, *, head_only: bool = False) -> None:
        """Send a response."""
        head, body = answer.head(), b"" if head_only else answer.body
        # A short response goes out in one piece, for speed.
        is_short = len(body) <= LONGEST_LINE_BYTES
        for piece in [head + body] if is_short else [head, body]:
            self.write(piece)

    def wait(self, seconds: float) -> bool:
        """Wait; return whether the client is still there, False as soon as it is gone."""
        if seconds <= 0:
            return True
        with self.patience(seconds):
            try:
                return bool(self._socket.recv(1, socket.MSG_PEEK))
            except TimeoutError:
                return True

    @contextlib.contextmanager
    def patience(self, seconds: float) -> Iterator[None]:
        """Set a timeout for this context: a longer operation raises TimeoutError."""
        self._socket.settimeout(seconds)
        try:
            yield
        finally:
            self._socket.settimeout(None)

    def close(self) -> None:
        """Close the connection normally, after all written data."""
        self.reusable = False
        self._reader.close()
        self._socket.close()

    def reset(self) -> None:
        """Reset the TCP connection."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def interrupt(self) -> None:
        """Wake up the thread that reads, writes or waits here; for other threads."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request, its true response, and the connection for the response."""

    request: Seen
    answer: Answer
    connection: Connection


#: Handles one request: sends its own version of the true response; may end the connection.
Fault: TypeAlias = Callable[[Exchange], None]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a service listens, and its address for clients.

    Port 0 stands for a free one. `url` has no slash at its end; "" stands for host and port.
    """

    host: str = "127.0.0.1"
    port: int = 0
    url: str = ""


#: A free port of the loopback.
ANYWHERE: Final = Place()


@dataclass(slots=True)
class _Planned:
    """A fault, the requests that get it, and how many are left; None for all."""

    match: str
    fault: Fault
    times: int | None


class Service(ABC):
    """A stand-in for a service. Subclasses have the documents and the routes.

    It has a port from the start, but refuses connections until `up`. Each connection has its own
    thread. `requests` gets each request before its response. Any thread may read and clear it.
    """

    def __init__(self, place: Place = ANYWHERE) -> None:
        self.requests: list[Seen] = []
        #: Seconds before each response.
        self.latency = 0.0
        self._planned: list[_Planned] = []
        self._lock = threading.Lock()
        self._serving: dict[Connection, threading.Thread] = {}
        # This socket is bound and never listens. It keeps the port while the service is down, so
        # that no other server and no client's outgoing connection takes it.
        self._reserved = _bind(place.host, place.port)
        self._address: tuple[str, int] = self._reserved.getsockname()
        self._accepting: tuple[socket.socket, threading.Thread] | None = None
        #: The service's URL, without a slash at the end. It stays the same through `down`.
        self.url: Final = place.url or f"http://{place.host}:{self._address[1]}"

    @abstractmethod
    def route(self, request: Seen) -> Answer:
        """Return the true response to a request. Many threads call it at once."""

    def answer(self, match: str, fault: Fault, *, times: int | None = None) -> None:
        """Plan a fault for the next `times` requests, or all, whose target contains `match`.

        The target is the path as sent, with the query; "" matches all. If several faults match, the
        one planned first goes first.
        """
        with self._lock:
            self._planned.append(_Planned(match, fault, times))

    def clear(self) -> None:
        """Remove all planned faults."""
        with self._lock:
            self._planned.clear()

    def up(self) -> None:
        """Listen on the port."""
        if self._accepting is None:
            listener = _bind(*self._address)
            listener.listen(BACKLOG)
            thread = threading.Thread(target=self._accept, args=(listener,), daemon=True)
            thread.start()
            self._accepting = listener, thread

    def down(self) -> None:
        """End all connections at once, and refuse new ones until `up`."""
        if self._accepting is None:
            return
        listener, thread = self._accepting
        self._accepting = None
        # Only a shutdown wakes up the thread; a close doesn't.
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
            while connection.reusable and (request := connection.read()) is not None:
                self.requests.append(request)
                if not connection.wait(self.latency):
                    continue  # The client is gone.
                fault = self._take_fault(request.target)
                answer = self.route(request)
                if fault is None:
                    connection.answer(answer, head_only=request.method == "HEAD")
                else:
                    fault(Exchange(request, answer, connection))
        except HTTPException:
            with contextlib.suppress(OSError):
                connection.answer(Answer(400))
        except OSError:
            pass  # The client is gone, or the service goes down.
        finally:
            connection.close()
            with self._lock:
                del self._serving[connection]

    def _take_fault(self, target: str) -> Fault | None:
        with self._lock:
            for planned in self._planned:
                if planned.times != 0 and planned.match in target:
                    planned.times = planned.times and planned.times - 1
                    return planned.fault
        return None


def _bind(host: str, port: int) -> socket.socket:
    """Return a socket bound with SO_REUSEPORT; port 0 stands for a free one."""
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    bound.bind((host, port))
    return bound
