"""Reads a request, as far as we want to hear it, and writes its answer."""

import io
import logging
import socket
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cki_notifier.web.answer import Answer, Request, text

logger = logging.getLogger(__name__)

#: For a request to arrive, and for the answer to be taken, in seconds.
_REQUEST_SECONDS, _ANSWER_SECONDS = 5.0, 10.0
#: No request of ours is longer, in bytes.
_LONGEST = 16_384
#: Nor has it more parameters.
_MOST_PARAMETERS = 20
#: Nothing from elsewhere is loaded, run, embedded or told where the reader came from.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Handler(BaseHTTPRequestHandler):
    """Handles one connection, which is one request.

    Args:
        answers: is asked for the answer.
        arguments: of the base class.
    """

    server_version = "cki-notifier"
    sys_version = ""
    error_content_type = "text/plain; charset=utf-8"
    error_message_format = "%(code)d %(message)s\n"

    def __init__(self, answers: Callable[[Request], Answer], *arguments: Any) -> None:
        self._answers = answers
        super().__init__(*arguments)

    def setup(self) -> None:
        """Read through what counts the bytes and looks at the clock."""
        super().setup()
        self.rfile = io.BufferedReader(_Bounded(self.connection))

    def do_GET(self) -> None:
        """Answer."""
        self._send(self._answer(), has_body=True)

    def do_HEAD(self) -> None:
        """Answer with the headers alone."""
        self._send(self._answer(), has_body=False)

    def _refuse(self) -> None:
        self._send(text("405 only GET and HEAD", HTTPStatus.METHOD_NOT_ALLOWED), has_body=True)

    do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_TRACE = do_CONNECT = _refuse  # noqa: N815  # the base class' names

    def _answer(self) -> Answer:
        try:
            address = urlsplit(self.path)
            query = parse_qs(address.query, max_num_fields=_MOST_PARAMETERS)
        except ValueError:
            return text("400 bad request", HTTPStatus.BAD_REQUEST)
        accept = self.headers.get("Accept", "")
        return self._answers(Request(path=address.path, query=query, accept=accept))

    def _send(self, answer: Answer, *, has_body: bool) -> None:
        self.connection.settimeout(_ANSWER_SECONDS)
        self.send_response(answer.code)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        if answer.code == HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET, HEAD")
        self.end_headers()
        if has_body:
            self.wfile.write(answer.body)

    def end_headers(self) -> None:
        """End them with those that are the same for all answers, errors included."""
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class' name
        """Leave requests to whoever debugs."""
        logger.debug("%s: %s", self.client_address[0], format % args)


class _Bounded(io.RawIOBase):
    """What a client sends, up to a time and a size."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._end = time.monotonic() + _REQUEST_SECONDS
        self._left = _LONGEST

    def readable(self) -> bool:
        """Tell that this can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read what is there.

        Raises:
            TimeoutError: time is over.
            ConnectionAbortedError: it is too much.
        """
        seconds = self._end - time.monotonic()
        if seconds <= 0:
            raise TimeoutError("the request took too long")
        if self._left <= 0:
            raise ConnectionAbortedError("the request is too long")
        self._connection.settimeout(seconds)
        count = self._connection.recv_into(memoryview(buffer)[: self._left])
        self._left -= count
        return count
