"""What a service does in place of its true answer: values to hand to `Service.answer`.

Those that are no more than another answer leave the connection open.
"""
# ruff: noqa: N802 - all are called alike, whether a class or a function makes them
# ruff: noqa: D102 - what a call sends is what the class is

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from email.utils import formatdate

from .server import Answer, Connection, Exchange, Fault, json_answer

#: What is sent little by little is sent in so many bytes at a time.
_PIECE = 65_536
NOT_FOUND = json_answer({"detail": "Not found."}, 404)
PROXY_PAGE = b"<html>\n<head><title>404 Not Found</title></head>\n<hr>nginx\n</html>\n"
LOGIN_PAGE = b"<!doctype html>\n<title>Log in</title>\n<form method=post>Log in</form>\n"


@dataclass(frozen=True, slots=True)
class Status:
    """Another status, as the service gives it: with its own words for a 404, else without any."""

    code: int
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, exchange: Exchange) -> None:
        usual = NOT_FOUND.body if self.code == NOT_FOUND.status else b""
        body = usual if self.body is None else self.body
        exchange.connection.answer(Answer(self.code, body, self.headers))


def NoBackend(body: bytes = PROXY_PAGE) -> Status:
    """Return a 404 of the proxy before the service, which has nobody to ask."""
    return Status(404, body, {"Content-Type": "text/html"})


def Html(body: bytes = LOGIN_PAGE) -> Status:
    """Return a login page with status 200, where a redirect to it was followed on the way."""
    return Status(200, body, {"Content-Type": "text/html; charset=utf-8"})


def Garbage(body: bytes) -> Status:
    """Return a body that claims to be JSON, with status 200."""
    return Status(200, body, {"Content-Type": "application/json"})


def Redirect(location: str, code: int = 302) -> Status:
    """Return a redirect to a URL, without a body."""
    return Status(code, b"", {"Location": location})


def RedirectLoop(code: int = 302) -> Fault:
    """Return a redirect to where the request went."""
    return lambda exchange: Redirect(exchange.request.target, code)(exchange)


@dataclass(frozen=True, slots=True)
class Dated:
    """The true answer with the service's time, by a clock that is so many seconds ahead."""

    seconds_ahead: float = 0

    def __call__(self, exchange: Exchange) -> None:
        date = formatdate(time.time() + self.seconds_ahead, usegmt=True)
        headers = {**exchange.answer.headers, "Date": date}
        exchange.connection.answer(replace(exchange.answer, headers=headers))


@dataclass(frozen=True, slots=True)
class Late:
    """The true answer after so many seconds, to a client that is still there."""

    seconds: float

    def __call__(self, exchange: Exchange) -> None:
        if exchange.connection.wait(self.seconds):
            exchange.connection.answer(exchange.answer)


@dataclass(frozen=True, slots=True)
class Hang:
    """The request is taken, and nothing is said for so many seconds; then the connection ends."""

    seconds: float

    def __call__(self, exchange: Exchange) -> None:
        exchange.connection.wait(self.seconds)
        exchange.connection.close()


@dataclass(frozen=True, slots=True)
class Drip:
    """The true answer with its body one byte at a time: never silent for long, never done."""

    seconds_per_byte: float

    def __call__(self, exchange: Exchange) -> None:
        exchange.connection.write(exchange.answer.head())
        _drip(exchange.answer.body, self.seconds_per_byte, exchange.connection)


@dataclass(frozen=True, slots=True)
class DripHeaders:
    """The true answer with its status line and headers one byte at a time, then the body."""

    seconds_per_byte: float

    def __call__(self, exchange: Exchange) -> None:
        if _drip(exchange.answer.head(), self.seconds_per_byte, exchange.connection):
            exchange.connection.write(exchange.answer.body)


def _drip(data: bytes, seconds_per_byte: float, connection: Connection) -> bool:
    """Send the bytes one by one, and say whether the client stayed to the end."""
    for byte in data:
        connection.write(bytes([byte]))
        if not connection.wait(seconds_per_byte):
            connection.close()
            return False
    return True


@dataclass(frozen=True, slots=True)
class Truncated:
    """The true answer up to a share of its body, then the connection is closed."""

    share: float = 0.5

    def __call__(self, exchange: Exchange) -> None:
        exchange.connection.write(_part(exchange.answer, self.share))
        exchange.connection.close()


@dataclass(frozen=True, slots=True)
class Reset:
    """The true answer up to a share of its body, then a TCP reset."""

    share: float = 0.5

    def __call__(self, exchange: Exchange) -> None:
        exchange.connection.write(_part(exchange.answer, self.share))
        exchange.connection.reset()


def _part(answer: Answer, share: float) -> bytes:
    return answer.head() + answer.body[: int(len(answer.body) * share)]


@dataclass(frozen=True, slots=True)
class Swollen:
    """The true answer, a JSON object, with so many bytes of padding inside.

    It is sent piece by piece; no more than a piece is ever in the memory.
    """

    padding: int

    def __call__(self, exchange: Exchange) -> None:
        answer, connection = exchange.answer, exchange.connection
        start, end = answer.body[:-1] + b',"padding":"', b'"}'
        length = str(len(start) + self.padding + len(end))
        headers = {**answer.headers, "Content-Length": length}
        connection.write(replace(answer, headers=headers).head() + start)
        piece = b"x" * _PIECE
        for sent in range(0, self.padding, _PIECE):
            connection.write(piece[: self.padding - sent])
        connection.write(end)


@dataclass(frozen=True, slots=True)
class Paced:
    """The true answer, its body spread over so many seconds, from a server without much patience.

    A client that takes nothing for `patience` seconds is hung up on.
    """

    seconds: float
    patience: float

    def __call__(self, exchange: Exchange) -> None:
        body, connection = exchange.answer.body, exchange.connection
        pause = self.seconds * _PIECE / max(len(body), 1)
        connection.write(exchange.answer.head())
        with connection.patience(self.patience):
            for start in range(0, len(body), _PIECE):
                time.sleep(pause)
                connection.write(body[start : start + _PIECE])
