"""What a service does in place of its true answer: values to hand to `Service.answer`.

Those that are no more than another answer leave the connection open.
"""
# ruff: noqa: N802 - a fault is named as what it is, `Hang(5)`, whatever makes it

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from typing import Concatenate, ParamSpec

from .server import Answer, Exchange, Fault, json_answer

P = ParamSpec("P")

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
        """Send it."""
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


class _Made:
    """A fault that is called as it was made, `Drip(1)`."""

    def __init__(self, name: str, deliver: Fault, *values: object) -> None:
        self._name = f"{name}({', '.join(map(str, values))})"
        self._deliver = deliver

    def __call__(self, exchange: Exchange) -> None:
        """Deliver it."""
        self._deliver(exchange)

    def __repr__(self) -> str:
        return self._name


def _fault(deliver: Callable[Concatenate[Exchange, P], None]) -> Callable[P, Fault]:
    """Make a function of an exchange and more a function of the more, which returns the fault."""

    def make(*more: P.args, **named: P.kwargs) -> Fault:
        values = (*more, *named.values())
        return _Made(deliver.__name__, lambda it: deliver(it, *more, **named), *values)

    return make


@_fault
def RedirectLoop(exchange: Exchange, code: int = 302) -> None:
    """Redirect to where the request went."""
    Redirect(exchange.request.target, code)(exchange)


@_fault
def Dated(exchange: Exchange, seconds_ahead: float = 0) -> None:
    """Tell the truth and the service's time, by a clock that is so many seconds ahead."""
    date = formatdate(time.time() + seconds_ahead, usegmt=True)
    headers = {**exchange.answer.headers, "Date": date}
    exchange.connection.answer(replace(exchange.answer, headers=headers))


@_fault
def Late(exchange: Exchange, seconds: float) -> None:
    """Tell the truth after so many seconds, to a client that is still there."""
    if exchange.connection.wait(seconds):
        exchange.connection.answer(exchange.answer)


@_fault
def Hang(exchange: Exchange, seconds: float) -> None:
    """Take the request, and say nothing for so many seconds; then end the connection."""
    exchange.connection.wait(seconds)
    exchange.connection.close()


@_fault
def Drip(exchange: Exchange, seconds_per_byte: float) -> None:
    """Send the body of the true answer byte by byte: never silent for long, never done."""
    exchange.connection.write(exchange.answer.head())
    _drip(exchange, exchange.answer.body, seconds_per_byte)


@_fault
def DripHeaders(exchange: Exchange, seconds_per_byte: float) -> None:
    """Send the status line and the headers of the true answer byte by byte, then the body."""
    if _drip(exchange, exchange.answer.head(), seconds_per_byte):
        exchange.connection.write(exchange.answer.body)


def _drip(exchange: Exchange, data: bytes, seconds_per_byte: float) -> bool:
    """Send the bytes one by one, and say whether the client stayed to the end."""
    for byte in data:
        exchange.connection.write(bytes([byte]))
        if not exchange.connection.wait(seconds_per_byte):
            exchange.connection.close()
            return False
    return True


@_fault
def Truncated(exchange: Exchange, share: float = 0.5) -> None:
    """Send the true answer up to a share of its body, and close the connection."""
    exchange.connection.write(_part(exchange.answer, share))
    exchange.connection.close()


@_fault
def Reset(exchange: Exchange, share: float = 0.5) -> None:
    """Send the true answer up to a share of its body, and reset the TCP connection."""
    exchange.connection.write(_part(exchange.answer, share))
    exchange.connection.reset()


def _part(answer: Answer, share: float) -> bytes:
    return answer.head() + answer.body[: int(len(answer.body) * share)]


@_fault
def Swollen(exchange: Exchange, padding: int) -> None:
    """Send the true answer, a JSON object, with so many bytes of padding inside.

    It is sent piece by piece; no more than a piece is ever in the memory.
    """
    answer, connection = exchange.answer, exchange.connection
    start, end = answer.body[:-1] + b',"padding":"', b'"}'
    length = str(len(start) + padding + len(end))
    headers = {**answer.headers, "Content-Length": length}
    connection.write(replace(answer, headers=headers).head() + start)
    piece = b"x" * _PIECE
    for sent in range(0, padding, _PIECE):
        connection.write(piece[: padding - sent])
    connection.write(end)


@_fault
def Paced(exchange: Exchange, seconds: float, patience: float) -> None:
    """Send the true answer, its body spread over so many seconds, as a server that hangs up.

    It does so on a client that takes nothing for `patience` seconds.
    """
    body, connection = exchange.answer.body, exchange.connection
    pause = seconds * _PIECE / max(len(body), 1)
    connection.write(exchange.answer.head())
    with connection.patience(patience):
        for start in range(0, len(body), _PIECE):
            time.sleep(pause)
            connection.write(body[start : start + _PIECE])
