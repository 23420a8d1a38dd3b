"""The HTTP port: bound at once, served by threads of its own, and closed at the end.

One thread handles all connections and never blocks on one of them. A new connection is always
heard: if there is no room or no file descriptor for it, the server closes the oldest one.
"""

import asyncio
import contextlib
import errno
import logging
import os
import re
import socket
import struct
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import Any

from cki_notifier.configuration.shutdown import REQUESTS_SECONDS
from cki_notifier.notification.errors import ConfigurationError
from cki_notifier.telemetry.throttle import Throttle
from cki_notifier.web.request import Answer, Handler, Request

logger = logging.getLogger(__name__)

Job = Callable[[], Answer]

#: The most connections that wait to be accepted.
_BACKLOG = 1024
#: The kernel's send buffer, in bytes. It stays allocated even for a client that never reads.
_KERNELS_SHARE = 65_536
#: The time for a request to arrive, and then for its answer to be made and sent, in seconds.
_REQUEST_SECONDS, _ANSWER_SECONDS = 5.0, 10.0
#: The longest request, in bytes.
_LONGEST = 16_384
#: The most connections that send a request, wait at one desk, and receive an answer. The status
#: page has up to 0.9 MB, and the part that the client has not received is in our memory.
_MOST_SENDING, _MOST_WAITING, _MOST_TAKING = 256, 64, 32
#: Threads that make answers, besides one for each probe.
_THREADS = 2
#: After an answer, a thread rests this many times the processor time it took. Python runs one
#: thread at a time, and without a rest, pages would hold up the daemon's work and the probes.
_REST = 3
#: The pause when the process can't get a file descriptor, in seconds.
_PAUSE_SECONDS = 0.2
#: How often the log says that connections are closed, in seconds.
_TOLD_SECONDS = 60.0
#: For ``SO_LINGER``: the kernel sends the rest after the end, or drops it.
_SENT, _DROPPED = struct.pack("ii", 0, 0), struct.pack("ii", 1, 0)
#: An empty line, which may be the first one.
_END = re.compile(rb"(^|\n)\r?\n")


