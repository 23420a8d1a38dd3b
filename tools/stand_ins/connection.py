"""HTTP/1.1 over one client's connection: what is read from it and what is written to it.

The standard library's server is not used because the faults need the bytes: the target as it was
sent, half of an answer, a reset in the middle.
"""

import contextlib
import json
import socket
import struct
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import parse_qs, unquote

LONGEST_LINE_BYTES = 65536


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

    def first(self, name: str, default: str = "") -> str:
        """Return the first value of a parameter of the query."""
        return self.query.get(name, [default])[0]


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, headers and the whole body."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    def head(self) -> bytes:
        """Return all that goes before the body, which is announced at its full length."""
        try:
            phrase = HTTPStatus(self.status).phrase
        except ValueError:
            phrase = "Unknown"
        headers = {"Content-Length": str(len(self.body)), **self.headers}
        lines = [f"HTTP/1.1 {self.status} {phrase}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")


def json_answer(
    document: object,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Return an answer with a document as compact JSON in UTF-8."""
    body = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    return Answer(status, body, {"Content-Type": "application/json", **(headers or {})})


class BadRequestError(Exception):
    """What the client sent is no HTTP request that this server understands."""


class Connection:
    """One client's connection. Every method may raise OSError when the client is gone.

    All methods are for the thread that serves it, but for `interrupt`.
    """

    def __init__(self, client: socket.socket) -> None:
        """Take over a socket that was just accepted."""
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
        """Wait for the next request; None when the client has closed the connection."""
        line = self._reader.readline(LONGEST_LINE_BYTES)
        if not line.strip():
            return None
        match line.decode("latin-1").split(" "):
            case [method, target, version] if version.startswith("HTTP/1."):
                headers = self._read_headers()
            case _:
                raise BadRequestError(line)
        if headers.get("connection", "").lower() == "close" or version.strip() == "HTTP/1.0":
            self.reusable = False
        path, _, query = target.partition("?")
        return Seen(
            method=method,
            path=path,
            query=parse_qs(query, keep_blank_values=True),
            headers=headers,
            at=time.monotonic(),
            target=target,
            body=self._read_body(headers),
        )

    def _read_headers(self) -> dict[str, str]:
        headers = {}
        while line := self._reader.readline(LONGEST_LINE_BYTES).decode("latin-1").strip():
            name, colon, value = line.partition(":")
            if not colon:
                raise BadRequestError(line)
            headers[name.lower()] = value.strip()
        return headers

    def _read_body(self, headers: Mapping[str, str]) -> bytes:
        if "transfer-encoding" in headers:
            message = "chunked bodies are not read here"
            raise BadRequestError(message)
        announced = headers.get("content-length", "0")
        if not announced.isdecimal():
            raise BadRequestError(announced)
        length = int(announced)
        if length and headers.get("expect", "").lower() == "100-continue":
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return self._reader.read(length)

    def write(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._socket.sendall(data)

    def answer(self, answer: Answer, *, head_only: bool = False) -> None:
        """Send an answer."""
        if head_only or len(answer.body) > LONGEST_LINE_BYTES:
            self.write(answer.head())
            self.write(b"" if head_only else answer.body)
        else:
            # In one piece, and in one segment if that's possible: this is what keeps it quick.
            self.write(answer.head() + answer.body)

    def wait(self, seconds: float) -> bool:
        """Wait, and say whether the client is still there: false as soon as it's gone."""
        if seconds <= 0:
            return True
        self._socket.settimeout(seconds)
        try:
            return bool(self._socket.recv(1, socket.MSG_PEEK))
        except TimeoutError:
            return True
        finally:
            self._socket.settimeout(None)

    @contextlib.contextmanager
    def patience(self, seconds: float) -> Iterator[None]:
        """While it lasts, a write that takes longer raises TimeoutError."""
        self._socket.settimeout(seconds)
        yield
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
