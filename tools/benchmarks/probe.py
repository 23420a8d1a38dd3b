"""How fast the stand-in warehouse is by itself: so that it's known not to be what is waited for.

A client that does nothing with the answers but count them asks for what the daemon would ask for,
over as many connections, and the next thing as soon as an answer is there.

    python -m tools.benchmarks.probe --port 8080 --connections 64 --seconds 3

prints a JSON object: requests, seconds, and how long answers took, mean and p99, in seconds.
"""

import argparse
import asyncio
import itertools
import json
import re
import time
from collections.abc import Iterator
from typing import Final, cast

import uvloop

from tools.benchmarks.figures import percentile
from tools.benchmarks.ids import Shape, checkout_id, number_of
from tools.benchmarks.warehouse import WAREHOUSE_TOKEN
from tools.benchmarks.workload import MIX, Kind

_PATHS: Final = {Kind.PRE_TEST: ("", "/builds?limit=100"), Kind.POST_TEST: ("/all",)}
_END = b"\r\n\r\n"
_OK = b"HTTP/1.1 200 "
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


def requests() -> Iterator[bytes]:
    """Yield the requests that the workload's notifications lead to, without end."""
    for index in itertools.count(1):
        for path in _PATHS.get(MIX[(index - 1) % len(MIX)], ()):
            identifier = checkout_id(number_of(Shape.PLAIN, index)).replace(":", "%3A")
            yield (
                f"GET /api/1/kcidb/checkouts/{identifier}{path} HTTP/1.1\r\n"
                "Host: 127.0.0.1\r\n"
                "Accept: application/json\r\n"
                f"Authorization: Token {WAREHOUSE_TOKEN}\r\n"
                "\r\n"
            ).encode()


class Client(asyncio.Protocol):
    """Sends a request as soon as the answer to the one before is there.

    Args:
        asked: what to send.
        took: where the seconds that each answer took are put.
    """

    def __init__(self, asked: Iterator[bytes], took: list[float]) -> None:
        self._asked = asked
        self._took = took
        self._head = b""
        self._left = 0
        self._since = 0.0
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        self._transport = cast(asyncio.Transport, transport)
        self._ask()

    def data_received(self, data: bytes) -> None:
        """Count the answer's bytes; after the last one, send the next request.

        Raises:
            ValueError: the answer is none of success.
        """
        if not self._left:
            self._head += data
            head, end, data = self._head.partition(_END)
            if not end:
                return
            length = _LENGTH.search(head)
            if not head.startswith(_OK) or length is None:
                raise ValueError(f"the stand-in answered {head!r}")
            self._left, self._head = int(length[1]), b""
        self._left -= len(data)
        if not self._left:
            self._took.append(time.perf_counter() - self._since)
            self._ask()

    def _ask(self) -> None:
        self._since = time.perf_counter()
        self._transport.write(next(self._asked))


async def drive(port: int, connections: int, seconds: float) -> dict[str, float]:
    """Ask for so long; return what is printed."""
    loop = asyncio.get_running_loop()
    asked, took = requests(), list[float]()
    for _ in range(connections):
        await loop.create_connection(lambda: Client(asked, took), "127.0.0.1", port)
    start = time.perf_counter()
    await asyncio.sleep(seconds)
    return {
        "requests": len(took),
        "seconds": time.perf_counter() - start,
        "mean": sum(took) / len(took),
        "p99": percentile(took, 0.99),
    }


def main() -> None:
    """Run the probe."""
    parser = argparse.ArgumentParser(prog="python -m tools.benchmarks.probe")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=3.0)
    parsed = parser.parse_args()
    print(json.dumps(uvloop.run(drive(parsed.port, parsed.connections, parsed.seconds))))


if __name__ == "__main__":
    main()
