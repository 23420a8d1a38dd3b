"""HTTP transfers, driven by libcurl in one thread of their own: the only importer of pycurl.

Why libcurl: its time limit covers the whole transfer, from the look-up of the host's name to the
last byte of the body, so that a service that drips can't outlast a deadline; and one thread that
drives all transfers costs less than a thread for each. A transfer never follows a redirect and
never repeats itself: both are decided in :mod:`cki_notifier.sources.http`.

A body lives in that thread alone, and only until it is digested: read into the little that its
reader wants of it. Many large ones at once would fill the memory, so they take turns; see
:mod:`cki_notifier.sources.one_at_a_time`.
"""

import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

import msgspec
import pycurl
from msgspec import Struct

from cki_notifier import __version__
from cki_notifier.sources.one_at_a_time import OneAtATime
from cki_notifier.workers.threads import start_vital

T = TypeVar("T")

#: No body we read is larger; a service that sends more is out of order.
LARGEST_BODY_BYTES = 256 * 1024 * 1024
#: A body that is larger waits for its turn, so that no two of them are in the memory.
LARGE_BODY_BYTES = 1024 * 1024
_CONNECT_SECONDS = 10
#: A body that arrives slower than this for so long is given up: bytes a second, seconds.
_SLOWEST_BYTES_A_SECOND, _SLOW_SECONDS = 100, 30
_KEPT_CONNECTIONS = 128
_STOPPING = "the process is stopping"
_READABLE, _WRITABLE, _BROKEN = (
    select.EPOLLIN | select.EPOLLHUP,
    select.EPOLLOUT,
    select.EPOLLERR,
)


class TransferError(Exception):
    """The transfer did not end with a whole response; the text says what happened."""


class Response(Struct, frozen=True):
    """A whole response.

    Attributes:
        code: HTTP's status code.
        headers: by their names in lower case; empty unless they were asked for.
        body: as decoded.
        redirected_to: the address it redirects to, made absolute; "" for none.
        retry_after: the seconds it asks us to wait, 0 when it does not.
    """

    code: int
    headers: Mapping[str, str]
    body: bytes | bytearray
    redirected_to: str = ""
    retry_after: float = 0.0


Digest = Callable[[Response | TransferError], T]


class _Transfer(Generic[T]):
    """One transfer on its way: what has arrived so far, and who waits for what of it."""

    def __init__(
        self, url: str, headers: list[str], seconds: float, digest: Digest[T], *, whole: bool
    ) -> None:
        self.url = url
        self.headers = headers
        self.seconds = seconds
        self.head: list[bytes] | None = [] if whole else None
        self.body = bytearray()
        self.future: Future[T] = Future()
        self.waiting_since = 0.0
        self._digest = digest

    def end(self, outcome: Response | TransferError) -> None:
        """Digest what came of it, and tell who waits."""
        try:
            digested = self._digest(outcome)
        except Exception as error:  # noqa: BLE001  # it is raised where the result is waited for
            # Its traceback holds the body, which shall not live as long as the error does.
            self.future.set_exception(error.with_traceback(None))
        else:
            self.future.set_result(digested)


