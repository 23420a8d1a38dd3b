"""A stand-in for DataWarehouse and GitLab that is fast enough never to be waited for.

All heads and bodies are prepared when it starts: an answer is put together from the template of its
kind and the number asked for, after a latency that costs next to nothing. The ordinary stand-in
(``tools.stand_ins``) takes four times as much CPU for a request, from what is measured beside it.

    python -m tools.benchmarks.warehouse --port 8080 --gitlab-port 8081 --latency 0.05
"""

import argparse
import asyncio
import contextlib
import json
import re
from collections import Counter
from typing import Final

import uvloop

from tools.benchmarks.checkouts import PLACEHOLDER, Shape, pages, template

WAREHOUSE_TOKEN: Final = "warehouse-token"  # noqa: S105 - the stand-in's own
GITLAB_TOKEN: Final = "gitlab-token"  # noqa: S105 - likewise
#: Where the stand-in tells how many requests it has answered, and how many it had to refuse.
COUNTS_PATH: Final = "/counts"

_HOST = "127.0.0.1"
_BACKLOG = 1024
_CHECKOUT = (
    rb"GET /api/1/kcidb/checkouts/redhat(?::|%3A)(?P<number>\d{10})(?P<page>/builds|/all|)(\?\S*)? "
)
_MERGE_REQUEST = (
    rb"GET /api/v4/projects/[^/\s]+(?P<page>/merge_requests)/(?P<number>\d{10})(\?\S*)? "
)
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


#: What the number is put into, and the rest, which may be megabytes.
_Answer = tuple[list[bytes], bytes]


def _short(status: str, document: object) -> bytes:
    """Return a whole answer that is the same for all."""
    body = json.dumps(document).encode()
    return _HEAD.format(status=status, length=len(body)).encode() + body


_NOT_FOUND = _short("404 Not Found", {"detail": "Not found."})
_UNAUTHORIZED = _short("401 Unauthorized", {"detail": "Invalid token."})


def answers(gitlab: str, *, has_big: bool) -> dict[tuple[int, bytes], _Answer]:
    """Return all answers, by the first digit of the number and the page.

    Args:
        gitlab: where merge requests are.
        has_big: whether there are big documents, which take a second to make.
    """
    made = {}
    for shape in Shape if has_big else (Shape.PLAIN, Shape.WITH_MERGE_REQUEST):
        for page, body in pages(shape, gitlab).items():
            head = _HEAD.format(status="200 OK", length=len(body)).encode()
            start, placeholder, end = (head + body).rpartition(PLACEHOLDER.encode())
            made[str(shape.value).encode()[0], page.encode()] = template(start + placeholder), end
    return made


class Door:
    """The warehouse or GitLab.

    Args:
        asked: a pattern of its requests.
        token: a pattern that the head of each has to hold.
        made: see ``answers``.
        latency: seconds that go by before an answer.
        counts: what is done is counted there.
    """

    def __init__(
        self,
        asked: bytes,
        token: str,
        made: dict[tuple[int, bytes], _Answer],
        latency: float,
        counts: Counter[str],
    ) -> None:
        self._asked = re.compile(asked)
        self._token = re.compile(rf"\r\n{token}\r\n".encode(), re.IGNORECASE)
        self._made = made
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
        found = wanted and self._made.get((wanted["number"][0], wanted["page"]))
        if not wanted or not found or not self._token.search(request):
            self._counts["refused"] += 1
            return (_UNAUTHORIZED if found else _NOT_FOUND,)
        self._counts["answered"] += 1
        start, end = found
        return wanted["number"].join(start), end


async def serve(port: int, gitlab_port: int, latency: float, *, has_big: bool) -> None:
    """Serve until the process is ended."""
    counts = Counter[str]()
    made = answers(f"http://{_HOST}:{gitlab_port}", has_big=has_big)
    warehouse = Door(_CHECKOUT, f"authorization: *Token {WAREHOUSE_TOKEN}", made, latency, counts)
    gitlab = Door(_MERGE_REQUEST, f"private-token: *{GITLAB_TOKEN}", made, latency, counts)
    for each, number in ((warehouse, port), (gitlab, gitlab_port)):
        await asyncio.start_server(each.converse, _HOST, number, backlog=_BACKLOG)
    await asyncio.Event().wait()


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
