"""Runs HTTP transfers by libcurl in one thread: the only importer of pycurl.

Why libcurl: its timeout covers the whole transfer, from the lookup of the host's name to the last
byte. A slow service can't outlast a deadline, and one thread serves all transfers. A transfer
follows redirects only on the same server, because it carries the token, and has no retries.

A body lives only in that thread, until its reader has digested it. Many large bodies at once would
fill the memory, so they take turns. They wait before the request, because a server would not wait
while it sends. A body that turns out to be large while another one has the turn is requested again
later. Bodies are decompressed here, because libcurl has no limit for their growth.

If only a few requests may run at once, the others wait in order of their start. They hold no
resource of a running request, so each running one ends by itself.
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

#: The default size limit of a body.
LARGEST_BODY_BYTES = 16 * 1024 * 1024
#: Larger bodies take turns: this many of one service are in memory at once.
LARGE_BODY_BYTES = 1024 * 1024
LARGE_BODIES = 2
#: Limit of a large body's growth by decompression. Our documents grow 10 to 30 times; gzip allows
#: 1,000 times.
_MOST_GROWTH = 100
#: Limit of remembered addresses with a large body, which wait before the next request. Beyond it
#: all are forgotten, which costs one request each.
_MOST_LARGE = 1_000
#: The first bytes of gzip (RFC 1952, 2.3.1), and zlib's code for "with gzip's header".
_GZIP, _GZIP_BITS = b"\x1f\x8b", 31
_CONNECT_SECONDS = 10
_REDIRECTS, _MOST_REDIRECTS = frozenset({301, 302, 303, 307, 308}), 3
#: A slower body is given up: bytes a second, for these seconds.
_SLOWEST_BYTES_A_SECOND, _SLOW_SECONDS = 100, 30
_KEPT_CONNECTIONS = 128
#: libcurl's code for answers other than HTTP (CURLE_UNSUPPORTED_PROTOCOL).
_NOT_HTTP = 1
_STOPPING = "the process is stopping"
#: libcurl then checks by itself for which events a socket is ready.
_ANY_EVENT = 0


class TransferError(Exception):
    """A transfer without a complete response.

    Attributes:
        has_begun: whether the server had begun to answer.
        is_bound: whether the answer exceeds a limit of ours, as a retry would.
    """

    def __init__(self, text: str, *, has_begun: bool = False, is_bound: bool = False) -> None:
        super().__init__(text)
        self.has_begun = has_begun
        self.is_bound = is_bound


class Response(Struct, frozen=True):
    """A whole response.

    Attributes:
        code: HTTP's status code.
        headers: by name in lower case; empty unless wanted.
        body: decompressed.
        redirected_to: target of a redirect that was not followed, perhaps an invalid address; ""
            for no redirect.
        retry_after: seconds to wait before a retry, 0 for none.
    """

    code: int
    headers: Mapping[str, str]
    body: bytes | bytearray
    redirected_to: str = ""
    retry_after: float = 0.0


Digest = Callable[[Response | TransferError], T]


class Wanted(Struct, frozen=True):
    """A request.

    Attributes:
        url: percent-encoded, built of checked parts.
        headers: whole header lines.
        seconds: the request's timeout. Time spent waiting for a turn does not count.
        patience: the longest time that a caller waits, in seconds.
        most_bytes: of the decompressed body.
        line: the large bodies of one line take turns, independent of other lines.
        wants_headers: whether ``digest`` needs the headers, which cost as much as a body.
        server: the address below which redirects are followed; "" for none.
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
    """A transfer: the data so far, and the future of its result."""

    def __init__(self, wanted: Wanted, digest: Digest[T]) -> None:
        self.wanted = wanted
        self.url = wanted.url
        self.future: Future[T] = Future()
        self.wanted_until = time.monotonic() + wanted.patience
        self._digest = digest
        self._redirects = 0
        self.begin()

    def begin(self) -> None:
        """Drop the data so far."""
        self.head: list[bytes] | None = [] if self.wanted.wants_headers else None
        self.body = bytearray()
        self.fault: TransferError | None = None
        self.waits = False
        self._wire_bytes = 0
        self._gunzip: zlib._Decompress | None = None

    def take(self, chunk: bytes) -> bool:
        """Take a piece of the body; return False for one that is refused."""
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
        """Return a complete response, or its error."""
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
        """Follow a redirect on the same server; return whether there is one."""
        url, server = _redirected_to(curl), self.wanted.server
        if not (server and url.startswith(f"{server}/")) or self._redirects == _MOST_REDIRECTS:
            return False
        self.url = url
        self._redirects += 1
        return True

    def end(self, outcome: Response | TransferError) -> None:
        """Digest the outcome, and set the future."""
        try:
            digested = self._digest(outcome)
        except Exception as error:  # noqa: BLE001  # the future raises it
            # Tracebacks hold the body, which must not live as long as the error.
            error.__cause__ = error.__context__ = None
            self.future.set_exception(error.with_traceback(None))
        else:
            self.future.set_result(digested)


class Transfers:
    """Runs HTTP GET requests, over kept connections.

    Args:
        certificates: a file with the certificate authorities to trust for https.
        most: limit of requests at once, to all servers together; None for no limit.
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
        #: By line: transfers that have their turn, and behind them those that wait.
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
            seconds: the timeout.
            most_bytes: of the decompressed body.
        """
        wanted = Wanted(url, headers, seconds, seconds, most_bytes, wants_headers=True)
        return self.digest(wanted, _whole)

    def digest(self, wanted: Wanted, digest: Digest[T]) -> Future[T]:
        """Start a GET request, and digest its outcome at once.

        Args:
            wanted: the request.
            digest: called with the outcome in the transfers' thread, so it must not wait. Its
                result or exception becomes the future's. It must not keep the body.
        """
        transfer = _Transfer(wanted, digest)
        with self._lock:  # else one could start after the end, and wait for ever
            if not self._closed:
                self._new.append(transfer)
                if len(self._new) == 1:  # else the thread is awake already
                    os.eventfd_write(self._wake, 1)
                return transfer.future
        transfer.end(TransferError(_STOPPING))
        return transfer.future

    def close(self) -> None:
        """End all transfers and the thread. Later ones fail at once."""
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
        """Return the seconds until the timer, None without one."""
        return None if self._due is None else max(0.0, self._due - time.monotonic())

    def _begin(self) -> None:
        """Begin the transfers that were started since the last time."""
        while self._new:
            transfer = self._new.popleft()
            if transfer.wanted.url not in self._large or self._has_turn(transfer):
                self._held.append(transfer)
        self._ask_held()

    def _ask_held(self) -> None:
        """Send held requests, as far as the limit allows."""
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
        """Make a handle with the options that all transfers share."""
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
        """Take a piece of a body, or make libcurl give up."""
        if not transfer.take(chunk):
            return -1
        if len(transfer.body) > LARGE_BODY_BYTES and not self._has_turn(transfer):
            transfer.waits = True
            return -1
        return len(chunk)

    def _has_turn(self, transfer: "_Transfer[Any]") -> bool:
        """Tell whether a large body has its turn; if not, put it into the line."""
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
        """End the transfers that libcurl has finished."""
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
        transfer.begin()  # drops the body; a waiting one begins again in its turn
        curl.unsetopt(pycurl.WRITEFUNCTION)
        self._spare.append(curl)

    def _end(self, transfer: "_Transfer[Any]", outcome: Response | TransferError) -> None:
        """End a transfer, and give its turn to the next one."""
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
