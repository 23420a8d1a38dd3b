"""HTTP transfers, driven by libcurl in one thread of their own: the only importer of pycurl.

Why libcurl: its time limit covers the whole transfer, from the look-up of the host's name to the
last byte of the body, so that a service that drips can't outlast a deadline; and one thread that
drives all transfers costs less than a thread for each. A transfer follows redirects on the same
server alone, because the token goes along, and never repeats itself.

A body lives in that thread alone, and only until it is digested: read into the little that its
reader wants of it. Many large ones at once would fill the memory, so they take turns, and wait
before they are asked for: a server would not wait for us while it sends. One that turns out to be
large while another has the turn is given up, and asked for again. Bodies are decompressed here,
because libcurl knows no bound for how much a body may grow by that.

Where only a few requests may be under way at once, the others wait in the order in which they were
started, and hold nothing that those few could need: one that is under way ends by itself.
"""

import os
import select
import threading
import time
import zlib
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

import msgspec
import pycurl
from msgspec import Struct

from cki_notifier import __version__
from cki_notifier.workers.threads import start_vital

T = TypeVar("T")

#: No body is larger that nobody set another bound for.
LARGEST_BODY_BYTES = 16 * 1024 * 1024
#: A body that is larger has to have its turn: so many of one service are in the memory at once.
LARGE_BODY_BYTES = 1024 * 1024
LARGE_BODIES = 2
#: A large body has no more bytes than so many for each that came over the wire. Documents of ours
#: shrink to a tenth or a thirtieth; gzip can make one byte of a thousand.
_MOST_GROWTH = 100
#: So many addresses are remembered at which something large was found: the next time it waits
#: before it is asked for. With more all are forgotten, which costs one request each.
_MOST_LARGE = 1_000
#: How gzip begins (RFC 1952, 2.3.1), which no JSON does; and zlib's word for "with gzip's header".
_GZIP, _GZIP_BITS = b"\x1f\x8b", 31
_CONNECT_SECONDS = 10
_REDIRECTS, _MOST_REDIRECTS = frozenset({301, 302, 303, 307, 308}), 3
#: A body that arrives slower than this for so long is given up: bytes a second, seconds.
_SLOWEST_BYTES_A_SECOND, _SLOW_SECONDS = 100, 30
_KEPT_CONNECTIONS = 128
#: libcurl's code for what is no HTTP (CURLE_UNSUPPORTED_PROTOCOL).
_NOT_HTTP = 1
_STOPPING = "the process is stopping"
#: Has libcurl look for itself what a socket is ready for.
_ANY_EVENT = 0


class TransferError(Exception):
    """The transfer did not end with a whole response; the text says what happened.

    Attributes:
        has_begun: whether the server had begun to answer.
        is_bound: whether the answer went beyond one of our bounds, and will again.
    """

    def __init__(self, text: str, *, has_begun: bool = False, is_bound: bool = False) -> None:
        super().__init__(text)
        self.has_begun = has_begun
        self.is_bound = is_bound


class Response(Struct, frozen=True):
    """A whole response.

    Attributes:
        code: HTTP's status code.
        headers: by their names in lower case; empty unless they were asked for.
        body: as decoded.
        redirected_to: where it redirects to, if that is not followed: an absolute address, or
            something that is none; "" for no redirect.
        retry_after: the seconds it asks us to wait, 0 when it does not.
    """

    code: int
    headers: Mapping[str, str]
    body: bytes | bytearray
    redirected_to: str = ""
    retry_after: float = 0.0


Digest = Callable[[Response | TransferError], T]


class Wanted(Struct, frozen=True):
    """What is asked for.

    Attributes:
        url: percent-encoded, built of checked parts.
        headers: whole header lines.
        seconds: after which a request fails, whatever it is doing then; waiting for the turn of a
            large body, or until it is one of a few, does not count.
        patience: nobody waits for it longer, in seconds.
        most_bytes: of the body, decompressed.
        line: the large bodies of one line take turns, and hold up those of no other.
        wants_headers: whether ``digest`` looks at the headers, which cost as much as a body.
        server: the address below which a redirect is followed; "" for none.
    """

    url: str
    headers: list[str]
    seconds: float
    patience: float
    most_bytes: int = LARGEST_BODY_BYTES
    line: str = ""
    wants_headers: bool = False
    server: str = ""


