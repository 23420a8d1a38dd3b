"""HTTP client for documents: GET and decode, with a deadline, a map of errors and few retries.

- 200 with the expected JSON: the document.
- 200 with wrong fields: :class:`InvalidDocument`, which names the field.
- 200 with anything else, such as a login page or half an answer: :class:`Unavailable`.
- 404 with a JSON object: :class:`NotFound`. Without one, it is a proxy's: :class:`Unavailable`.
- 401, 403: :class:`Unavailable`, as an ERROR that names the token's variable.
- 429, 5xx, no response: :class:`Unavailable`, after a few immediate retries.
- An answer beyond a size limit: :class:`Unavailable`, without a retry.
- A redirect to the same server: followed, a few times.
- A redirect to another server, and anything else: :class:`Unavailable`.

An optional document can be :class:`Refused`, without an ERROR. The causes are 4xx except 408, 425
and 429, an answer beyond a size limit, and a redirect to another server.

A service is down if it can't be reached, sends no first byte, or answers 429. Other failures may be
about the requested object.
"""

import logging
import random
import re
import string
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Generic, TypeVar
from urllib.parse import quote, urlsplit

import msgspec

from cki_notifier.notification.decoding import decode, decoded
from cki_notifier.notification.errors import InvalidDocument, NotFound, Refused, Unavailable
from cki_notifier.sources.transfer import Response, TransferError, Transfers, Wanted
from cki_notifier.telemetry import metrics
from cki_notifier.telemetry.connections import Trouble
from cki_notifier.telemetry.printable import printable
from cki_notifier.workers.bulkhead import Bulkhead
from cki_notifier.workers.deadline import Deadline
from cki_notifier.workers.gate import LONGEST_PROBE_SECONDS, Gate
from cki_notifier.workers.shares import USUAL, Shares

logger = logging.getLogger(__name__)

T = TypeVar("T")

#: Seconds to wait beyond the deadline for a transfer that does not end.
_GRACE_SECONDS = 5.0
#: A failure is retried if the service answered others this many seconds later: the caller may have
#: waited for another document meanwhile.
_OLD_SECONDS = 1.0
#: Pauses before retries, in seconds. A random part of up to a half is added.
_PAUSES = (0.2, 0.8)
#: Limit of remembered servers, whose addresses come from documents of others.
_MOST_PEERS = 200
#: No list of ours has more pages: with 30 entries each these are 6,000 builds.
MOST_PAGES = 200
#: 4xx codes that may pass. A 404 may come from a proxy.
_PASSING = frozenset({404, 408, 425, 429})
TOKEN_REFUSED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
#: Codes from here on are the service's own failures.
_FIRST_OF_ITS_OWN = HTTPStatus.INTERNAL_SERVER_ERROR
_JSON_START = re.compile(rb"(?:\xef\xbb\xbf)?\s*[\[{]")
_ROOT_MISMATCH = re.compile(r"Expected `(object|array)[^`]*`, got `[^`]*`")


class Server(msgspec.Struct, frozen=True):
    """A service at an address.

    Attributes:
        name: in errors and metrics.
        url: scheme, host, port and perhaps a path, without a slash at the end.
        headers: whole header lines for every request, with the token. No other server gets them.
        token_variable: the variable with the token.
        host: tells services of one name apart; ``""`` for one that all notifications need.
    """

    name: str
    url: str
    headers: list[str]
    token_variable: str
    host: str = ""

    def __repr__(self) -> str:
        return f"Server({self.name!r}, {self.url!r})"  # not the headers: they hold the token


class Reading(msgspec.Struct, Generic[T], frozen=True):
    """How to read a document.

    Attributes:
        type_: the type to decode into.
        read: returns the wanted part of a document and its headers. Called in the transfers'
            thread, so it must not wait. May raise InvalidDocument.
        wants_headers: whether ``read`` needs the headers; else they are empty.
        most_bytes: of the decompressed document.
        most_objects: in the document, because objects need far more memory than their bytes.
        seconds: the timeout of one request.
        is_needed: whether a message needs the document; else it may be refused.
        absent: the kind of object that a 404 denies; ``""`` to name the request instead.
    """

    type_: type[Any]
    read: Callable[[Any, Mapping[str, str]], T]
    wants_headers: bool = False
    most_bytes: int = 8 * 1024 * 1024
    most_objects: int = 50_000
    seconds: float = 60.0
    is_needed: bool = True
    absent: str = ""


def whole(type_: type[T], absent: str = "") -> Reading[T]:
    """Return a reading of the whole document."""
    return Reading(type_, _document, absent=absent)


def _document(document: T, _headers: Mapping[str, str]) -> T:
    return document


class _AnyObject(msgspec.Struct):
    """An object whose fields nobody looks at."""


