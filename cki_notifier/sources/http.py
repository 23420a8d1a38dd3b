"""Our one HTTP edge: documents by GET, decoded, with one deadline, one map of errors, few retries.

What a response means:

======================================  ==========================================================
200 with the JSON that is expected      the document
200 with anything else                  :class:`Unavailable`: a login page, half an answer, garbage
200 with JSON whose fields are wrong    :class:`InvalidDocument`, naming the field
404                                     :class:`NotFound`
401, 403                                :class:`Unavailable`, loudly: the token is bad or replaced
429, 5xx, no response                   :class:`Unavailable`, after a few tries at once
redirect to the same server             followed, a few times; to another one never: Unavailable
anything else                           :class:`Unavailable`
======================================  ==========================================================
"""

import email.utils
import logging
import random
import re
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from http import HTTPStatus
from typing import Generic, TypeVar
from urllib.parse import urljoin, urlsplit

import msgspec

from cki_notifier.deadline import Deadline
from cki_notifier.errors import InvalidDocument, NotFound, Unavailable
from cki_notifier.gate import LONGEST_PROBE_SECONDS, Gate
from cki_notifier.sources.transfer import Response, TransferError, Transfers

logger = logging.getLogger(__name__)

T = TypeVar("T")

#: One request takes no longer, in seconds.
_REQUEST_SECONDS = 60.0
#: Beyond that nobody waits, should a transfer fail to end by itself, in seconds.
_GRACE_SECONDS = 5.0
#: The pauses before further tries, in seconds; up to half as much again is added by chance.
_PAUSES = (0.2, 0.8)
#: However long a service asks us to wait, in seconds.
_LONGEST_RETRY_AFTER = LONGEST_PROBE_SECONDS
_MOST_REDIRECTS = 3
#: These tell of the service, not of the one object that was asked for.
_OVERLOADED = frozenset({429, 502, 503, 504})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_ROOT_MISMATCH = re.compile(r"Expected `(object|array)[^`]*`, got `[^`]*`")


class Server(msgspec.Struct, frozen=True):
    """A service at an address.

    Attributes:
        name: as errors and metrics call it.
        url: scheme, host, port and perhaps a path, without a slash at the end.
        headers: whole header lines for every request, with the token, which go to no other server.
        token_variable: where the token is configured, for the one who has to replace it.
    """

    name: str
    url: str
    headers: list[str]
    token_variable: str

    def __repr__(self) -> str:
        return f"Server({self.name!r}, {self.url!r})"  # not the headers: they hold the token


class Page(msgspec.Struct, Generic[T], frozen=True):
    """A document with the headers it came with."""

    document: T
    headers: Mapping[str, str]