class _Transfer(Generic[T]):
    """One transfer on its way: what has arrived so far, and who waits for what of it."""

    def __init__(self, wanted: Wanted, digest: Digest[T]) -> None:
        self.wanted = wanted
        self.url = wanted.url
        self.future: Future[T] = Future()
        self.wanted_until = time.monotonic() + wanted.patience
        self._digest = digest
        self._redirects = 0
        self.begin()

    def begin(self) -> None:
        """Forget what has arrived."""
        self.head: list[bytes] | None = [] if self.wanted.wants_headers else None
        self.body = bytearray()
        self.fault: TransferError | None = None
        self.waits = False
        self._wire_bytes = 0
        self._gunzip: zlib._Decompress | None = None

    def take(self, chunk: bytes) -> bool:
        """Take a piece of the body; tell whether it can be taken."""
        if not self._wire_bytes and chunk.startswith(_GZIP):
            self._gunzip = zlib.decompressobj(_GZIP_BITS)
        self._wire_bytes += len(chunk)
        most = self.wanted.most_bytes
        most_grown = max(LARGE_BODY_BYTES, _MOST_GROWTH * self._wire_bytes)
        if self._gunzip is not None:
            try:
                chunk = self._gunzip.decompress(chunk, min(most, most_grown) + 1 - len(self.body))
            except zlib.error as error:
                text = f"the body can't be decompressed: {error}"
                self.fault = TransferError(text, has_begun=True)
                return False
        self.body += chunk
        if len(self.body) > most:
            text = f"the body is larger than {most} bytes"
        elif len(self.body) > most_grown:
            text = f"the body grows more than {_MOST_GROWTH} times when decompressed"
        else:
            return True
        self.fault = TransferError(text, has_begun=True, is_bound=True)
        return False

    def outcome(self, curl: pycurl.Curl, error: TransferError | None) -> Response | TransferError:
        """Return a whole response, or what is wrong with it."""
        if fault := self.fault or error:
            return fault
        if self._gunzip and (not self._gunzip.eof or self._gunzip.unused_data):
            return TransferError("the compressed body is incomplete", has_begun=True)
        return Response(
            curl.getinfo(pycurl.RESPONSE_CODE),
            _headers(self.head or []),
            self.body,
            redirected_to=_redirected_to(curl),
            retry_after=float(curl.getinfo(pycurl.RETRY_AFTER)),
        )

    def follow(self, curl: pycurl.Curl) -> bool:
        """Tell whether it goes on by a redirect on the same server."""
        url, server = _redirected_to(curl), self.wanted.server
        if not (server and url.startswith(f"{server}/")) or self._redirects == _MOST_REDIRECTS:
            return False
        self.url = url
        self._redirects += 1
        return True

    def end(self, outcome: Response | TransferError) -> None:
        """Digest what came of it, and tell who waits."""
        try:
            digested = self._digest(outcome)
        except Exception as error:  # noqa: BLE001  # it is raised where the result is waited for
            # Their tracebacks hold the body, which shall not live as long as the error does.
            error.__cause__ = error.__context__ = None
            self.future.set_exception(error.with_traceback(None))
        else:
            self.future.set_result(digested)