def other_server(response: Response, server: Server) -> str:
    """Return another server that a response redirects to, ``""`` for none.

    The result is scheme, host and port, or ``nowhere``.
    """
    url = response.redirected_to
    return "" if url.startswith(f"{server.url}/") else url and (_origin(url) or "nowhere")


@dataclass
class Pending(Generic[T]):
    """A started request, so that several can run in parallel."""

    _http: "HTTP"
    _server: Server
    #: From the server's address on.
    path: str
    _reading: Reading[T]
    _deadline: Deadline
    _about: str

    def __post_init__(self) -> None:
        """Start the request."""
        self._gate = self._http.gate(self._server)
        self._asked_at = self._answered_at = 0.0
        self._future: Future[T] | None = self._start()

    def result(self) -> T:
        """Wait for the document; see :meth:`HTTP.get`."""
        for pause in _PAUSES:
            try:
                return self._try()
            except Unavailable as error:
                wait = max(error.retry_after, pause * random.uniform(1, 1.5))  # noqa: S311  # jitter
                is_old = self._gate.has_passed_since(self._answered_at + _OLD_SECONDS)
                if not (error.hiccup or is_old) or not self._deadline.pause(wait):
                    raise
                logger.debug("%s; trying again", error)
        return self._try()

    def _start(self) -> Future[T]:
        self._gate.enter(self._deadline)
        self._asked_at = time.monotonic()
        wanted = Wanted(
            self._server.url + self.path,
            self._server.headers,
            seconds=self._reading.seconds,
            patience=self._deadline.remaining(),
            most_bytes=self._reading.most_bytes,
            line=self._server.name,
            wants_headers=self._reading.wants_headers,
            server=self._server.url,
        )
        return self._http.transfers.digest(wanted, self._digest)

    def _try(self) -> T:
        future, self._future = self._future or self._start(), None
        seconds = self._deadline.remaining() + _GRACE_SECONDS
        what = f"an answer of {self._server.name} {self._server.host}".rstrip()
        try:
            return self._deadline.wait_for(future, seconds, what)
        except TimeoutError as error:
            text = f"no response to GET {self.path} in time"
            raise self._unavailable(text, hiccup=True) from error

    def _digest(self, outcome: Response | TransferError) -> T:
        """Read a response in the transfers' thread, and report to the gate at once."""
        self._answered_at = time.monotonic()
        name, seconds = self._server.name, self._answered_at - self._asked_at
        code = "none" if isinstance(outcome, TransferError) else str(outcome.code)
        metrics.answered(name, code, seconds, is_needed=self._reading.is_needed)
        if isinstance(outcome, TransferError):
            raise self._broken(outcome)
        logger.debug("%s: GET %s answered %s, %d bytes", name, self.path, code, len(outcome.body))
        if outcome.code != HTTPStatus.OK:
            raise self._refused(outcome)
        if _JSON_START.match(outcome.body):
            self._gate.passed()
        else:
            self._failed(f"GET {self.path} answered {code} without a JSON object")
        return self._reading.read(self._decode(outcome), outcome.headers)

    def _broken(self, error: TransferError) -> Unavailable:
        """Return the error for a missing or incomplete response."""
        what = "incomplete response" if error.has_begun else "no response"
        text = f"{what} to GET {self.path}: {error}"
        failed = self._failed(text, whole=not error.has_begun, hiccup=not error.is_bound)
        is_refusal = error.is_bound and not self._reading.is_needed
        return Refused(self._server.name, text) if is_refusal else failed

    def _refused(self, response: Response) -> NotFound | Unavailable:
        """Return the error for a response without a document."""
        code, text = response.code, f"GET {self.path} answered {response.code}"
        elsewhere = other_server(response, self._server)
        if elsewhere:
            text = f"GET {self.path} redirects to {elsewhere}, which gets no token"
        elif response.redirected_to:
            text = f"{text} too many times"
        elif code == HTTPStatus.NOT_FOUND:
            if is_object(response.body):
                self._gate.passed()
                absent = f"no such {self._reading.absent}: {printable(self._about)}"
                return NotFound(f"{self._server.name}: {absent if self._reading.absent else text}")
            text = f"{text} without a JSON object"
        elif code in TOKEN_REFUSED and self._reading.is_needed:
            text = f"{text}; check the token in {self._server.token_variable}"
        if not self._reading.is_needed and (elsewhere or _is_about_the_question(code)):
            self._gate.passed()
            return Refused(self._server.name, text)
        is_busy = code == HTTPStatus.TOO_MANY_REQUESTS
        return self._failed(
            text,
            whole=is_busy,
            refuses=code in TOKEN_REFUSED,
            hiccup=is_busy or code == HTTPStatus.NOT_FOUND or code >= _FIRST_OF_ITS_OWN,
            retry_after=min(max(response.retry_after, 0.0), LONGEST_PROBE_SECONDS),
        )

    def _failed(
        self,
        text: str,
        *,
        whole: bool = False,
        refuses: bool = False,
        hiccup: bool = False,
        retry_after: float = 0.0,
    ) -> Unavailable:
        """Report a failure to the gate; return the error.

        See :meth:`Gate.failed` and :class:`Unavailable`.
        """
        self._gate.failed(
            self._about,
            whole=whole,
            since=self._asked_at,
            retry_after=retry_after if whole else 0,  # else it is perhaps about the one object
            trouble=Trouble(text, refuses=refuses),
        )
        return self._unavailable(text, hiccup=hiccup, retry_after=retry_after, held=whole)

    def _unavailable(self, text: str, **how: Any) -> Unavailable:
        return Unavailable(self._server.name, text, host=self._server.host, **how)

    def _decode(self, response: Response) -> Any:
        where = f"{self._server.name}: the answer to GET {self.path}"
        most = self._reading.most_objects
        if response.body.count(b"{") > most:
            raise InvalidDocument(f"{where} can't be used: it has more than {most} objects")
        try:
            return decode(response.body, self._reading.type_)
        except msgspec.ValidationError as error:
            if _ROOT_MISMATCH.fullmatch(str(error)):
                text = f"GET {self.path} answered JSON of another type: {error}"
                raise self._unavailable(text) from None
            raise InvalidDocument(f"{where} can't be used: {error}") from None
        except RecursionError:
            raise InvalidDocument(f"{where} is nested too deeply") from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            text = f"GET {self.path} answered invalid JSON: {error}"
            raise self._unavailable(text, hiccup=True) from None