class Transfers:
    """Starts HTTP GET requests and tells what came of them; connections are kept alive.

    Args:
        certificates: a file with the certificate authorities to trust for https.
        largest_body_bytes: a larger body, as decoded, is a failure.
    """

    def __init__(self, certificates: str, largest_body_bytes: int = LARGEST_BODY_BYTES) -> None:
        self._certificates = certificates
        self._largest_body_bytes = largest_body_bytes
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch_socket)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._set_timer)
        self._multi.setopt(pycurl.M_MAXCONNECTS, _KEPT_CONNECTIONS)
        self._sockets = select.epoll()
        self._watched: set[int] = set()
        self._due: float | None = None
        self._transfers: dict[pycurl.Curl, _Transfer[Any]] = {}
        self._spare: list[pycurl.Curl] = []
        self._turns: OneAtATime[pycurl.Curl] = OneAtATime()
        self._paused: list[pycurl.Curl] = []
        self._lock = threading.Lock()
        self._new: deque[_Transfer[Any]] = deque()
        self._closed = False
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._sockets.register(self._wake, select.EPOLLIN)
        self._thread = start_vital("transfers", self._run)

    def start(self, url: str, headers: list[str], seconds: float) -> Future[Response]:
        """Start a GET request; the future's exception is a :class:`TransferError`.

        Args:
            url: percent-encoded, built of checked parts.
            headers: whole header lines.
            seconds: after which the transfer fails, whatever it is doing then.
        """
        return self.digest(url, headers, seconds, _whole, wants_headers=True)

    def digest(
        self,
        url: str,
        headers: list[str],
        seconds: float,
        digest: Digest[T],
        *,
        wants_headers: bool = False,
    ) -> Future[T]:
        """Start a GET request whose outcome is digested as soon as it is there.

        Args:
            url: percent-encoded, built of checked parts.
            headers: whole header lines.
            seconds: after which the transfer fails, whatever it is doing then; waiting for the
                turn of a large body does not count.
            digest: called with the outcome in the thread of the transfers, so it must not wait;
                what it returns or raises becomes the future's. It must not keep the body.
            wants_headers: whether ``digest`` looks at the headers, which cost as much as a body.
        """
        transfer = _Transfer(url, headers, seconds, digest, whole=wants_headers)
        with self._lock:  # so that none begins behind the end, where it would wait for ever
            closed, first = self._closed, not self._new
            if not closed:
                self._new.append(transfer)
        if closed:
            transfer.end(TransferError(_STOPPING))
        elif first:
            os.eventfd_write(self._wake, 1)
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
            for socket, events in self._sockets.poll(self._patience()):
                if socket == self._wake:
                    os.eventfd_read(self._wake)
                else:
                    self._multi.socket_action(socket, _curl_events(events))
            self._begin()
            if self._due is not None and self._due <= time.monotonic():
                self._due = None
                self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
            self._suspend()
            self._collect()
        for curl, transfer in list(self._transfers.items()):
            self._multi.remove_handle(curl)
            transfer.end(TransferError(_STOPPING))
        for transfer in self._taken():
            transfer.end(TransferError(_STOPPING))
        self._multi.close()
        self._sockets.close()
        os.close(self._wake)

    def _patience(self) -> float | None:
        """Return for how many seconds nothing but sockets can need us, None for ever."""
        return None if self._due is None else max(0.0, self._due - time.monotonic())

    def _taken(self) -> list["_Transfer[Any]"]:
        """Take what was started since the last time."""
        with self._lock:
            new, self._new = self._new, deque()
        return list(new)

    def _begin(self) -> None:
        for transfer in self._taken() if self._new else ():
            curl = self._spare.pop() if self._spare else self._new_handle()
            try:
                self._prepare(curl, transfer)
                self._transfers[curl] = transfer
                self._multi.add_handle(curl)
            except (pycurl.error, ValueError) as error:
                self._transfers.pop(curl, None)
                transfer.end(TransferError(str(error)))

    def _new_handle(self) -> pycurl.Curl:
        """Make a handle with all that is the same for each of its transfers."""
        curl = pycurl.Curl()
        curl.setopt(pycurl.PATH_AS_IS, 1)
        curl.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        curl.setopt(pycurl.SSLVERSION, pycurl.SSLVERSION_TLSv1_2)  # or newer
        curl.setopt(pycurl.USERAGENT, f"cki-notifier/{__version__}")
        curl.setopt(pycurl.ACCEPT_ENCODING, "")  # whatever libcurl can decode
        curl.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)
        curl.setopt(pycurl.CAINFO, self._certificates)
        curl.setopt(pycurl.NOSIGNAL, 1)
        curl.setopt(pycurl.CONNECTTIMEOUT, _CONNECT_SECONDS)
        curl.setopt(pycurl.LOW_SPEED_LIMIT, _SLOWEST_BYTES_A_SECOND)
        curl.setopt(pycurl.LOW_SPEED_TIME, _SLOW_SECONDS)
        return curl

    def _prepare(self, curl: pycurl.Curl, transfer: "_Transfer[Any]") -> None:
        curl.setopt(pycurl.URL, transfer.url)
        curl.setopt(pycurl.HTTPHEADER, transfer.headers)
        curl.setopt(pycurl.TIMEOUT_MS, max(1, int(transfer.seconds * 1000)))
        curl.setopt(pycurl.WRITEFUNCTION, lambda chunk: self._write(curl, transfer, chunk))
        if transfer.head is None:
            curl.unsetopt(pycurl.HEADERFUNCTION)
        else:
            curl.setopt(pycurl.HEADERFUNCTION, transfer.head.append)

    def _write(self, curl: pycurl.Curl, transfer: "_Transfer[Any]", chunk: bytes) -> int:
        """Take a piece of a body, or have libcurl give it again later."""
        size = len(transfer.body) + len(chunk)
        if size > self._largest_body_bytes:
            return -1  # makes libcurl give up
        if size > LARGE_BODY_BYTES and not self._turns.take(curl):
            self._paused.append(curl)
            return pycurl.WRITEFUNC_PAUSE
        transfer.body += chunk
        return len(chunk)

    def _watch_socket(self, what: int, socket: int, _multi: object, _data: object) -> None:
        """Watch a socket for libcurl (its M_SOCKETFUNCTION)."""
        if what == pycurl.POLL_REMOVE:
            self._watched.discard(socket)
            self._sockets.unregister(socket)
            return
        wanted = select.EPOLLIN if what & pycurl.POLL_IN else 0
        wanted |= select.EPOLLOUT if what & pycurl.POLL_OUT else 0
        if socket in self._watched:
            self._sockets.modify(socket, wanted)
        else:
            self._watched.add(socket)
            self._sockets.register(socket, wanted)

    def _set_timer(self, milliseconds: int) -> None:
        """Wake libcurl after a time, or never for -1 (its M_TIMERFUNCTION)."""
        self._due = None if milliseconds < 0 else time.monotonic() + milliseconds / 1000

    def _suspend(self) -> None:
        """Stop the clocks of what has to wait for its turn; libcurl allows it only here."""
        for curl in self._paused:
            self._transfers[curl].waiting_since = time.monotonic()
            curl.setopt(pycurl.TIMEOUT_MS, 0)
        self._paused.clear()

    def _collect(self) -> None:
        """End what libcurl has done with."""
        left = 1
        while left:
            left, done, failed = self._multi.info_read()
            for curl in done:
                self._finish(curl, None)
            for curl, _code, text in failed:
                self._finish(curl, TransferError(text))

    def _finish(self, curl: pycurl.Curl, error: TransferError | None) -> None:
        self._multi.remove_handle(curl)
        transfer = self._transfers.pop(curl)
        transfer.end(error or _response(curl, transfer))
        del transfer  # and its body with it, before the next large one gets its turn
        curl.unsetopt(pycurl.WRITEFUNCTION)
        self._spare.append(curl)
        following = self._turns.leave(curl)
        if following is not None:
            self._resume(following)

    def _resume(self, curl: pycurl.Curl) -> None:
        """Go on with a body whose turn has come; the time it waited is given back."""
        transfer = self._transfers[curl]
        transfer.seconds += time.monotonic() - transfer.waiting_since
        curl.setopt(pycurl.TIMEOUT_MS, int(transfer.seconds * 1000))
        curl.pause(pycurl.PAUSE_CONT)


def _whole(outcome: Response | TransferError) -> Response:
    if isinstance(outcome, TransferError):
        raise outcome
    return msgspec.structs.replace(outcome, body=bytes(outcome.body))


def _response(curl: pycurl.Curl, transfer: "_Transfer[Any]") -> Response:
    code = curl.getinfo(pycurl.RESPONSE_CODE)
    return Response(
        code,
        _headers(transfer.head or ()),
        transfer.body,
        redirected_to=curl.getinfo(pycurl.REDIRECT_URL) or "",
        retry_after=float(curl.getinfo(pycurl.RETRY_AFTER)),
    )


def _curl_events(events: int) -> int:
    """Turn epoll's events into libcurl's."""
    return (
        (pycurl.CSELECT_IN if events & _READABLE else 0)
        | (pycurl.CSELECT_OUT if events & _WRITABLE else 0)
        | (pycurl.CSELECT_ERR if events & _BROKEN else 0)
    )


def _headers(lines: "list[bytes] | tuple[()]") -> dict[str, str]:
    headers = {}
    for line in lines:
        name, colon, value = line.decode("latin-1").partition(":")
        if colon:
            headers[name.strip().lower()] = value.strip()
    return headers
