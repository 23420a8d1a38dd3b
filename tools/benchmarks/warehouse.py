"""A stand-in for DataWarehouse and GitLab that is fast enough never to be waited for.

All heads and bodies are prepared when it starts: an answer is put together from the template of its
kind and the number asked for, and written at once, after a latency that costs nothing. HTTP/1.1
with connections that are kept; a client sends its next request after the answer, as clients do.

    python -m tools.benchmarks.warehouse --port 8080 --gitlab-port 8081 --latency 0.05
"""

import argparse
import asyncio
import json
import re
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final, cast

import uvloop

from tools.benchmarks.ids import Shape
from tools.benchmarks.templates import Template, pages

WAREHOUSE_TOKEN: Final = "warehouse-token"  # noqa: S105 - the stand-in's own
GITLAB_TOKEN: Final = "gitlab-token"  # noqa: S105 - likewise
#: Where the stand-in tells what it has done so far.
COUNTS_PATH: Final = "/counts"

_HOST = "127.0.0.1"
_BACKLOG = 1024
_END = b"\r\n\r\n"
_CHECKOUT = re.compile(
    rb"GET /api/1/kcidb/checkouts/redhat(?::|%3[Aa])(\d{10})(/builds|/all|)(?:\?\S*)? "
)
_MERGE_REQUEST = re.compile(rb"GET /api/v4/projects/[^/\s]+/merge_requests/(\d{10})(?:\?\S*)? ")
#: The heads of answers are as long as those that Django and nginx send.
_HEAD = (
    "HTTP/1.1 {status}\r\n"
    "Server: nginx/1.26.2\r\n"
    "Date: Fri, 20 Nov 2026 12:30:00 GMT\r\n"
    "Content-Type: application/json\r\n"
    "Content-Length: {length}\r\n"
    "Connection: keep-alive\r\n"
    "Vary: Accept, Cookie\r\n"
    "Allow: GET, HEAD, OPTIONS\r\n"
    "X-Frame-Options: DENY\r\n"
    "X-Content-Type-Options: nosniff\r\n"
    "Referrer-Policy: same-origin\r\n"
    "Strict-Transport-Security: max-age=31536000\r\n"
    "\r\n"
)


@dataclass(slots=True)
class Counts:
    """What the stand-in has done: requests answered, and those it had to refuse."""

    answered: int = 0
    refused: int = 0
    by_kind: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Page:
    """A whole answer, head and body, of a kind."""

    kind: str
    template: Template


def page(kind: str, body: Template) -> Page:
    """Put the head before a body."""
    head = _HEAD.format(status="200 OK", length=len(body)).encode()
    return Page(kind, Template(head + body.joined(), body.end))


def short(status: str, document: object) -> bytes:
    """Return a whole answer with a body of its own."""
    body = json.dumps(document).encode()
    return _HEAD.format(status=status, length=len(body)).encode() + body


_NOT_FOUND = short("404 Not Found", {"detail": "Not found."})
_UNAUTHORIZED = short("401 Unauthorized", {"detail": "Invalid token."})

#: Returns the page and the number a request asks for; None where nothing is.
Route = Callable[[bytes], tuple[Page, bytes] | None]


class Conversation(asyncio.Protocol):
    """Answers the requests of one connection.

    Args:
        route: finds the answer.
        token: a pattern that the head of each request has to hold.
        latency: seconds that go by before an answer.
        counts: what is done is counted there.
    """

    def __init__(
        self, route: Route, token: re.Pattern[bytes], latency: float, counts: Counts
    ) -> None:
        self._route = route
        self._token = token
        self._latency = latency
        self._counts = counts
        self._received = b""
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection."""
        # uvloop's are transports by their methods only.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Answer the requests that are whole now."""
        self._received += data
        while (end := self._received.find(_END)) >= 0:
            request, self._received = self._received[: end + 2], self._received[end + 4 :]
            self._answer(request)

    def _answer(self, request: bytes) -> None:
        if request.startswith(b"GET " + COUNTS_PATH.encode()):
            self._write(short("200 OK", _told(self._counts)))
            return
        found = self._route(request)
        if found is None or not self._token.search(request):
            self._counts.refused += 1
            self._later(partial(self._write, _NOT_FOUND if found is None else _UNAUTHORIZED))
            return
        wanted, number = found
        self._counts.answered += 1
        self._counts.by_kind[wanted.kind] = self._counts.by_kind.get(wanted.kind, 0) + 1
        self._later(partial(self._show, wanted.template, number))

    def _later(self, do: Callable[[], None]) -> None:
        if self._latency:
            self._loop.call_later(self._latency, do)
        else:
            do()

    def _show(self, template: Template, number: bytes) -> None:
        self._write(template.fill(number))
        if template.end:
            self._write(template.end)

    def _write(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)


def warehouse_route(gitlab: str, *, has_big: bool) -> Route:
    """Return what finds the warehouse's documents.

    Args:
        gitlab: where merge requests are.
        has_big: whether there are big ones, which take a second to make.
    """
    found: dict[tuple[bytes, bytes], Page] = {}
    for shape in Shape if has_big else set(Shape) - {Shape.BIG}:
        shown = pages(shape, gitlab)
        digit = str(shape.value).encode()
        found[digit, b""] = page("checkout", shown.checkout)
        found[digit, b"/builds"] = page("builds", shown.builds)
        found[digit, b"/all"] = page("all", shown.everything)

    def route(request: bytes) -> tuple[Page, bytes] | None:
        asked = _CHECKOUT.match(request)
        if asked is None:
            return None
        wanted = found.get((asked[1][:1], asked[2]))
        return (wanted, asked[1]) if wanted else None

    return route


def gitlab_route(gitlab: str) -> Route:
    """Return what finds merge requests."""
    merge_request = page("merge_request", pages(Shape.WITH_MERGE_REQUEST, gitlab).merge_request)

    def route(request: bytes) -> tuple[Page, bytes] | None:
        asked = _MERGE_REQUEST.match(request)
        return (merge_request, asked[1]) if asked else None

    return route


def _told(counts: Counts) -> dict[str, object]:
    return {"answered": counts.answered, "refused": counts.refused, "by_kind": counts.by_kind}


async def serve(port: int, gitlab_port: int, latency: float, *, has_big: bool) -> None:
    """Serve until SIGTERM."""
    loop = asyncio.get_running_loop()
    counts = Counts()
    gitlab = f"http://{_HOST}:{gitlab_port}"
    doors = (
        (
            port,
            warehouse_route(gitlab, has_big=has_big),
            f"authorization: *Token {WAREHOUSE_TOKEN}",
        ),
        (gitlab_port, gitlab_route(gitlab), f"private-token: *{GITLAB_TOKEN}"),
    )
    for number, route, header in doors:
        pattern = re.compile(rf"\r\n{header}\r\n".encode(), re.IGNORECASE)
        await loop.create_server(
            partial(Conversation, route, pattern, latency, counts),
            sock=_listener(number),
            backlog=_BACKLOG,
        )
    stopped = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    await stopped.wait()


def _listener(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((_HOST, port))
    return listener


def main() -> None:
    """Run the stand-in."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.benchmarks.warehouse", description=__doc__
    )
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--gitlab-port", type=int, required=True)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before any answer")
    parser.add_argument("--big", action="store_true", help="show big documents, too")
    parsed = parser.parse_args()
    uvloop.run(serve(parsed.port, parsed.gitlab_port, parsed.latency, has_big=parsed.big))


if __name__ == "__main__":
    main()