class _Peer(msgspec.Struct, frozen=True):
    """The state that is kept for a server."""

    gate: Gate
    bulkhead: Bulkhead


class HTTP:
    """Gets documents from servers.

    Args:
        transfers: carry the requests.
        shares: limits of one host.
    """

    def __init__(self, transfers: Transfers, shares: Shares = USUAL) -> None:
        self.transfers = transfers
        self._shares = shares
        self._lock = threading.Lock()
        #: By address, the most recently used at the end.
        self._peers: OrderedDict[str, _Peer] = OrderedDict()

    def gate(self, server: Server) -> Gate:
        """Return the gate before a server, shared by all with its address."""
        return self._peer(server).gate

    def place(self, server: Server, deadline: Deadline) -> AbstractContextManager[None]:
        """Have a place before a server that is one of several; raises as :meth:`Bulkhead.place`."""
        return self._peer(server).bulkhead.place(deadline)

    def is_full(self, url: str) -> bool:
        """Tell whether a server is down or stuck, with no place left to wait."""
        with self._lock:
            peer = self._peers.get(url)
        return peer is not None and (peer.gate.is_full or peer.bulkhead.is_full)

    def _peer(self, server: Server) -> _Peer:
        with self._lock:
            peer = self._peers.get(server.url)
            if peer is None:
                name, host, shares = server.name, server.host, self._shares
                peer = self._peers[server.url] = _Peer(
                    Gate(name, host, shares.waiting if host else None),
                    Bulkhead(name, host, shares.places, (shares.line, shares.waiting)),
                )
                self._forget_one()
            self._peers.move_to_end(server.url)
            return peer

    def _forget_one(self) -> None:
        """Forget the least recently used host, if there are too many."""
        if len(self._peers) > _MOST_PEERS:
            url, gate = next((url, it.gate) for url, it in self._peers.items() if it.gate.host)
            metrics.connected.forget(gate.service, gate.host)
            del self._peers[url]

    def get(
        self,
        server: Server,
        path: str,
        reading: Reading[T],
        deadline: Deadline,
        about: str = "",
    ) -> Pending[T]:
        """Start to get a document; ``result()`` waits for it.

        Args:
            server: to ask.
            path: from the server's address on, percent-encoded, with a slash at the start.
            reading: of the document.
            deadline: for all tries together.
            about: the same for all requests about one object; by default the path.

        Raises (from ``result()``):
            NotFound: the server does not know the object.
            InvalidDocument: the document has an invalid field.
            Refused: the server refuses an optional document.
            Unavailable: everything else, after few tries.
            Interrupted: the process is stopping.
        """
        path = quote(path, safe=string.punctuation)  # a page's successor may be spelled anyhow
        return Pending(self, server, path, reading, deadline, about or path)


def is_object(body: bytes | bytearray) -> bool:
    """Tell whether a body is a JSON object, as the services' own errors are."""
    return decoded(body, _AnyObject) is not None


def _is_about_the_question(code: int) -> bool:
    """Tell whether a code is about the request, not about the moment or the service."""
    is_theirs = HTTPStatus.BAD_REQUEST <= code < _FIRST_OF_ITS_OWN
    return is_theirs and code not in _PASSING


def _origin(url: str) -> str:
    """Return scheme, host and port of an address, "" for none."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.netloc}".lower() if parts.netloc else ""
