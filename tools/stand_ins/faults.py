"""What a service does in place of its true answer: values to hand to `Service.answer`."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Protocol

from .connection import Answer, Connection, Seen, json_answer

#: What is sent little by little is sent in so many bytes at a time.
_PIECE = 65_536
NOT_FOUND = json_answer({"detail": "Not found."}, 404)
PROXY_PAGE = b"<html>\n<head><title>404 Not Found</title></head>\n<hr>nginx\n</html>\n"
LOGIN_PAGE = b"<!doctype html>\n<title>Log in</title>\n<form method=post>Log in</form>\n"


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request, the true answer to it, and the connection on which it is awaited."""

    request: Seen
    answer: Answer
    connection: Connection


class Fault(Protocol):
    """A way to treat one request."""

    def deliver(self, exchange: Exchange) -> None:
        """Send what this fault makes of the true answer; it may end the connection."""


@dataclass(frozen=True, slots=True)
class Status:
    """Another status, as the service gives it: with its own words for a 404, else without any."""

    code: int
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def deliver(self, exchange: Exchange) -> None:
        """Send it; the connection stays open."""
        usual = NOT_FOUND.body if self.code == NOT_FOUND.status else b""
        body = usual if self.body is None else self.body
        exchange.connection.answer(Answer(self.code, body, self.headers))


@dataclass(frozen=True, slots=True)
class NoBackend:
    """A 404 of the proxy before the service, which has nobody to ask."""

    body: bytes = PROXY_PAGE

    def deliver(self, exchange: Exchange) -> None:
        """Send it; the connection stays open."""
        exchange.connection.answer(Answer(404, self.body, {"Content-Type": "text/html"}))


@dataclass(frozen=True, slots=True)
class Html:
    """A login page with status 200, where a redirect to it was followed on the way."""

    body: bytes = LOGIN_PAGE

    def deliver(self, exchange: Exchange) -> None:
        """Send the page."""
        exchange.connection.answer(
            Answer(200, self.body, {"Content-Type": "text/html; charset=utf-8"})
        )


@dataclass(frozen=True, slots=True)
class Garbage:
    """A body that claims to be JSON, with status 200."""

    body: bytes

    def deliver(self, exchange: Exchange) -> None:
        """Send the body."""
        exchange.connection.answer(Answer(200, self.body, {"Content-Type": "application/json"}))


@dataclass(frozen=True, slots=True)
class Dated:
    """The true answer with the service's time, by a clock that is so many seconds ahead."""

    seconds_ahead: float = 0

    def deliver(self, exchange: Exchange) -> None:
        """Send it; the connection stays open."""
        answer = exchange.answer
        date = formatdate(time.time() + self.seconds_ahead, usegmt=True)
        headers = {**answer.headers, "Date": date}
        exchange.connection.answer(Answer(answer.status, answer.body, headers))


@dataclass(frozen=True, slots=True)
class Redirect:
    """A redirect to a URL."""

    location: str
    code: int = 302

    def deliver(self, exchange: Exchange) -> None:
        """Send the redirect, without a body."""
        exchange.connection.answer(Answer(self.code, b"", {"Location": self.location}))


@dataclass(frozen=True, slots=True)
class RedirectLoop:
    """A redirect to where the request went."""

    code: int = 302

    def deliver(self, exchange: Exchange) -> None:
        """Send the redirect, without a body."""
        Redirect(exchange.request.target, self.code).deliver(exchange)


@dataclass(frozen=True, slots=True)
class Hang:
    """The request is taken, and nothing is said for so many seconds; then the connection ends."""

    seconds: float

    def deliver(self, exchange: Exchange) -> None:
        """Wait for the end, or for the client to give up."""
        exchange.connection.wait(self.seconds)
        exchange.connection.close()


@dataclass(frozen=True, slots=True)
class Drip:
    """The true answer with its body one byte at a time: never silent for long, never done."""

    seconds_per_byte: float

    def deliver(self, exchange: Exchange) -> None:
        """Send the head at once, then the body."""
        exchange.connection.write(exchange.answer.head())
        _drip(exchange.answer.body, self.seconds_per_byte, exchange.connection)


@dataclass(frozen=True, slots=True)
class DripHeaders:
    """The true answer with its status line and headers one byte at a time."""

    seconds_per_byte: float

    def deliver(self, exchange: Exchange) -> None:
        """Send the head slowly, then the body at once."""
        if _drip(exchange.answer.head(), self.seconds_per_byte, exchange.connection):
            exchange.connection.write(exchange.answer.body)


def _drip(data: bytes, seconds_per_byte: float, connection: Connection) -> bool:
    """Send the bytes one by one, and say whether the client stayed to the end."""
    for start in range(len(data)):
        connection.write(data[start : start + 1])
        if not connection.wait(seconds_per_byte):
            connection.close()
            return False
    return True


@dataclass(frozen=True, slots=True)
class Truncated:
    """The true answer up to a share of its body, then the connection is closed."""

    share: float = 0.5

    def deliver(self, exchange: Exchange) -> None:
        """Send the part, and close."""
        exchange.connection.write(_part(exchange.answer, self.share))
        exchange.connection.close()


@dataclass(frozen=True, slots=True)
class Reset:
    """The true answer up to a share of its body, then a TCP reset."""

    share: float = 0.5

    def deliver(self, exchange: Exchange) -> None:
        """Send the part, and reset."""
        exchange.connection.write(_part(exchange.answer, self.share))
        exchange.connection.reset()


def _part(answer: Answer, share: float) -> bytes:
    return answer.head() + answer.body[: int(len(answer.body) * share)]


@dataclass(frozen=True, slots=True)
class Late:
    """The true answer after so many seconds."""

    seconds: float

    def deliver(self, exchange: Exchange) -> None:
        """Wait, and send it to a client that is still there."""
        if exchange.connection.wait(self.seconds):
            exchange.connection.answer(exchange.answer)


@dataclass(frozen=True, slots=True)
class Swollen:
    """The true answer, a JSON object, with so many bytes of padding inside, sent piece by piece."""

    padding: int

    def deliver(self, exchange: Exchange) -> None:
        """Send it; no more than a piece is ever in the memory."""
        answer, connection = exchange.answer, exchange.connection
        head, tail = answer.body[:-1] + b',"padding":"', b'"}'
        length = str(len(head) + self.padding + len(tail))
        connection.write(
            Answer(answer.status, b"", {**answer.headers, "Content-Length": length}).head() + head
        )
        piece = b"x" * _PIECE
        for start in range(0, self.padding, _PIECE):
            connection.write(piece[: self.padding - start])
        connection.write(tail)


@dataclass(frozen=True, slots=True)
class Paced:
    """The true answer, its body spread over so many seconds, from a server without much patience.

    A client that takes nothing for `patience` seconds is hung up on.
    """

    seconds: float
    patience: float

    def deliver(self, exchange: Exchange) -> None:
        """Send it piece by piece."""
        body, connection = exchange.answer.body, exchange.connection
        pause = self.seconds * _PIECE / max(len(body), 1)
        connection.write(exchange.answer.head())
        with connection.patience(self.patience):
            for start in range(0, len(body), _PIECE):
                time.sleep(pause)
                connection.write(body[start : start + _PIECE])
