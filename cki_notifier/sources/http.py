"""Our one HTTP edge: documents by GET, decoded, with one deadline, one map of errors, few retries.

What a response means:

======================================  ==========================================================
200 with the JSON that is expected      the document
200 with anything else                  :class:`Unavailable`: a login page, half an answer, garbage
200 with JSON whose fields are wrong    :class:`InvalidDocument`, naming the field
404 with a JSON object                  :class:`NotFound`
404 with anything else                  :class:`Unavailable`: a proxy's word, not the service's
401, 403                                :class:`Unavailable`, loudly: the token is bad or replaced
429, 5xx, no response                   :class:`Unavailable`, after a few tries at once
more than one of our bounds             :class:`Unavailable`, at once
redirect to the same server             followed, a few times; to another one never: Unavailable
anything else                           :class:`Unavailable`
======================================  ==========================================================

What a message can do without is :class:`Refused`, quietly, where it would be 401, 403, another 4xx
that is no 408, 425 or 429, more than our bounds or a redirect to another server.

These tell of the service, and not perhaps of the one object that was asked for: it can't be
reached, or sends no first byte, or answers 429.
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

#: Beyond that nobody waits, should a transfer fail to end by itself, in seconds.
_GRACE_SECONDS = 5.0
#: What failed so long before the service answered others properly is worth another try, in
#: seconds: who asks for two documents may have waited for the other one.
_OLD_SECONDS = 1.0
#: The pauses before further tries, in seconds; up to half as much again is added by chance.
_PAUSES = (0.2, 0.8)
#: So many servers are told apart; they are named by the documents of others.
_MOST_PEERS = 200
#: No list of ours has more pages: with 30 entries each these are 6,000 builds.
MOST_PAGES = 200
#: 4xx that tell of the moment, or in case of the 404 perhaps of a proxy.
_PASSING = frozenset({404, 408, 425, 429})
TOKEN_REFUSED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
#: From here on a code tells of the service's own trouble.
_FIRST_OF_ITS_OWN = HTTPStatus.INTERNAL_SERVER_ERROR
_JSON_START = re.compile(rb"(?:\xef\xbb\xbf)?\s*[\[{]")
_ROOT_MISMATCH = re.compile(r"Expected `(object|array)[^`]*`, got `[^`]*`")


class Server(msgspec.Struct, frozen=True):
    """A service at an address.

    Attributes:
        name: as errors and metrics call it.
        url: scheme, host, port and perhaps a path, without a slash at the end.
        headers: whole header lines for every request, with the token, which go to no other server.
        token_variable: where the token is configured, for the one who has to replace it.
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
    """What is wanted of a document.

    Attributes:
        type_: what it is decoded into.
        read: returns what is wanted of a document and its headers; the document itself is then
            forgotten. Called in the thread of the transfers, so it must not wait. May raise
            InvalidDocument.
        wants_headers: whether ``read`` looks at the headers; they are empty else.
        most_bytes: of the document, decompressed.
        most_objects: in it, each of which needs far more memory than its bytes.
        seconds: one request takes no longer.
        is_needed: whether a message can't do without it; else a refusal is nobody's fault.
        absent: what it is that a 404 says there isn't, in words; ``""`` to tell of the request.
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
    """Want all of a document; see :class:`Reading`."""
    return Reading(type_, _document, absent=absent)


def _document(document: T, _headers: Mapping[str, str]) -> T:
    return document


class _AnyObject(msgspec.Struct):
    """An object whose fields nobody looks at."""


def other_server(response: Response, server: Server) -> str:
    """Return the other server that a response redirects to, ``""`` for one that does not.

    It is scheme, host and port, or ``nowhere``.
    """
    url = response.redirected_to
    return "" if url.startswith(f"{server.url}/") else url and (_origin(url) or "nowhere")


@dataclass
class Pending(Generic[T]):
    """A document on its way: started already, so that several can be awaited side by side."""

    _http: "HTTP"
    _server: Server
    #: As it was asked for, from the server's address on.
    path: str
    _reading: Reading[T]
    _deadline: Deadline
    _about: str

    def __post_init__(self) -> None:
        """Start to get it."""
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
        """Read a response, in the thread of the transfers, and tell the gate how the service does.

        Told at once, not when somebody comes to wait for it.
        """
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
        """Return what it means that there is no whole response."""
        what = "incomplete response" if error.has_begun else "no response"
        text = f"{what} to GET {self.path}: {error}"
        failed = self._failed(text, whole=not error.has_begun, hiccup=not error.is_bound)
        is_refusal = error.is_bound and not self._reading.is_needed
        return Refused(self._server.name, text) if is_refusal else failed

    def _refused(self, response: Response) -> NotFound | Unavailable:
        """Return what a response without a document means."""
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
        """Tell the gate that the service did not answer properly; return what is to be raised.

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
    """What is remembered of a server."""

    gate: Gate
    bulkhead: Bulkhead


class HTTP:
    """Gets documents from servers.

    Args:
        transfers: carry the requests.
        shares: of one host.
    """

    def __init__(self, transfers: Transfers, shares: Shares = USUAL) -> None:
        self.transfers = transfers
        self._shares = shares
        self._lock = threading.Lock()
        #: By their addresses, those that were asked about last at the end.
        self._peers: OrderedDict[str, _Peer] = OrderedDict()

    def gate(self, server: Server) -> Gate:
        """Return the gate before a server, the same for all that have its address."""
        return self._peer(server).gate

    def place(self, server: Server, deadline: Deadline) -> AbstractContextManager[None]:
        """Have a place before a server that is one of several; raises as :meth:`Bulkhead.place`."""
        return self._peer(server).bulkhead.place(deadline)

    def is_full(self, url: str) -> bool:
        """Tell whether a server is down or gets nobody ready, with as many waiting as may."""
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
        """Forget a host that nobody has asked about for long, when there are too many."""
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
        """Start to get a document; ``result()`` of what is returned waits for it.

        Args:
            server: where from.
            path: from the server's address on, percent-encoded, beginning with a slash.
            reading: what is wanted of it.
            deadline: for all tries together.
            about: what all requests for one object have in common; the path if there is nothing.

        Raises (from ``result()``):
            NotFound: the server does not know it.
            InvalidDocument: it can't be used; the field is named.
            Refused: a message can do without it, and it is refused.
            Unavailable: everything else; few tries were made.
            Interrupted: the process is stopping.
        """
        path = quote(path, safe=string.punctuation)  # a page's successor may be spelled anyhow
        return Pending(self, server, path, reading, deadline, about or path)


def is_object(body: bytes | bytearray) -> bool:
    """Tell whether a body is a JSON object, as a service's own word of an error is."""
    return decoded(body, _AnyObject) is not None


def _is_about_the_question(code: int) -> bool:
    """Tell whether a code tells of what was asked for, and not of the moment or the service."""
    is_theirs = HTTPStatus.BAD_REQUEST <= code < _FIRST_OF_ITS_OWN
    return is_theirs and code not in _PASSING


def _origin(url: str) -> str:
    """Return scheme, host and port of an address, "" when it has none or is none."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.netloc}".lower() if parts.netloc else ""
