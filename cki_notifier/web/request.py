"""A request, and what is answered; and how HTTP writes both."""

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

#: No request of ours has more parameters.
_MOST_PARAMETERS = 20
#: A number of an outcome; longer ones there are none.
_NUMBER = re.compile("[0-9]{1,18}")
#: Nothing from elsewhere is loaded, run, embedded or told where the reader came from.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A request to read something.

    Attributes:
        path: decoded no further.
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
        """Return a parameter that is a number, 0 for one that is none."""
        text = "".join(self.values(name))
        return int(text) if _NUMBER.fullmatch(text) else 0

    def words(self) -> set[str]:
        """Return what is searched for: each word once, in lower case."""
        return set(unquote(" ".join(self.values("q"))).lower().split())

    def again(self, *names: str, **more: object) -> str:
        """Return the query of an address that asks again for these parameters, and for more."""
        kept = [(name, it) for name in names for it in self.values(name)]
        return urlencode([*kept, *more.items()], errors="replace")


def has_all(texts: Iterable[str], words: set[str]) -> bool:
    """Tell whether each of these words is in some text."""
    haystack = "\n".join(texts).lower()
    return all(word in haystack for word in words)


class Answer(msgspec.Struct, frozen=True):
    """What is answered."""

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
    """Answer with a JSON document, made of what msgspec can encode."""
    return Answer(msgspec.json.encode(document), "application/json", code)


class Handler(BaseHTTPRequestHandler):
    """Handles one request, in memory: nothing here waits for the network.

    Args:
        head: the request up to the empty line, and maybe more.
        client: who sent it, for the log.

    Attributes:
        asked: what is to be answered; None when the request is refused already.
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
        """What is to be sent, ``b""`` when there is nothing to say to that."""
        return self._written.getvalue()

    def do_GET(self) -> None:
        """Understand what is asked."""
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
        """Write the answer; for HEAD without its body."""
        self.send_response(answer.code)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        if answer.code == HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET, HEAD")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def end_headers(self) -> None:
        """End them with those that are the same for all answers, errors included."""
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class' name
        """Leave requests to whoever debugs."""
        logger.debug("%s: %s", self.client_address[0], format % args)