class Transfers:
    """Starts HTTP GET requests and tells what came of them; connections are kept alive.

    Args:
        certificates: a file with the certificate authorities to trust for https.
        most: so many requests are under way at once, to all servers together; None for any number.
    """

    def __init__(self, certificates: str, most: int | None = None) -> None:
        self._certificates = certificates
        self._most = most
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch_socket)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._set_timer)
        self._multi.setopt(pycurl.M_MAXCONNECTS, _KEPT_CONNECTIONS)
        self._sockets = select.epoll()
        self._watched: set[int] = set()
        self._due: float | None = None
        self._transfers: dict[pycurl.Curl, _Transfer[Any]] = {}
        self._held: deque[_Transfer[Any]] = deque()
        self._spare: list[pycurl.Curl] = []
        #: Those of each line that have their turn, and behind them those that wait for it.
        self._large_ones: defaultdict[str, list[_Transfer[Any]]] = defaultdict(list)
        self._large: set[str] = set()
        self._lock = threading.Lock()
        self._new: deque[_Transfer[Any]] = deque()
        self._closed = False
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._sockets.register(self._wake, select.EPOLLIN)
        self._thread = start_vital("transfers", self._run)

    def start(
        self, url: str, headers: list[str], seconds: float, most_bytes: int = LARGEST_BODY_BYTES
    ) -> Future[Response]:
        """Start a GET request; the future's exception is a :class:`TransferError`.

        Args:
            url: percent-encoded, built of checked parts.
            headers: whole header lines.
            seconds: after which the transfer fails, whatever it is doing then.
            most_bytes: of the body, decompressed.
        """
        wanted = Wanted(url, headers, seconds, seconds, most_bytes, wants_headers=True)
        return self.digest(wanted, _whole)

    def digest(self, wanted: Wanted, digest: Digest[T]) -> Future[T]:
        """Start a GET request whose outcome is digested as soon as it is there.

        Args:
            wanted: what is asked for.
            digest: called with the outcome in the thread of the transfers, so it must not wait;
                what it returns or raises becomes the future's. It must not keep the body.
        """
        transfer = _Transfer(wanted, digest)
        with self._lock:  # so that none begins behind the end, where it would wait for ever
            if not self._closed:
                self._new.append(transfer)
                if len(self._new) == 1:  # else who takes the one before takes this one, too
                    os.eventfd_write(self._wake, 1)
                return transfer.future
        transfer.end(TransferError(_STOPPING))
        return transfer.future

    def close(self) -> None:
        """End all transfers and the thread; what is started later fails at once."""
        with self._lock:
            closed, self._closed = self._closed, True
        if not closed:
            os.eventfd_write(self._wake, 1)
        self._thread.join()

    def _run(self) -> None:
        while not self._closed:
            for socket, _ in self._sockets.poll(self._patience()):
                if socket == self._wake:
                    os.eventfd_read(self._wake)
                else:
                    self._multi.socket_action(socket, _ANY_EVENT)
            self._begin()
            if self._due is not None and self._due <= time.monotonic():
                self._due = None
                self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
            self._collect()
        for curl, transfer in list(self._transfers.items()):
            self._multi.remove_handle(curl)
            transfer.end(TransferError(_STOPPING))
        waiting = [it for line in self._large_ones.values() for it in line[LARGE_BODIES:]]
        for transfer in (*self._held, *self._new, *waiting):
            transfer.end(TransferError(_STOPPING))
        self._multi.close()
        self._sockets.close()
        os.close(self._wake)

    def _patience(self) -> float | None:
        """Return for how many seconds nothing but sockets can need us, None for ever."""
        return None if self._due is None else max(0.0, self._due - time.monotonic())

    def _begin(self) -> None:
        """Ask for what was started since the last time."""
        while self._new:
            transfer = self._new.popleft()
            if transfer.wanted.url not in self._large or self._has_turn(transfer):
                self._held.append(transfer)
        self._ask_held()

    def _ask_held(self) -> None:
        """Ask for what is only held back because enough is under way."""
        while self._held and (self._most is None or len(self._transfers) < self._most):
            transfer = self._held.popleft()
            if transfer.wanted_until < time.monotonic():
                self._end(transfer, TransferError("its deadline is over", has_begun=True))
            else:
                self._ask(transfer)

    def _ask(self, transfer: "_Transfer[Any]") -> None:
        curl = self._spare.pop() if self._spare else self._new_handle()
        try:
            self._prepare(curl, transfer)
            self._transfers[curl] = transfer
            self._multi.add_handle(curl)
        except (pycurl.error, ValueError) as error:
            self._transfers.pop(curl, None)
            self._end(transfer, TransferError(str(error.args[-1])))  # behind libcurl's number

    def _new_handle(self) -> pycurl.Curl:
        """Make a handle with all that is the same for each of its transfers."""
        curl = pycurl.Curl()
        curl.setopt(pycurl.PATH_AS_IS, 1)
        curl.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        curl.setopt(pycurl.SSLVERSION, pycurl.SSLVERSION_TLSv1_2)  # or newer
        curl.setopt(pycurl.USERAGENT, f"cki-notifier/{__version__}")
        curl.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)
        curl.setopt(pycurl.CAINFO, os.fsencode(self._certificates))
        curl.setopt(pycurl.NOSIGNAL, 1)
        curl.setopt(pycurl.CONNECTTIMEOUT, _CONNECT_SECONDS)
        curl.setopt(pycurl.LOW_SPEED_LIMIT, _SLOWEST_BYTES_A_SECOND)
        curl.setopt(pycurl.LOW_SPEED_TIME, _SLOW_SECONDS)
        return curl

    def _prepare(self, curl: pycurl.Curl, transfer: "_Transfer[Any]") -> None:
        wanted = transfer.wanted
        seconds = min(wanted.seconds, transfer.wanted_until - time.monotonic())
        curl.setopt(pycurl.URL, transfer.url)
        curl.setopt(pycurl.HTTPHEADER, [*wanted.headers, "Accept-Encoding: gzip"])
        curl.setopt(pycurl.TIMEOUT_MS, max(1, int(seconds * 1000)))
        curl.setopt(pycurl.WRITEFUNCTION, lambda chunk: self._write(transfer, chunk))
        if transfer.head is None:
            curl.unsetopt(pycurl.HEADERFUNCTION)
        else:
            curl.setopt(pycurl.HEADERFUNCTION, transfer.head.append)

    def _write(self, transfer: "_Transfer[Any]", chunk: bytes) -> int:
        """Take a piece of a body, or have libcurl give up."""
        if not transfer.take(chunk):
            return -1
        if len(transfer.body) > LARGE_BODY_BYTES and not self._has_turn(transfer):
            transfer.waits = True
            return -1
        return len(chunk)

    def _has_turn(self, transfer: "_Transfer[Any]") -> bool:
        """Tell whether a large body may be read now; if not, it waits from now on."""
        line = self._large_ones[transfer.wanted.line]
        if transfer not in line:
            line.append(transfer)
        return transfer in line[:LARGE_BODIES]

    def _watch_socket(self, what: int, socket: int, _multi: object, _data: object) -> None:
        """Watch a socket for libcurl (its M_SOCKETFUNCTION)."""
        if what == pycurl.POLL_REMOVE:
            self._watched.discard(socket)
            self._sockets.unregister(socket)
            return
        events = select.EPOLLIN if what & pycurl.POLL_IN else 0
        events |= select.EPOLLOUT if what & pycurl.POLL_OUT else 0
        if socket in self._watched:
            self._sockets.modify(socket, events)
        else:
            self._watched.add(socket)
            self._sockets.register(socket, events)

    def _set_timer(self, milliseconds: int) -> None:
        """Wake libcurl after a time, or never for -1 (its M_TIMERFUNCTION)."""
        self._due = None if milliseconds < 0 else time.monotonic() + milliseconds / 1000

    def _collect(self) -> None:
        """End what libcurl has done with."""
        left = 1
        while left:
            left, done, failed = self._multi.info_read()
            for curl in done:
                self._finish(curl, None)
            for curl, code, text in failed:
                has_begun = code == _NOT_HTTP or curl.getinfo(pycurl.HEADER_SIZE) > 0
                self._finish(curl, TransferError(text, has_begun=has_begun))
        self._ask_held()

    def _finish(self, curl: pycurl.Curl, error: TransferError | None) -> None:
        self._multi.remove_handle(curl)
        transfer = self._transfers.pop(curl)
        if len(transfer.body) > LARGE_BODY_BYTES:
            if len(self._large) >= _MOST_LARGE:
                self._large.clear()
            self._large.add(transfer.wanted.url)
        if error is None and transfer.follow(curl):
            self._held.append(transfer)
        elif not transfer.waits:
            self._end(transfer, transfer.outcome(curl, error))
        transfer.begin()  # once more when it has its turn; and without its body before others have
        curl.unsetopt(pycurl.WRITEFUNCTION)
        self._spare.append(curl)

    def _end(self, transfer: "_Transfer[Any]", outcome: Response | TransferError) -> None:
        """Tell what came of a transfer, and give its turn, if it had one, to the next."""
        transfer.end(outcome)
        line = self._large_ones[transfer.wanted.line]
        had_turn = transfer in line[:LARGE_BODIES]
        if transfer in line:
            line.remove(transfer)
        if had_turn and len(line) >= LARGE_BODIES:
            self._held.append(line[LARGE_BODIES - 1])


def _whole(outcome: Response | TransferError) -> Response:
    if isinstance(outcome, TransferError):
        raise outcome
    return msgspec.structs.replace(outcome, body=bytes(outcome.body))


def _redirected_to(curl: pycurl.Curl) -> str:
    if curl.getinfo(pycurl.RESPONSE_CODE) not in _REDIRECTS:
        return ""
    return (curl.getinfo_raw(pycurl.REDIRECT_URL) or b"").decode(errors="replace") or "nowhere"


def _headers(lines: list[bytes]) -> dict[str, str]:
    headers = {}
    for line in lines:
        name, colon, value = line.decode("latin-1").partition(":")
        if colon:
            headers[name.strip().lower()] = value.strip()
    return headers
