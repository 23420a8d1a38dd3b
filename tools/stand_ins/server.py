"""A service that stands in for a real one, on a port of the loopback unless told otherwise.

The standard library's HTTP server is not used because the faults need the bytes: the target as it
was sent, half of an answer, a reset in the middle.
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

#: How long the end of a service waits for what is still being served, in all.
STOP_SECONDS: Final = 5.0
BACKLOG: Final = 512
LONGEST_LINE_BYTES: Final = 65536


@dataclass(frozen=True, slots=True)
class Seen:
    """A request as it came in.

    `path` is as it was sent, percent-encoded and without the query; `target` has both. The names
    of `headers` are in lower case. `at` is `time.monotonic()`.
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
        """The decoded parts of the path: an encoded slash doesn't separate."""
        return [unquote(part) for part in self.path.split("/")[1:]]

    def first(self, name: str) -> str:
        """Return the first value of a parameter of the query, "" without one."""
        return self.query.get(name, [""])[0]

    def number(self, name: str) -> int:
        """Return the first value of a parameter as a number, 0 where it is none."""
        text = self.first(name)
        return int(text) if text.isdecimal() else 0

    def target_with(self, **parameters: int | None) -> str:
        """Return the target with some of the query's parameters changed, or gone for None."""
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
        """Return all that goes before the body, which is announced at its full length."""
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

    All methods are for the thread that serves it, but for `interrupt`.
    """

    def __init__(self, client: socket.socket) -> None:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = client
        self._reader = client.makefile("rb")
        #: Whether another request may follow on this connection.
        self.reusable = True

    @property
    def port(self) -> int:
        """The client's own."""
        return int(self._socket.getpeername()[1])

    def read(self) -> Seen | None:
        """Wait for the next request; None when the client has closed the connection.

        Raises HTTPException when it is no HTTP.
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
        """Send bytes as they are."""
        self._socket.sendall(data)

    def answer(self, answer: Answer, *, head_only: bool = False) -> None:
        """Send an answer."""
        head, body = answer.head(), b"" if head_only else answer.body
        # In one piece, and in one segment if that's possible: this is what keeps it quick.
        is_short = len(body) <= LONGEST_LINE_BYTES
        for piece in [head + body] if is_short else [head, body]:
            self.write(piece)

    def wait(self, seconds: float) -> bool:
        """Wait, and say whether the client is still there: false as soon as it's gone."""
        if seconds <= 0:
            return True
        with self.patience(seconds):
            try:
                return bool(self._socket.recv(1, socket.MSG_PEEK))
            except TimeoutError:
                return True

    @contextlib.contextmanager
    def patience(self, seconds: float) -> Iterator[None]:
        """While it lasts, whatever takes longer raises TimeoutError."""
        self._socket.settimeout(seconds)
        try:
            yield
        finally:
            self._socket.settimeout(None)

    def close(self) -> None:
        """End the connection in the ordinary way, after what was written."""
        self.reusable = False
        self._reader.close()
        self._socket.close()

    def reset(self) -> None:
        """End the connection with a TCP reset."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def interrupt(self) -> None:
        """From another thread: wake up whatever is reading, writing or waiting here."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request, the true answer to it, and the connection on which it is awaited."""

    request: Seen
    answer: Answer
    connection: Connection


#: A way to treat one request: it sends what it makes of the true answer; it may end the connection.
Fault: TypeAlias = Callable[[Exchange], None]


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


class Service(ABC):
    """A stand-in for a service; what it knows and how it answers is for the subclasses.

    It has a port from the start, but connections are refused until `up`. Every connection has a
    thread of its own. `requests` grows by each request as it comes in, before it's answered, and
    may be read and cleared by any thread.
    """

    def __init__(self, place: Place = ANYWHERE) -> None:
        self.requests: list[Seen] = []
        #: Seconds that go by before any answer.
        self.latency = 0.0
        self._planned: list[_Planned] = []
        self._lock = threading.Lock()
        self._serving: dict[Connection, threading.Thread] = {}
        # Bound but never listening, this socket keeps the port while the service is down: nobody
        # else gets it, not even a client in search of a port to call from.
        self._reserved = _bind(place.host, place.port)
        self._address: tuple[str, int] = self._reserved.getsockname()
        self._accepting: tuple[socket.socket, threading.Thread] | None = None
        #: Where the service is, without a slash at the end. It stays the same through `down`.
        self.url: Final = place.url or f"http://{place.host}:{self._address[1]}"

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
            listener = _bind(*self._address)
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
    """Return a socket on a port of an address, 0 for a free one, that may be bound twice."""
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    bound.bind((host, port))
    return bound
