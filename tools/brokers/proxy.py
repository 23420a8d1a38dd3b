"""A TCP proxy on the loopback that can cut, silence and watch its connections."""

import asyncio
import enum
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Self, TypeAlias, TypeVar

_CHUNK_BYTES = 65_536

T = TypeVar("T")


class Way(enum.Enum):
    """The direction of data."""

    TO_SERVER = enum.auto()
    TO_CLIENT = enum.auto()


#: Called with the direction, the data and the client's port, before the proxy passes the data on.
#: It runs in the proxy's thread, so all data waits meanwhile. If it returns False, the proxy drops
#: the data and cuts the connection.
Watch: TypeAlias = Callable[[Way, bytes, int], bool]


@dataclass(eq=False, slots=True)
class _Link:
    """A client's connection and the proxy's to the server."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    port: int
    silent: bool = False

    def cut(self) -> None:
        for end in (self.client, self.server):
            end.transport.abort()

    def silence(self) -> None:
        self.silent = True


class Proxy:
    """Passes connections on to a port of 127.0.0.1.

    It listens on ``host``, an address of 127.0.0.0/8, and ``port``. ``accepted`` counts all
    connections so far. ``watch`` may change at any time.
    """

    def __init__(self, target_port: int, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self.host = host
        self.port = port
        self.accepted = 0
        self.watch: Watch | None = None
        self._target_port = target_port
        self._passing = True
        self._links: set[_Link] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = self._call(asyncio.start_server(self._serve, self.host, self.port))
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()
        self.cut()
        self._call(self._cancel_all())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def cut(self) -> None:
        """Reset all connections; serve new ones."""
        self._call(self._each(_Link.cut))

    def swallow(self) -> None:
        """Drop all data from now on, on all connections, without a reset or an end."""
        self._passing = False

    def silence(self) -> None:
        """Drop all data on the present connections for good; serve new ones."""
        self._call(self._each(_Link.silence))

    def resume(self) -> None:
        """Pass data on again. Old connections lack the dropped data, so they are of no use."""
        self._passing = True
        self.cut()

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _each(self, act: Callable[[_Link], None]) -> None:
        for link in list(self._links):
            act(link)

    async def _cancel_all(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:
            writer.transport.abort()
            return
        link = _Link(writer, back, writer.get_extra_info("peername")[1])
        self._links.add(link)
        try:
            await asyncio.gather(
                self._pass(link, Way.TO_SERVER, reader, back),
                self._pass(link, Way.TO_CLIENT, there, writer),
            )
        finally:
            link.cut()
            self._links.discard(link)

    async def _pass(
        self, link: _Link, way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            while data := await reader.read(_CHUNK_BYTES):
                if self._swallows(link):
                    continue
                if self.watch is not None and not self.watch(way, data, link.port):
                    link.cut()
                    return
                writer.write(data)
                await writer.drain()
        except OSError:
            pass  # either end was cut
        if not self._swallows(link):
            writer.close()

    def _swallows(self, link: _Link) -> bool:
        return link.silent or not self._passing