class Pending(Generic[T]):
    """A document on its way: started already, so that several can be awaited side by side."""

    def __init__(
        self, http: "HTTP", server: Server, path: str, type_: type[T], deadline: Deadline
    ) -> None:
        self._http = http
        self._server = server
        self._path = path
        self._type = type_
        self._deadline = deadline
        self._gate = http.gate(server)
        self._future: Future[Response] | None = self._start(path)

    def result(self) -> T:
        """Wait for the document; see :meth:`HTTP.get`."""
        return self.page().document

    def page(self) -> Page[T]:
        """Wait for the document and its headers; see :meth:`HTTP.get`."""
        for pause in _PAUSES:
            try:
                return self._try()
            except Unavailable as error:
                wait = max(error.retry_after, pause * random.uniform(1, 1.5))  # noqa: S311  # jitter
                if not error.hiccup or not self._deadline.pause(wait):
                    raise
                logger.debug("%s; trying again", error)
        return self._try()

    def _start(self, path: str) -> Future[Response]:
        self._gate.enter(self._deadline)
        seconds = min(_REQUEST_SECONDS, self._deadline.remaining())
        server = self._server
        future = self._http.transfers.start(server.url + path, server.headers, seconds)
        # Noted as soon as it is there, not when somebody comes to wait for it.
        future.add_done_callback(self._note)
        return future

    def _note(self, future: Future[Response]) -> None:
        """Tell the gate how the service does."""
        if future.exception() is not None:
            self._gate.failed(self._path, whole=True)
            return
        response = future.result()
        if response.code in _OVERLOADED:
            self._gate.failed(self._path, whole=True, retry_after=_retry_after(response))
        elif response.code == HTTPStatus.NOT_FOUND or _is_json(response):
            self._gate.passed()
        elif response.code not in _REDIRECTS:
            self._gate.failed(self._path, whole=False)

    def _try(self) -> Page[T]:
        future, self._future = self._future or self._start(self._path), None
        response, path = self._wait(future), self._path
        for _ in range(_MOST_REDIRECTS):
            if response.code not in _REDIRECTS:
                break
            path = self._redirected(response, path)
            response = self._wait(self._start(path))
        if response.code in _REDIRECTS:
            self._gate.failed(self._path, whole=False)
        return Page(self._decode(response), response.headers)

    def _wait(self, future: Future[Response]) -> Response:
        try:
            return future.result(_REQUEST_SECONDS + _GRACE_SECONDS)
        except (TransferError, FutureTimeoutError) as error:
            text = f"no response to GET {self._path}: {error!r}"
            raise Unavailable(self._server.name, text, hiccup=True) from error

    def _redirected(self, response: Response, path: str) -> str:
        """Return the path a redirect leads to on the same server, which alone gets our token."""
        here = self._server.url + path
        target = _joined(here, response.headers.get("location", ""))
        if _origin(target) != _origin(here) or not target.startswith(self._server.url + "/"):
            self._gate.failed(self._path, whole=False)
            place = _origin(target) or "nowhere"
            text = f"GET {self._path} is redirected to {place}, where no token is sent"
            raise Unavailable(self._server.name, text)
        return target.removeprefix(self._server.url)

    def _decode(self, response: Response) -> T:
        self._check(response)
        where = f"{self._server.name}: the answer to GET {self._path}"
        try:
            return msgspec.json.decode(response.body, type=self._type)
        except msgspec.ValidationError as error:
            if _ROOT_MISMATCH.fullmatch(str(error)):
                text = f"GET {self._path} answered JSON of another kind: {error}"
                raise Unavailable(self._server.name, text) from error
            raise InvalidDocument(f"{where} can't be used: {error}") from error
        except RecursionError as error:
            raise InvalidDocument(f"{where} is nested too deeply to be read") from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            text = f"GET {self._path} answered no JSON: {error}"
            raise Unavailable(self._server.name, text, hiccup=True) from error

    def _check(self, response: Response) -> None:
        code, server = response.code, self._server
        logger.debug(
            "%s: GET %s answered %d, %d bytes", server.name, self._path, code, len(response.body)
        )
        if code == HTTPStatus.OK:
            return
        text = f"GET {self._path} answered {code}"
        if code == HTTPStatus.NOT_FOUND:
            raise NotFound(f"{server.name}: {text}")
        if code in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            logger.error("%s: %s; check the token in %s", server.name, text, server.token_variable)
            raise Unavailable(server.name, f"{text}; check the token in {server.token_variable}")
        again = code == HTTPStatus.TOO_MANY_REQUESTS or code >= HTTPStatus.INTERNAL_SERVER_ERROR
        raise Unavailable(server.name, text, hiccup=again, retry_after=_retry_after(response))


class HTTP:
    """Gets documents from servers."""

    def __init__(self, transfers: Transfers) -> None:
        self.transfers = transfers
        self._lock = threading.Lock()
        self._gates: dict[str, Gate] = {}

    def gate(self, server: Server) -> Gate:
        """Return the gate before a server, the same for all that have its address."""
        with self._lock:
            return self._gates.setdefault(server.url, Gate(server.name))

    def get(self, server: Server, path: str, type_: type[T], deadline: Deadline) -> Pending[T]:
        """Start to get a document; ``result()`` of what is returned waits for it.

        Args:
            server: where from.
            path: from the server's address on, percent-encoded, beginning with a slash.
            type_: what the document is decoded into.
            deadline: for all tries together.

        Raises (from ``result()``):
            NotFound: the server does not know it.
            InvalidDocument: it can't be used; the field is named.
            Unavailable: everything else; few tries were made.
            Interrupted: the process is stopping.
        """
        return Pending(self, server, path, type_, deadline)


def _joined(base: str, url: str) -> str:
    """Resolve an address by RFC 3986; an address that is none leads to ``""``."""
    try:
        return urljoin(base, url)
    except ValueError:
        return ""


def _is_json(response: Response) -> bool:
    """Tell whether a response looks like the JSON object or array we asked for."""
    return response.code == HTTPStatus.OK and response.body.lstrip()[:1] in {b"{", b"["}


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower() if parts.netloc else ""


def _retry_after(response: Response) -> float:
    """Return the seconds a response asks us to wait (RFC 9110, 10.2.3), within our own bound."""
    text = response.headers.get("retry-after", "")
    if re.fullmatch(r"[0-9]{1,9}", text):
        seconds = float(text)
    else:
        try:
            seconds = email.utils.parsedate_to_datetime(text).timestamp() - time.time()
        except (ValueError, OverflowError):
            seconds = 0.0
    return min(max(seconds, 0.0), _LONGEST_RETRY_AFTER)
