"""HTTP transfers, driven by libcurl in one thread of their own: the only importer of pycurl.

Why libcurl: its time limit covers the whole transfer, from the look-up of the host's name to the
last byte of the body, so that a service that drips can't outlast a deadline; and one thread that
drives all transfers costs less than a thread for each. A transfer never follows a redirect and
never repeats itself: both are decided in :mod:`cki_notifier.sources.http`.
"""

import asyncio
import ssl
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any

import certifi
import pycurl
from msgspec import Struct

from cki_notifier import __version__
from cki_notifier.threads import start_vital

#: No body we read is larger; a service that sends more is out of order.
LARGEST_BODY_BYTES = 256 * 1024 * 1024
_CONNECT_SECONDS = 10
#: A body that arrives slower than this for so long is given up: bytes a second, seconds.
_SLOWEST_BYTES_A_SECOND, _SLOW_SECONDS = 100, 30
_KEPT_CONNECTIONS = 128
_STOPPING = "the process is stopping"


class TransferError(Exception):
    """The transfer did not end with a whole response; the text says what happened."""


class Response(Struct, frozen=True):
    """A whole response; header names are in lower case."""

    code: int
    headers: Mapping[str, str]
    body: bytes


class _Transfer:
    """One transfer on its way: what has arrived so far, and who waits for it."""

    def __init__(self, largest_body_bytes: int) -> None:
        self.future: Future[Response] = Future()
        self.head: list[bytes] = []
        self.chunks: list[bytes] = []
        self._room = largest_body_bytes

    def write(self, chunk: bytes) -> int:
        self._room -= len(chunk)
        if self._room < 0:
            return -1  # makes libcurl give up
        self.chunks.append(chunk)
        return len(chunk)


class Transfers:
    """Starts HTTP GET requests and tells their responses; connections are kept alive.

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
        self._transfers: dict[pycurl.Curl, _Transfer] = {}
        self._spare: list[pycurl.Curl] = []
        self._timer: asyncio.TimerHandle | None = None
        self._starting = threading.Lock()
        self._closed = False
        self._bug: Exception | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = start_vital("transfers", self._run)

    def start(self, url: str, headers: list[str], seconds: float) -> Future[Response]:
        """Start a GET request; the future's exception is a :class:`TransferError`.

        Args:
            url: percent-encoded, built of checked parts.
            headers: whole header lines.
            seconds: after which the transfer fails, whatever it is doing then.
        """
        transfer = _Transfer(self._largest_body_bytes)
        with self._starting:  # so that none begins behind the end, where it would wait for ever
            if self._closed:
                transfer.future.set_exception(TransferError(_STOPPING))
            else:
                self._loop.call_soon_threadsafe(self._add, transfer, url, headers, seconds)
        return transfer.future

    def close(self) -> None:
        """End all transfers and the thread; what is started later fails at once."""
        with self._starting:
            if not self._closed:
                self._closed = True
                self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        self._loop.set_exception_handler(self._on_bug)
        self._loop.run_forever()
        if self._bug is not None:
            raise self._bug
        for curl, transfer in list(self._transfers.items()):
            self._multi.remove_handle(curl)
            transfer.future.set_exception(TransferError(_STOPPING))
        self._multi.close()
        self._loop.close()

    def _on_bug(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """End the thread, and with it the process, rather than let a transfer wait for ever."""
        self._bug = context.get("exception") or RuntimeError(context["message"])
        loop.stop()

    def _add(self, transfer: _Transfer, url: str, headers: list[str], seconds: float) -> None:
        curl = self._spare.pop() if self._spare else pycurl.Curl()
        try:
            self._prepare(curl, transfer, url, headers, seconds)
            self._transfers[curl] = transfer
            self._multi.add_handle(curl)
        except (pycurl.error, ValueError) as error:
            self._transfers.pop(curl, None)
            transfer.future.set_exception(TransferError(str(error)))

    def _prepare(
        self, curl: pycurl.Curl, transfer: _Transfer, url: str, headers: list[str], seconds: float
    ) -> None:
        curl.setopt(pycurl.URL, url)
        curl.setopt(pycurl.PATH_AS_IS, 1)
        curl.setopt(pycurl.HTTPHEADER, headers)
        curl.setopt(pycurl.USERAGENT, f"cki-notifier/{__version__}")
        curl.setopt(pycurl.ACCEPT_ENCODING, "")  # whatever libcurl can decode
        curl.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)
        curl.setopt(pycurl.CAINFO, self._certificates)
        curl.setopt(pycurl.NOSIGNAL, 1)
        curl.setopt(pycurl.CONNECTTIMEOUT, _CONNECT_SECONDS)
        curl.setopt(pycurl.LOW_SPEED_LIMIT, _SLOWEST_BYTES_A_SECOND)
        curl.setopt(pycurl.LOW_SPEED_TIME, _SLOW_SECONDS)
        curl.setopt(pycurl.TIMEOUT_MS, max(1, int(seconds * 1000)))
        curl.setopt(pycurl.HEADERFUNCTION, transfer.head.append)
        curl.setopt(pycurl.WRITEFUNCTION, transfer.write)

    def _watch_socket(self, what: int, socket: int, _multi: object, _data: object) -> None:
        """Watch a socket for libcurl (its M_SOCKETFUNCTION)."""
        if what in {pycurl.POLL_IN, pycurl.POLL_INOUT}:
            self._loop.add_reader(socket, self._act, socket, pycurl.CSELECT_IN)
        else:
            self._loop.remove_reader(socket)
        if what in {pycurl.POLL_OUT, pycurl.POLL_INOUT}:
            self._loop.add_writer(socket, self._act, socket, pycurl.CSELECT_OUT)
        else:
            self._loop.remove_writer(socket)

    def _set_timer(self, milliseconds: int) -> None:
        """Wake libcurl after a time, or never for -1 (its M_TIMERFUNCTION)."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if milliseconds >= 0:
            self._timer = self._loop.call_later(
                milliseconds / 1000, self._act, pycurl.SOCKET_TIMEOUT, 0
            )

    def _act(self, socket: int, events: int) -> None:
        self._multi.socket_action(socket, events)
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
        if error is None:
            response = Response(
                curl.getinfo(pycurl.RESPONSE_CODE),
                _headers(transfer.head),
                b"".join(transfer.chunks),
            )
        curl.reset()
        self._spare.append(curl)
        if error is None:
            transfer.future.set_result(response)
        else:
            transfer.future.set_exception(error)


def certificate_authorities() -> str:
    """Return the system's file of certificate authorities, or certifi's where there is none."""
    return ssl.get_default_verify_paths().cafile or certifi.where()


def _headers(lines: list[bytes]) -> dict[str, str]:
    headers = {}
    for line in lines:
        name, colon, value = line.decode("latin-1").partition(":")
        if colon:
            headers[name.strip().lower()] = value.strip()
    return headers
