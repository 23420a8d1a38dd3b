"""A stand-in for DataWarehouse and GitLab that is fast enough to be no bottleneck.

It prepares all heads and bodies at its start, and inserts the number of a request into a template.
The latency costs almost no CPU. The ordinary stand-in (``tools.stand_ins``) takes three times as
much CPU for a request.

    python -m tools.benchmarks.warehouse PORT GITLAB_PORT LATENCY_SECONDS [big]
"""

import asyncio
import contextlib
import json
import re
import sys
from collections import Counter
from typing import Final

import uvloop

from tools.benchmarks.checkouts import PLACEHOLDER, Shape, pages, template

WAREHOUSE_TOKEN: Final = "warehouse-token"  # noqa: S105 - the stand-in's own
GITLAB_TOKEN: Final = "gitlab-token"  # noqa: S105 - the stand-in's own
#: The path with the numbers of answered and refused requests.
COUNTS_PATH: Final = "/counts"

_HOST = "127.0.0.1"
_BACKLOG = 1024
_NUMBER = r"(?P<number>(?P<shape>\d)\d{9})"
_CHECKOUT = rf"/api/1/kcidb/checkouts/redhat(?::|%3A){_NUMBER}(?P<page>/builds|/all|)"
_MERGE_REQUEST = rf"/api/v4/projects/[^/\s]+(?P<page>/merge_requests)/{_NUMBER}"
#: As long as the heads from Django and nginx.
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

#: By the shape of the checkout and the page: the template for the number, and the rest, perhaps
#: megabytes.
_Answers = dict[tuple[bytes, bytes], tuple[list[bytes], bytes]]


def _short(status: str, document: object) -> bytes:
    """Return a whole response."""
    body = json.dumps(document).encode()
    return _HEAD.format(status=status, length=len(body)).encode() + body


_NOT_FOUND = _short("404 Not Found", {"detail": "Not found."})
_UNAUTHORIZED = _short("401 Unauthorized", {"detail": "Invalid token."})


def _answers(gitlab: str, *, has_big: bool) -> _Answers:
    made = {}
    for shape in Shape if has_big else (Shape.PLAIN, Shape.WITH_MERGE_REQUEST):
        for page, body in pages(shape, gitlab).items():
            head = _HEAD.format(status="200 OK", length=len(body)).encode()
            start, placeholder, end = (head + body).rpartition(PLACEHOLDER.encode())
            made[str(shape.value).encode(), page.encode()] = template(start + placeholder), end
    return made


class Door:
    """DataWarehouse or GitLab.

    Args:
        asked: a pattern of the requested path.
        token: a pattern of a line that each request's head needs.
        answers: to all requests.
        latency: seconds before each response.
        counts: counts answered and refused requests.
    """

    def __init__(
        self,
        asked: str,
        token: str,
        answers: _Answers,
        latency: float,
        counts: Counter[str],
    ) -> None:
        self._asked = re.compile(rf"GET {asked}(\?\S*)? ".encode())
        self._token = re.compile(rf"\r\n{token}\r\n".encode(), re.IGNORECASE)
        self._answers = answers
        self._latency = latency
        self._counts = counts

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of a connection, one after the other."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                answer = self._answer(await reader.readuntil(b"\r\n\r\n"))
                if self._latency:
                    await asyncio.sleep(self._latency)
                writer.writelines(answer)
        writer.close()

    def _answer(self, request: bytes) -> tuple[bytes, ...]:
        if request.startswith(b"GET " + COUNTS_PATH.encode()):
            return (_short("200 OK", self._counts),)
        wanted = self._asked.match(request)
        found = wanted and self._answers.get((wanted["shape"], wanted["page"]))
        if not wanted or not found or not self._token.search(request):
            self._counts["refused"] += 1
            return (_UNAUTHORIZED if found else _NOT_FOUND,)
        self._counts["answered"] += 1
        start, end = found
        return wanted["number"].join(start), end


async def serve(port: int, gitlab_port: int, latency: float, *, has_big: bool) -> None:
    """Serve until the end of the process."""
    counts = Counter[str]()
    made = _answers(f"http://{_HOST}:{gitlab_port}", has_big=has_big)
    warehouse = Door(_CHECKOUT, f"authorization: *Token {WAREHOUSE_TOKEN}", made, latency, counts)
    gitlab = Door(_MERGE_REQUEST, f"private-token: *{GITLAB_TOKEN}", made, latency, counts)
    for each, number in ((warehouse, port), (gitlab, gitlab_port)):
        await asyncio.start_server(each.converse, _HOST, number, backlog=_BACKLOG)
    await asyncio.Event().wait()


if __name__ == "__main__":
    _port, _gitlab_port, _latency, *_big = sys.argv[1:]
    uvloop.run(serve(int(_port), int(_gitlab_port), float(_latency), has_big=bool(_big)))