class Server:
    """Binds a port on all interfaces, and answers from :meth:`start` on.

    Args:
        port: its number.
        probes: addresses with a thread each, so that they answer under any load.

    Raises:
        ConfigurationError: the port is taken, or the process may not use it.
    """

    def __init__(self, port: int, probes: Collection[str]) -> None:
        try:
            self._listener = _listen(port)
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
            raise ConfigurationError(
                [f"CKI_METRICS_PORT: port {port} can't be used: {reason}"]
            ) from error
        self._listener.settimeout(0)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _KERNELS_SHARE)
        self._loop = asyncio.new_event_loop()
        self._thread: Thread | None = None
        self._stopping = asyncio.Event()
        self._throttle = Throttle(_TOLD_SECONDS, 1)
        self._open: set[asyncio.Task[None]] = set()
        self._sending = _Room("send a request", _MOST_SENDING)
        self._taking = _Room("take an answer", _MOST_TAKING)
        self._pages = Desk("http page", _THREADS)
        self._probes = {probe: Desk(f"http {probe}", 1) for probe in probes}

    def start(self, answers: Callable[[Request], Answer]) -> None:
        """Answer requests by calling ``answers``, in several threads at once."""
        self._answers = answers
        work = partial(self._loop.run_until_complete, self._serve())
        self._thread = Thread(target=work, name="http", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Close the port within :data:`REQUESTS_SECONDS`, after finishing answers under way."""
        end = time.monotonic() + REQUESTS_SECONDS
        if self._thread is not None:
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join()
        self._loop.close()
        for desk in (self._pages, *self._probes.values()):
            desk.close(end)
        self._listener.close()

    async def _serve(self) -> None:
        """Accept connections until the end, then finish the answers under way."""
        self._hear()
        await self._stopping.wait()
        self._loop.remove_reader(self._listener)
        self._listener.close()
        while self._sending.hang_up():  # browsers open some and send nothing
            pass
        if self._open:
            await asyncio.wait(self._open, timeout=REQUESTS_SECONDS)
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    def _hear(self, *_: object) -> None:
        """Accept connections from now on."""
        if not self._stopping.is_set():
            self._loop.add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        """Accept a waiting connection. Without one, Linux would still need a file descriptor."""
        try:
            connection, address = self._listener.accept()
        except BlockingIOError:
            return  # it went away
        except OSError as error:
            if self._throttle.let_through("accept") is not None:
                logger.warning("the HTTP port can't accept a connection: %s", error)
            self._make_room()
            return
        connection.settimeout(0)
        task = asyncio.create_task(self._serve_one(connection, address[0]))
        self._open.add(task)
        task.add_done_callback(partial(self._end, connection))

    def _make_room(self) -> None:
        """Accept no connection until there may be a file descriptor for it."""
        self._loop.remove_reader(self._listener)
        if gone := self._sending.hang_up() or self._taking.hang_up():
            gone.add_done_callback(self._hear)
        else:
            self._loop.call_later(_PAUSE_SECONDS, self._hear)

    def _end(self, connection: socket.socket, task: asyncio.Task[None]) -> None:
        """Close the connection: a task that is cancelled at once never runs :meth:`_serve_one`."""
        self._open.discard(task)
        connection.close()

    async def _serve_one(self, connection: socket.socket, client: str) -> None:
        """Serve one connection, which is one request; an error ends only this connection."""
        try:
            with self._sending.place():
                async with asyncio.timeout(_REQUEST_SECONDS):
                    head = await _read(connection)
            handler = Handler(head, client)
            async with asyncio.timeout(_ANSWER_SECONDS):
                if (asked := handler.asked) is not None:
                    desk = self._probes.get(asked.path, self._pages)
                    with desk.room.place():
                        job = desk.submit(partial(self._answers, asked))
                        handler.answer(await asyncio.wrap_future(job))
                await self._send(connection, handler.written)
        except OSError as error:  # the client left, is too slow, or sent too much
            logger.debug("%s: %s", client, error)
        except Exception:  # it ends this connection, and no other
            logger.exception("a bug in answering %s", client)

    async def _send(self, connection: socket.socket, data: bytes) -> None:
        """Send an answer; only one that does not go out at once needs a place."""
        rest = memoryview(data)[connection.send(data) :]
        if rest:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _DROPPED)
            with self._taking.place():
                await self._loop.sock_sendall(connection, rest)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _SENT)


def _listen(port: int) -> socket.socket:
    """Listen on all interfaces, for IPv6 and IPv4 as far as the machine has them.

    Raises:
        OSError: the port is not available.
    """
    if socket.has_dualstack_ipv6():
        try:
            return socket.create_server(
                ("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=_BACKLOG
            )
        except OSError as error:
            if error.errno != errno.EADDRNOTAVAIL:  # IPv6 is there, but switched off
                raise
    return socket.create_server(("", port), backlog=_BACKLOG)


async def _read(connection: socket.socket) -> bytes:
    """Return a request with all its headers.

    Raises:
        ConnectionError: the request is too long, or incomplete.
    """
    loop = asyncio.get_running_loop()
    head = bytearray()
    while len(head) < _LONGEST:
        data = await loop.sock_recv(connection, _LONGEST - len(head))
        if not data:
            raise ConnectionAbortedError("the request is incomplete")
        start = max(0, len(head) - 2)  # skip the part that was searched before
        head += data
        if _END.search(head, start):
            return bytes(head)
    raise ConnectionAbortedError("the request is too long")


class _Room:
    """Has a number of places. When all are taken, the newest connection replaces the oldest."""

    def __init__(self, name: str, places: int) -> None:
        self._name = name
        self._places = places
        self._taken: dict[asyncio.Task[Any] | None, None] = {}
        self._throttle = Throttle(_TOLD_SECONDS, 1)

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place for the current task."""
        task = asyncio.current_task()
        if len(self._taken) >= self._places:
            self.hang_up()
            if self._throttle.let_through(self._name) is not None:
                text = "more than %d connections %s; the HTTP port closes the oldest"
                logger.warning(text, self._places, self._name)
        self._taken[task] = None
        try:
            yield
        finally:
            self._taken.pop(task, None)

    def hang_up(self) -> asyncio.Task[Any] | None:
        """Cancel the oldest task and return it; None when the room is empty."""
        task = next(iter(self._taken), None)
        if task is not None:
            del self._taken[task]
            task.cancel()
        return task


class Desk:
    """Makes answers in a fixed number of threads; other requests wait.

    All threads start at once, so that a shortage can't prevent one later.

    Args:
        name: of the threads.
        threads: their number.

    Attributes:
        room: where connections wait for the answer.
    """

    def __init__(self, name: str, threads: int) -> None:
        self.room = _Room("wait for an answer", _MOST_WAITING)
        self._jobs: SimpleQueue[tuple[Future[Answer], Job] | None] = SimpleQueue()
        self._threads = [Thread(target=self._work, name=name, daemon=True) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    def submit(self, job: Job) -> "Future[Answer]":
        """Queue a request. If its future is cancelled early, the desk drops it."""
        future: Future[Answer] = Future()
        self._jobs.put((future, job))
        return future

    def close(self, end: float) -> None:
        """End the threads; one still busy at this monotonic time is abandoned."""
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    def _work(self) -> None:
        while (task := self._jobs.get()) is not None:
            future, job = task
            if future.set_running_or_notify_cancel():
                began = time.thread_time()
                try:
                    future.set_result(job())
                except Exception as error:  # noqa: BLE001  # the waiting task gets it
                    future.set_exception(error)
                time.sleep(_REST * (time.thread_time() - began))
