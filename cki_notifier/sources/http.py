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
from concurrent.futures import TimeoutError as FutureTimeoutError
from functools import partial
from http import HTTPStatus
from typing import Any, Generic, TypeVar
from urllib.parse import quote, urlsplit

import msgspec

from cki_notifier.notification.decoding import decode
from cki_notifier.notification.errors import InvalidDocument, NotFound, Refused, Unavailable
from cki_notifier.sources.transfer import Response, TransferError, Transfers, Wanted
from cki_notifier.telemetry import metrics
from cki_notifier.telemetry.connections import Trouble
from cki_notifier.telemetry.printable import printable
from cki_notifier.workers.deadline import Deadline
from cki_notifier.workers.gate import LONGEST_PROBE_SECONDS, Gate
from cki_notifier.workers.shares import USUAL, Shares

logger = logging.getLogger(__name__)

D = TypeVar("D")
T = TypeVar("T")

#: Beyond that nobody waits, should a transfer fail to end by itself, in seconds.
GRACE_SECONDS = 5.0
#: What failed so long before the service answered others properly is worth another try, in
#: seconds: who asks for two documents may have waited for the other one.
_OLD_SECONDS = 1.0
#: The pauses before further tries, in seconds; up to half as much again is added by chance.
_PAUSES = (0.2, 0.8)
#: However long a service asks us to wait, in seconds.
_LONGEST_RETRY_AFTER = LONGEST_PROBE_SECONDS
MOST_REDIRECTS = 3
#: So many servers are told apart; they are named by the documents of others.
_MOST_GATES = 200
#: No list of ours has more pages: with 30 entries each these are 6,000 builds.
MOST_PAGES = 200
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
#: 4xx that tell of the moment and not of what was asked for.
_PASSING = frozenset(
    {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
)
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


class Page(msgspec.Struct, Generic[T], frozen=True):
    """A document with the headers it came with."""

    document: T
    headers: Mapping[str, str]


class Reading(msgspec.Struct, Generic[T], frozen=True):
    """What is wanted of a document.

    Attributes:
        type_: what it is decoded into.
        read: returns what is wanted; the document itself is then forgotten. Called in the thread
            of the transfers, so it must not wait. May raise InvalidDocument.
        wants_headers: whether ``read`` looks at the page's headers; they are empty else.
        most_bytes: of the document, decompressed.
        most_objects: in it, each of which needs far more memory than its bytes.
        seconds: one request takes no longer.
        is_needed: whether a message can't do without it; else a refusal is nobody's fault.
        absent: what it is that a 404 says there isn't, in words; ``""`` to tell of the request.
    """

    type_: type[Any]
    read: Callable[[Page[Any]], T]
    wants_headers: bool = False
    most_bytes: int = 8 * 1024 * 1024
    most_objects: int = 50_000
    seconds: float = 60.0
    is_needed: bool = True
    absent: str = ""


def whole(type_: type[T], absent: str = "") -> Reading[T]:
    """Want all of a document; see :class:`Reading`."""
    return Reading(type_, _document, absent=absent)


def _document(page: Page[T]) -> T:
    return page.document


class _Asked(msgspec.Struct, Generic[T], frozen=True):
    """What was asked for, of whom, and what it is about."""

    server: Server
    path: str
    reading: Reading[T]
    about: str


class _AnyObject(msgspec.Struct):
    """An object whose fields nobody looks at."""


class Redirect(msgspec.Struct, frozen=True):
    """Where a response leads.

    Attributes:
        code: said so.
        path: on the same server, which alone gets our token; ``""`` for another one.
        place: scheme, host and port, or ``nowhere``.
    """

    code: int
    path: str
    place: str


def redirect_of(response: Response, server: Server) -> Redirect | None:
    """Return where a response leads, None for one that is no redirect."""
    if response.code not in _REDIRECTS:
        return None
    url = response.redirected_to
    place = _origin(url)
    is_ours = place == _origin(server.url) and url.startswith(server.url + "/")
    path = url.removeprefix(server.url) if is_ours else ""
    return Redirect(response.code, path, place or "nowhere")


class Pending(Generic[T]):
    """A document on its way: started already, so that several can be awaited side by side."""

    def __init__(self, http: "HTTP", asked: _Asked[T], deadline: Deadline) -> None:
        self._http = http
        self._server = asked.server
        self._name = f"{asked.server.name} {asked.server.host}".rstrip()
        #: As it was asked for, from the server's address on.
        self.path = asked.path
        self._about = asked.about
        self._reading = asked.reading
        self._deadline = deadline
        self._gate = http.gate(asked.server)
        self._answered_at = 0.0
        self._future: Future[T | Redirect] | None = self._start(asked.path)

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

    def _start(self, path: str) -> Future["T | Redirect"]:
        self._gate.enter(self._deadline)
        patience = self._deadline.remaining()
        wanted = Wanted(
            self._server.url + path,
            self._server.headers,
            seconds=min(self._reading.seconds, patience),
            patience=patience,
            most_bytes=self._reading.most_bytes,
            line=self._server.name,
            wants_headers=self._reading.wants_headers,
        )
        return self._http.transfers.digest(wanted, partial(self._digest, path, time.monotonic()))

    def _try(self) -> T:
        future, self._future = self._future or self._start(self.path), None
        for _ in range(MOST_REDIRECTS):
            found = self._wait(future)
            if not isinstance(found, Redirect):
                return found
            future = self._start(found.path)
        found = self._wait(future)
        if isinstance(found, Redirect):
            text = f"GET {self.path} answered {found.code} again and again"
            self._gate.failed(
                self._about, whole=False, since=time.monotonic(), trouble=Trouble(text)
            )
            raise self._unavailable(text)
        return found

    def _wait(self, future: Future["T | Redirect"]) -> "T | Redirect":
        try:
            seconds = self._deadline.remaining() + GRACE_SECONDS
            return self._deadline.wait_for(future, seconds, f"an answer of {self._name}")
        except FutureTimeoutError as error:
            text = f"no response to GET {self.path} in time"
            raise self._unavailable(text, hiccup=True) from error

    def _digest(
        self, path: str, started: float, outcome: Response | TransferError
    ) -> "T | Redirect":
        """Read a response, in the thread of the transfers, and tell the gate how the service does.

        Told at once, not when somebody comes to wait for it.
        """
        code = "none" if isinstance(outcome, TransferError) else str(outcome.code)
        self._answered_at = time.monotonic()
        seconds = self._answered_at - started
        is_needed = self._reading.is_needed
        metrics.answered(self._server.name, code, seconds, is_needed=is_needed)
        if isinstance(outcome, TransferError):
            is_whole = not outcome.has_begun
            what = "no response" if is_whole else "no whole response"
            text = f"{what} to GET {self.path}: {outcome}"
            self._gate.failed(self._about, whole=is_whole, since=started, trouble=Trouble(text))
            again = not outcome.is_bound
            if outcome.is_bound and not is_needed:
                raise Refused(self._server.name, text)
            raise self._unavailable(text, hiccup=again, held=is_whole)
        if redirect := redirect_of(outcome, self._server):
            return self._checked(redirect, path)
        knows_not = outcome.code == HTTPStatus.NOT_FOUND and is_object(outcome.body)
        is_refusal = not is_needed and _is_refusal(outcome.code)
        self._note(outcome, started, is_proper=knows_not or is_refusal or _is_json(outcome))
        if knows_not:
            raise NotFound(f"{self._server.name}: {self._absent(code)}")
        if is_refusal:
            raise Refused(self._server.name, f"GET {self.path} answered {code}")
        self._check(outcome)
        return self._reading.read(Page(self._decode(outcome), outcome.headers))

    def _absent(self, code: str) -> str:
        what = self._reading.absent
        return (
            f"no such {what}: {printable(self._about)}"
            if what
            else f"GET {self.path} answered {code}"
        )

    def _note(self, response: Response, started: float, *, is_proper: bool) -> None:
        if is_proper:
            self._gate.passed()
            return
        is_busy = response.code == HTTPStatus.TOO_MANY_REQUESTS
        self._gate.failed(
            self._about,
            whole=is_busy,
            since=started,
            retry_after=_patience(response) if is_busy else 0,
            trouble=Trouble(self._said(response), refuses=response.code in TOKEN_REFUSED),
        )

    def _said(self, response: Response) -> str:
        """Say in words what was answered."""
        text = f"GET {self.path} answered {response.code}"
        if response.code in TOKEN_REFUSED:
            return f"{text}; check the token in {self._server.token_variable}"
        if response.code in {HTTPStatus.OK, HTTPStatus.NOT_FOUND}:
            return f"{text} without a JSON object"
        return text

    def _unavailable(self, text: str, **how: Any) -> Unavailable:
        return Unavailable(self._server.name, text, host=self._server.host, **how)

    def _checked(self, redirect: Redirect, path: str) -> Redirect:
        """Return a redirect that may be followed."""
        if redirect.path:
            return redirect
        text = f"GET {path} is redirected to {redirect.place}, where no token is sent"
        if not self._reading.is_needed:
            self._gate.passed()
            raise Refused(self._server.name, text)
        self._gate.failed(self._about, whole=False, since=time.monotonic(), trouble=Trouble(text))
        raise self._unavailable(text)

    def _decode(self, response: Response) -> Any:
        where = f"{self._server.name}: the answer to GET {self.path}"
        most = self._reading.most_objects
        if response.body.count(b"{") > most:
            raise InvalidDocument(f"{where} can't be used: it has more than {most} objects")
        try:
            return decode(response.body, self._reading.type_)
        except msgspec.ValidationError as error:
            if _ROOT_MISMATCH.fullmatch(str(error)):
                text = f"GET {self.path} answered JSON of another kind: {error}"
                raise self._unavailable(text) from None
            raise InvalidDocument(f"{where} can't be used: {error}") from None
        except RecursionError:
            raise InvalidDocument(f"{where} is nested too deeply to be read") from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            text = f"GET {self.path} answered no JSON: {error}"
            raise self._unavailable(text, hiccup=True) from None

    def _check(self, response: Response) -> None:
        code, server = response.code, self._server
        logger.debug(
            "%s: GET %s answered %d, %d bytes", server.name, self.path, code, len(response.body)
        )
        if code == HTTPStatus.OK:
            return
        is_whole = code == HTTPStatus.TOO_MANY_REQUESTS
        again = code == HTTPStatus.NOT_FOUND or is_whole or code >= _FIRST_OF_ITS_OWN
        patience = _patience(response)
        text = self._said(response)
        raise self._unavailable(text, hiccup=again, retry_after=patience, held=is_whole)


class HTTP:
    """Gets documents from servers."""

    def __init__(self, transfers: Transfers, shares: Shares = USUAL) -> None:
        self.transfers = transfers
        self._most_waiting = shares.waiting
        self._lock = threading.Lock()
        self._gates: OrderedDict[str, Gate] = OrderedDict()

    def gate(self, server: Server) -> Gate:
        """Return the gate before a server, the same for all that have its address."""
        with self._lock:
            gate = self._gates.get(server.url)
            if gate is None:
                gate = Gate(server.name, server.host, self._most_waiting if server.host else None)
                self._gates[server.url] = gate
                self._forget_one()
            self._gates.move_to_end(server.url)
            return gate

    def is_full(self, url: str) -> bool:
        """Tell whether a server is down, with as many waiting for it as may."""
        with self._lock:
            gate = self._gates.get(url)
        return gate is not None and gate.is_full

    def _forget_one(self) -> None:
        """Forget a host that nobody has asked about for long, when there are too many."""
        if len(self._gates) > _MOST_GATES:
            url = next(url for url, gate in self._gates.items() if gate.host)
            metrics.connected.forget(self._gates[url].service, self._gates.pop(url).host)

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
        return Pending(self, _Asked(server, path, reading, about or path), deadline)


def is_object(body: bytes | bytearray) -> bool:
    """Tell whether a body is a JSON object, as a service's own word of an error is."""
    try:
        decode(body, _AnyObject)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _is_json(response: Response) -> bool:
    """Tell whether a response looks like the JSON object or array we asked for."""
    return response.code == HTTPStatus.OK and _JSON_START.match(response.body) is not None


def _is_refusal(code: int) -> bool:
    """Tell whether a code tells of what was asked for; a 404 does only with a JSON object."""
    is_theirs = HTTPStatus.BAD_REQUEST <= code < HTTPStatus.INTERNAL_SERVER_ERROR
    return is_theirs and code not in _PASSING and code != HTTPStatus.NOT_FOUND


def _origin(url: str) -> str:
    """Return scheme, host and port of an address, "" when it has none or is none."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.netloc}".lower() if parts.netloc else ""


def _patience(response: Response) -> float:
    """Return the seconds a response asks us to wait (RFC 9110, 10.2.3), within our own bound."""
    return min(max(response.retry_after, 0.0), _LONGEST_RETRY_AFTER)
