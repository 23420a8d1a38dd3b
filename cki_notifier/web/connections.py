"""The connections to the HTTP port, all of them in one thread that never waits for one alone.

However many there are, and however slow, the newest is heard: where there is no room for another
one, or no file descriptor, the one that has kept us waiting for the longest is hung up on.
"""

import asyncio
import contextlib
import logging
import re
import socket
import struct
from collections.abc import Callable, Collection, Iterator
from functools import partial
from typing import Any

from cki_notifier.telemetry.throttle import Throttle
from cki_notifier.web.answer import Answer, Request
from cki_notifier.web.desk import Desk
from cki_notifier.web.handler import Handler

logger = logging.getLogger(__name__)

Answers = Callable[[Request], Answer]

#: For a request to arrive, and then for the answer to be made and taken, in seconds.
_REQUEST_SECONDS, _ANSWER_SECONDS = 5.0, 10.0
#: No request of ours is longer, in bytes.
_LONGEST = 16_384
#: So many connections may be sending their request, wait for the answer at one desk, and be taking
#: it. The status page has up to 0.9 MB, and what is not taken is in our memory.
_MOST_SENDING, _MOST_WAITING, _MOST_TAKING = 256, 64, 32
#: So many answers are made at once, besides one for each probe.
_THREADS = 2
#: When there is no file descriptor, and none to be had: for so long, in seconds.
_PAUSE_SECONDS = 0.2
#: That connections are hung up on is told so often, in seconds.
_TOLD_SECONDS = 60.0
#: For ``SO_LINGER``: what the kernel still has to send is sent after the end, or dropped.
_SENT, _DROPPED = struct.pack("ii", 0, 0), struct.pack("ii", 1, 0)
#: An empty line, which may be the first.
_END = re.compile(rb"(^|\n)\r?\n")


class Connections:
    """Accepts connections, reads a request from each, has it answered and sends the answer.

    Args:
        listener: accepts them; is closed in the end.
        answers: called for each request, in many threads at once.
        probes: their addresses. Each has a thread of its own: it waits for no other answer.
    """

    def __init__(self, listener: socket.socket, answers: Answers, probes: Collection[str]) -> None:
        self._listener = listener
        self._answers = answers
        self._stopping = asyncio.Event()
        self._throttle = Throttle(_TOLD_SECONDS, 1)
        self._open: set[asyncio.Task[None]] = set()
        self._sending = _Room("send a request", _MOST_SENDING)
        self._taking = _Room("take an answer", _MOST_TAKING)
        self._pages = _Counter("http page", _THREADS)
        self._probes = {probe: _Counter(f"http {probe}", 1) for probe in probes}

    async def serve(self, seconds: float) -> None:
        """Serve until :meth:`stop`; then hear nothing more, and finish answers for so long."""
        self._listen()
        await self._stopping.wait()
        asyncio.get_running_loop().remove_reader(self._listener)
        self._listener.close()
        while self._sending.hang_up():  # browsers open some and say nothing
            pass
        if self._open:
            await asyncio.wait(self._open, timeout=seconds)
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    def stop(self) -> None:
        """Have :meth:`serve` end; in its thread."""
        self._stopping.set()

    def close(self, end: float) -> None:
        """End the threads that answer; any that hangs is left behind at that monotonic time."""
        for counter in (self._pages, *self._probes.values()):
            counter.desk.close(end)

    def _listen(self, *_: object) -> None:
        if not self._stopping.is_set():
            asyncio.get_running_loop().add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        """Accept a connection, now that there is one: asked for none, Linux wants room as well."""
        try:
            connection, address = self._listener.accept()
        except BlockingIOError:
            return  # it went away
        except OSError as error:
            if self._throttle.let_through("accept") is not None:
                logger.warning("no connection can be accepted: %s", error)
            self._make_room()
            return
        connection.settimeout(0)
        task = asyncio.create_task(self._serve_one(connection, address[0]))
        self._open.add(task)
        task.add_done_callback(partial(self._end, connection))

    def _make_room(self) -> None:
        """Accept nothing until there may be a file descriptor for it."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._listener)
        if gone := self._sending.hang_up() or self._taking.hang_up():
            gone.add_done_callback(self._listen)
        else:
            loop.call_later(_PAUSE_SECONDS, self._listen)

    def _end(self, connection: socket.socket, task: asyncio.Task[None]) -> None:
        """End what :meth:`_serve_one` can't: a task that is cancelled at once never begins."""
        self._open.discard(task)
        connection.close()

    async def _serve_one(self, connection: socket.socket, client: str) -> None:
        """Serve one connection, which is one request; whatever goes wrong ends it alone."""
        try:
            with self._sending.place():
                async with asyncio.timeout(_REQUEST_SECONDS):
                    head = await _read(connection)
            handler = Handler(head, client)
            async with asyncio.timeout(_ANSWER_SECONDS):
                if handler.asked is not None:
                    handler.answer(await self._answer(handler.asked))
                await self._send(connection, handler.written)
        except OSError as error:  # whoever asked went away, or is too slow, or asked for too much
            logger.debug("%s: %s", client, error)
        except Exception:  # it ends this connection, and no other
            logger.exception("a bug in answering %s", client)

    async def _answer(self, request: Request) -> Answer:
        counter = self._probes.get(request.path, self._pages)
        with counter.room.place():
            return await asyncio.wrap_future(counter.desk.submit(partial(self._answers, request)))

    async def _send(self, connection: socket.socket, data: bytes) -> None:
        """Send what is sent at once; only for the rest a place is needed."""
        rest = memoryview(data)[connection.send(data) :]
        if rest:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _DROPPED)
            with self._taking.place():
                await asyncio.get_running_loop().sock_sendall(connection, rest)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _SENT)


class _Room:
    """Has so many places; who comes when all are taken gets that of the one who came first."""

    def __init__(self, name: str, places: int) -> None:
        self._name = name
        self._places = places
        self._taken: dict[asyncio.Task[Any] | None, None] = {}
        self._throttle = Throttle(_TOLD_SECONDS, 1)

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """Have a place for the current task."""
        task = asyncio.current_task()
        if len(self._taken) >= self._places:
            self.hang_up()
            if self._throttle.let_through(self._name) is not None:
                text = "more than %d connections %s; hanging up on the oldest"
                logger.warning(text, self._places, self._name)
        self._taken[task] = None
        try:
            yield
        finally:
            self._taken.pop(task, None)

    def hang_up(self) -> asyncio.Task[Any] | None:
        """Cancel the task that came first, and return it; None when the room is empty."""
        task = next(iter(self._taken), None)
        if task is not None:
            del self._taken[task]
            task.cancel()
        return task


class _Counter:
    """A desk, and the room before it."""

    def __init__(self, name: str, threads: int) -> None:
        self.desk = Desk(name, threads)
        self.room = _Room("wait for an answer", _MOST_WAITING)


async def _read(connection: socket.socket) -> bytes:
    """Return a request with all its headers.

    Raises:
        ConnectionError: it is too long, or only a part of it came.
    """
    loop = asyncio.get_running_loop()
    head = bytearray()
    while len(head) < _LONGEST:
        data = await loop.sock_recv(connection, _LONGEST - len(head))
        if not data:
            raise ConnectionAbortedError("no whole request came")
        start = max(0, len(head) - 2)  # what was looked at before is not looked at again
        head += data
        if _END.search(head, start):
            return bytes(head)
    raise ConnectionAbortedError("the request is too long")
