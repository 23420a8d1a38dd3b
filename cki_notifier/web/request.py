"""HTTP requests and answers, and their encoding."""

import io
import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

import msgspec

logger = logging.getLogger(__name__)

#: The most parameters of a request.
_MOST_PARAMETERS = 20
#: The number of an outcome.
_NUMBER = re.compile("[0-9]{1,18}")
#: The browser loads, runs and embeds nothing from other sites, and sends them no referrer.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A request.

    Attributes:
        path: still percent-encoded.
        query: the values of each parameter.
        accept: the header, ``""`` when there is none.
    """

    path: str
    query: Mapping[str, Sequence[str]]
    accept: str = ""

    def values(self, name: str) -> Sequence[str]:
        """Return all values of a parameter."""
        return self.query.get(name, ())

    def first(self, name: str) -> str:
        """Return the first value of a parameter, ``""`` where there is none."""
        return "".join(self.values(name)[:1])

    def number(self, name: str) -> int:
        """Return a parameter as a number, 0 if it is not one."""
        text = "".join(self.values(name))
        return int(text) if _NUMBER.fullmatch(text) else 0

    def words(self) -> set[str]:
        """Return the words to search for: each once, in lower case."""
        return set(unquote(" ".join(self.values("q"))).lower().split())

    def again(self, *names: str, **more: object) -> str:
        """Return a query string with these parameters of the request, and with more."""
        kept = [(name, it) for name in names for it in self.values(name)]
        return urlencode([*kept, *more.items()], errors="replace")


def has_all(texts: Iterable[str], words: set[str]) -> bool:
    """Tell whether each word is in one of the texts."""
    haystack = "\n".join(texts).lower()
    return all(word in haystack for word in words)


class Answer(msgspec.Struct, frozen=True):
    """An answer."""

    body: bytes
    content_type: str
    code: HTTPStatus = HTTPStatus.OK


def text(said: str, code: HTTPStatus = HTTPStatus.OK) -> Answer:
    """Answer with a line of text."""
    return Answer(f"{said}\n".encode(), "text/plain; charset=utf-8", code)


def html(markup: str, code: HTTPStatus = HTTPStatus.OK) -> Answer:
    """Answer with a page."""
    return Answer(markup.encode(errors="replace"), "text/html; charset=utf-8", code)


def json(document: Any, code: HTTPStatus = HTTPStatus.OK) -> Answer:
    """Answer with a document that msgspec can encode as JSON."""
    return Answer(msgspec.json.encode(document), "application/json", code)


class Handler(BaseHTTPRequestHandler):
    """Handles one request in memory, without waiting for the network.

    Args:
        head: the request up to the empty line, and perhaps more.
        client: the sender's address, for the log.

    Attributes:
        asked: the request to answer; None when it is already refused.
    """

    server_version = "cki-notifier"
    sys_version = ""
    error_content_type = "text/plain; charset=utf-8"
    error_message_format = "%(code)d %(message)s\n"

    def __init__(self, head: bytes, client: str) -> None:
        self.rfile = io.BytesIO(head)
        self._written = self.wfile = io.BytesIO()
        self.client_address = (client, 0)
        self.asked: Request | None = None
        self.handle_one_request()

    @property
    def written(self) -> bytes:
        """The bytes to send, ``b""`` for none."""
        return self._written.getvalue()

    def do_GET(self) -> None:
        """Parse the request."""
        try:
            address = urlsplit(self.path)
            query = parse_qs(address.query, max_num_fields=_MOST_PARAMETERS)
        except ValueError:
            self.answer(text("400 bad request", HTTPStatus.BAD_REQUEST))
        else:
            accept = self.headers.get("Accept", "")
            self.asked = Request(path=address.path, query=query, accept=accept)

    do_HEAD = do_GET  # noqa: N815  # the base class' name

    def _refuse(self) -> None:
        self.answer(text("405 only GET and HEAD", HTTPStatus.METHOD_NOT_ALLOWED))

    do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_TRACE = do_CONNECT = _refuse  # noqa: N815  # the base class' names

    def answer(self, answer: Answer) -> None:
        """Write the answer, without its body for HEAD."""
        self.send_response(answer.code)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        if answer.code == HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET, HEAD")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def end_headers(self) -> None:
        """Add the headers that all answers have, errors included, and end the headers."""
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class' name
        """Log requests at level DEBUG only."""
        logger.debug("%s: %s", self.client_address[0], format % args)
