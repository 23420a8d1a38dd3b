"""Faults of a service: values for `Service.answer`.

Faults that only replace the response leave the connection open.
"""
# ruff: noqa: N802 - a fault is named like a class, `Hang(5)`

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from typing import Concatenate, ParamSpec

from .server import Answer, Exchange, Fault, json_answer

P = ParamSpec("P")

#: Size of a piece of a slow response, in bytes.
_PIECE = 65_536
NOT_FOUND = json_answer({"detail": "Not found."}, 404)
PROXY_PAGE = b"<html>\n<head><title>404 Not Found</title></head>\n<hr>nginx\n</html>\n"
LOGIN_PAGE = b"<!doctype html>\n<title>Log in</title>\n<form method=post>Log in</form>\n"


@dataclass(frozen=True, slots=True)
class Status:
    """Another status. A 404 has the service's body, other statuses an empty one."""

    code: int
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, exchange: Exchange) -> None:
        """Send the response."""
        usual = NOT_FOUND.body if self.code == NOT_FOUND.status else b""
        body = usual if self.body is None else self.body
        exchange.connection.answer(Answer(self.code, body, self.headers))


def NoBackend(body: bytes = PROXY_PAGE) -> Status:
    """Return a 404 of a proxy that has no backend."""
    return Status(404, body, {"Content-Type": "text/html"})


def Html(body: bytes = LOGIN_PAGE) -> Status:
    """Return a login page with status 200, as after a redirect to it."""
    return Status(200, body, {"Content-Type": "text/html; charset=utf-8"})


def Garbage(body: bytes) -> Status:
    """Return a body that claims to be JSON, with status 200."""
    return Status(200, body, {"Content-Type": "application/json"})


def Redirect(location: str, code: int = 302) -> Status:
    """Return a redirect to a URL, without a body."""
    return Status(code, b"", {"Location": location})


class _Made:
    """A fault whose repr is the call that made it, `Drip(1)`."""

    def __init__(self, name: str, deliver: Fault, *values: object) -> None:
        self._name = f"{name}({', '.join(map(str, values))})"
        self._deliver = deliver

    def __call__(self, exchange: Exchange) -> None:
        """Send the faulty response."""
        self._deliver(exchange)

    def __repr__(self) -> str:
        return self._name


def _fault(deliver: Callable[Concatenate[Exchange, P], None]) -> Callable[P, Fault]:
    """Turn a function of an exchange and values into a function of the values: the fault."""

    def make(*more: P.args, **named: P.kwargs) -> Fault:
        values = (*more, *named.values())
        return _Made(deliver.__name__, lambda it: deliver(it, *more, **named), *values)

    return make


@_fault
def RedirectLoop(exchange: Exchange, code: int = 302) -> None:
    """Redirect to the same URL."""
    Redirect(exchange.request.target, code)(exchange)


@_fault
def Dated(exchange: Exchange, seconds_ahead: float = 0) -> None:
    """Send the true response with a Date header that is `seconds_ahead`."""
    date = formatdate(time.time() + seconds_ahead, usegmt=True)
    headers = {**exchange.answer.headers, "Date": date}
    exchange.connection.answer(replace(exchange.answer, headers=headers))


@_fault
def Late(exchange: Exchange, seconds: float) -> None:
    """Send the true response after `seconds`, if the client is still there."""
    if exchange.connection.wait(seconds):
        exchange.connection.answer(exchange.answer)


@_fault
def Hang(exchange: Exchange, seconds: float) -> None:
    """Read the request, send nothing for `seconds`, then close the connection."""
    exchange.connection.wait(seconds)
    exchange.connection.close()


@_fault
def Drip(exchange: Exchange, seconds_per_byte: float) -> None:
    """Send the body of the true response byte by byte."""
    exchange.connection.write(exchange.answer.head())
    _drip(exchange, exchange.answer.body, seconds_per_byte)


@_fault
def DripHeaders(exchange: Exchange, seconds_per_byte: float) -> None:
    """Send the head of the true response byte by byte, then the body."""
    if _drip(exchange, exchange.answer.head(), seconds_per_byte):
        exchange.connection.write(exchange.answer.body)


def _drip(exchange: Exchange, data: bytes, seconds_per_byte: float) -> bool:
    """Send the bytes one by one; return whether the client stayed to the end."""
    for byte in data:
        exchange.connection.write(bytes([byte]))
        if not exchange.connection.wait(seconds_per_byte):
            exchange.connection.close()
            return False
    return True


@_fault
def Truncated(exchange: Exchange, share: float = 0.5) -> None:
    """Send the true response up to a share of its body, then close the connection."""
    exchange.connection.write(_part(exchange.answer, share))
    exchange.connection.close()


@_fault
def Reset(exchange: Exchange, share: float = 0.5) -> None:
    """Send the true response up to a share of its body, then reset the TCP connection."""
    exchange.connection.write(_part(exchange.answer, share))
    exchange.connection.reset()


def _part(answer: Answer, share: float) -> bytes:
    return answer.head() + answer.body[: int(len(answer.body) * share)]


@_fault
def Swollen(exchange: Exchange, padding: int) -> None:
    """Send the true response, a JSON object, with `padding` more bytes inside.

    Sends piece by piece, and holds only one piece in memory.
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
    """Send the true response, with its body spread over `seconds`.

    Close the connection if the client reads nothing for `patience` seconds.
    """
    body, connection = exchange.answer.body, exchange.connection
    pause = seconds * _PIECE / max(len(body), 1)
    connection.write(exchange.answer.head())
    with connection.patience(patience):
        for start in range(0, len(body), _PIECE):
            time.sleep(pause)
            connection.write(body[start : start + _PIECE])
