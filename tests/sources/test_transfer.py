"""Transfers: a whole response within its time, or an error that says why not."""

import gzip
import json
import os
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any, TypeVar

import pytest

from cki_notifier.configuration.certificates import certificate_authorities
from cki_notifier.sources.transfer import (
    LARGE_BODY_BYTES,
    Response,
    TransferError,
    Transfers,
    Wanted,
)
from tests.sources.raw import Raw
from tools.stand_ins import (
    Answer,
    Drip,
    DripHeaders,
    Exchange,
    Fault,
    Hang,
    Reset,
    Seen,
    Service,
    Status,
    Truncated,
)

T = TypeVar("T")

PATIENCE = 30.0
LARGE = bytes(2 * LARGE_BODY_BYTES)


class Plain(Service):
    """A server that says ``hello``, or something large, and remembers who came by which way."""

    def __init__(self) -> None:
        super().__init__()
        #: One for each connection, because each is served by a thread of its own.
        self.threads: set[threading.Thread] = set()

    def route(self, request: Seen) -> Answer:
        """Answer any request."""
        self.threads.add(threading.current_thread())
        body = LARGE if request.path.startswith("/large") else b"hello"
        return Answer(200, body, {"X-Path": request.path, "X-Empty": ""})


class Stall:
    """Most of the true answer, and then nothing more."""

    def __call__(self, exchange: Exchange) -> None:
        """Send it, and wait until the client is gone."""
        body = exchange.answer.body
        exchange.connection.write(exchange.answer.head() + body[: len(body) * 3 // 4])
        exchange.connection.wait(PATIENCE)
        exchange.connection.close()


@pytest.fixture
def plain() -> Iterator[Plain]:
    """A server that is up."""
    server = Plain()
    server.up()
    yield server
    server.stop()


def test_a_response_is_told_whole(transfers: Transfers, plain: Plain) -> None:
    """Code, headers by their names in lower case, and body are as they were sent."""
    response = transfers.start(f"{plain.url}/a?b=c", ["X-Ours: 1"], 5).result()
    assert (response.code, response.body) == (200, b"hello")
    assert response.headers == {"content-length": "5", "x-path": "/a", "x-empty": ""}
    [seen] = plain.requests
    assert (seen.method, seen.target, seen.headers["x-ours"]) == ("GET", "/a?b=c", "1")
    assert seen.headers["user-agent"].startswith("cki-notifier/")


def test_an_error_status_is_a_response_too(transfers: Transfers, plain: Plain) -> None:
    """Any status is a response, and its meaning is decided elsewhere."""
    plain.answer("", Status(503, b"busy", {"Retry-After": "1"}))
    response = transfers.start(plain.url, [], 5).result()
    assert (response.code, response.body, response.headers["retry-after"]) == (503, b"busy", "1")


def test_a_redirect_is_not_followed(transfers: Transfers, plain: Plain) -> None:
    """Unless it is said below which address one may be."""
    plain.answer("/old", Status(302, headers={"Location": "/new"}))
    assert transfers.start(f"{plain.url}/old", [], 5).result().code == 302
    assert len(plain.requests) == 1


def test_a_path_goes_out_as_it_is(transfers: Transfers, plain: Plain) -> None:
    """Dots and percent-encoded characters of an id are not tidied away."""
    transfers.start(f"{plain.url}/a/../%2E%2E/b%2Fc", [], 5).result()
    assert plain.requests[0].target == "/a/../%2E%2E/b%2Fc"


def test_requests_in_a_row_share_a_connection(transfers: Transfers, plain: Plain) -> None:
    """A connection is kept alive."""
    for _ in range(20):
        transfers.start(plain.url, [], 5).result()
    assert len(plain.threads) == 1


def test_requests_side_by_side_overlap(transfers: Transfers, plain: Plain) -> None:
    """Many requests take as long as one."""
    plain.latency = 0.3
    started = time.monotonic()
    futures = [transfers.start(plain.url, [], 10) for _ in range(40)]
    assert {future.result().code for future in futures} == {200}
    assert time.monotonic() - started < 4


def test_a_server_that_came_back_is_asked_again(transfers: Transfers, plain: Plain) -> None:
    """A connection that died while it was kept costs nobody a response."""
    transfers.start(plain.url, [], 5).result()
    plain.down()
    with pytest.raises(TransferError):
        transfers.start(plain.url, [], 5).result()
    plain.up()
    assert transfers.start(plain.url, [], 5).result().code == 200


def test_a_body_that_can_not_be_decompressed_is_said_so(transfers: Transfers, plain: Plain) -> None:
    """In words before zlib's own."""
    plain.answer("", Status(200, b"\x1f\x8b no gzip behind that", {"Content-Encoding": "gzip"}))
    with pytest.raises(TransferError, match=r"^the body can't be decompressed: "):
        transfers.start(plain.url, [], 5).result()


@pytest.mark.parametrize("fault", [Hang(30), Drip(0.2), DripHeaders(0.1)], ids=repr)
def test_the_time_limit_covers_the_whole_transfer(
    transfers: Transfers, plain: Plain, fault: Fault
) -> None:
    """A server that is silent, or slow though never silent, can't outlast the limit."""
    plain.answer("", fault)
    started = time.monotonic()
    with pytest.raises(TransferError, match="timed out"):
        transfers.start(plain.url, [], 0.3).result()
    assert time.monotonic() - started < 2


@pytest.mark.parametrize(
    "fault",
    [
        Truncated(),
        Truncated(0),
        Reset(),
        Raw(b""),
        Raw(b"SSH-2.0-OpenSSH_9.6\r\n"),
        Raw(b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n{}"),
        Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n\x1f\x8bello"),
        Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n" + gzip.compress(b"hello")[:20]),
        Raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello"),
        Raw(b"HTTP/1.1 200 OK\r\n" + b"X-More: and more\r\n" * 100_000),
    ],
    ids=lambda fault: repr(fault)[:60],
)
def test_half_a_response_is_none(transfers: Transfers, plain: Plain, fault: Fault) -> None:
    """A response that ends early or is not HTTP is an error, and the next request works."""
    plain.answer("", fault, times=1)
    with pytest.raises(TransferError):
        transfers.start(plain.url, [], 5).result()
    assert transfers.start(plain.url, [], 5).result().code == 200


@pytest.mark.parametrize(
    ("url", "header"),
    [
        ("http://127.0.0.1:port/", "A: b"),
        ("http://127.0.0.1/a b\n", "A: b"),
        ("http://127.0.0.1/\0", "A: b"),
        ("http://127.0.0.1/\N{SNOWMAN}", "A: b"),
        ("gopher-like://127.0.0.1/", "A: b"),
        ("", "A: b"),
        ("http://127.0.0.1/", "A: \N{SNOWMAN}"),
    ],
)
def test_a_request_that_can_not_be_made_is_an_error(
    transfers: Transfers, url: str, header: str
) -> None:
    """The future fails, so that nobody waits for a transfer that never begins."""
    with pytest.raises(TransferError, match=r"^[^(]"):  # in words, without libcurl's number
        transfers.start(url, [header], 5).result(10)


def test_a_compressed_body_is_decompressed(transfers: Transfers, plain: Plain) -> None:
    """Gzip is asked for, and told by how it begins."""
    body = json.dumps([{"number": number} for number in range(100_000)]).encode()
    plain.answer("", Status(200, gzip.compress(body), {"Content-Encoding": "gzip"}))
    assert transfers.start(plain.url, [], 5).result().body == body
    assert plain.requests[0].headers["accept-encoding"] == "gzip"


@pytest.mark.parametrize("path", ["/bomb", "/large"])
def test_a_body_over_the_bound_is_given_up(transfers: Transfers, plain: Plain, path: str) -> None:
    """It is the decompressed body that counts, so that a small one can't become a huge one."""
    body = gzip.compress(os.urandom(1_000_001))
    plain.answer("/bomb", Status(200, body, {"Content-Encoding": "gzip"}))
    plain.answer("/large", Status(200, bytes(1_000_001)))
    plain.answer("/fits", Status(200, bytes(1_000_000)))
    with pytest.raises(TransferError, match="larger than 1000000 bytes") as error:
        transfers.start(plain.url + path, [], 5, 1_000_000).result()
    assert error.value.is_bound
    assert len(transfers.start(f"{plain.url}/fits", [], 5, 1_000_000).result().body) == 1_000_000


def test_a_body_that_grows_a_thousandfold_is_given_up(transfers: Transfers, plain: Plain) -> None:
    """Long before the bound for its size."""
    plain.answer("", Status(200, gzip.compress(bytes(64 * 1024 * 1024)), {}))
    tracemalloc.start()
    try:
        with pytest.raises(TransferError, match="grows more than 100 times") as error:
            transfers.start(plain.url, [], 5, 256 * 1024 * 1024).result()
        assert tracemalloc.get_traced_memory()[1] < 20 * 1024 * 1024
    finally:
        tracemalloc.stop()
    assert error.value.is_bound


def large(
    transfers: Transfers, url: str, digest: Callable[[Response | TransferError], T], **terms: Any
) -> Future[T]:
    """Ask for a large body."""
    terms = {"seconds": PATIENCE, "patience": PATIENCE} | terms
    return transfers.digest(Wanted(url, [], most_bytes=256 * 1024 * 1024, **terms), digest)


def size(outcome: Response | TransferError) -> int:
    """Return the size of a whole body, -1 when there is none."""
    return len(outcome.body) if isinstance(outcome, Response) else -1


def test_waiting_for_a_turn_costs_a_large_body_nothing_of_its_time(
    transfers: Transfers, plain: Plain
) -> None:
    """The last one waits for longer than it may take itself, and gets all its time then."""
    assert large(transfers, f"{plain.url}/large", size).result(PATIENCE) == len(LARGE)
    plain.answer("/large", Stall(), times=6)
    slow = [large(transfers, f"{plain.url}/large", size, seconds=2) for _ in range(6)]
    started = time.monotonic()
    last = large(transfers, f"{plain.url}/large", size, seconds=5)
    assert last.result(PATIENCE) == len(LARGE)
    assert time.monotonic() - started > 5
    assert [it.result(PATIENCE) for it in slow] == [-1] * 6


def test_a_large_body_that_is_slow_leaves_a_turn_to_others(
    transfers: Transfers, plain: Plain
) -> None:
    """Any number of them does not hold up another service's."""
    plain.answer("/large/slow", Stall())
    slow = [large(transfers, f"{plain.url}/large/slow", size, seconds=20)]
    others = [large(transfers, f"{plain.url}/large/{number}", size) for number in range(3)]
    assert [it.result(PATIENCE) for it in others] == [len(LARGE)] * 3
    slow += [large(transfers, f"{plain.url}/large/slow", size, seconds=20) for _ in range(3)]
    other = large(transfers, f"{plain.url}/large/other", size, line="another service")
    assert other.result(PATIENCE) == len(LARGE)
    assert not any(it.done() for it in slow)


def test_no_more_than_two_large_bodies_are_in_the_memory(
    transfers: Transfers, plain: Plain
) -> None:
    """Many of them at once need little more room than two."""
    each, many = 16 * 1024 * 1024, 12
    plain.answer("/large", Status(200, bytes(each)))

    def measured(outcome: Response | TransferError) -> int:
        assert isinstance(outcome, Response), outcome
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        futures = [large(transfers, f"{plain.url}/large", measured) for _ in range(many)]
        most = max(it.result(PATIENCE) for it in futures) - before
    finally:
        tracemalloc.stop()
    assert each <= most < 3 * each + many * LARGE_BODY_BYTES


def test_a_server_that_sends_something_large_is_never_kept_waiting(
    transfers: Transfers, plain: Plain
) -> None:
    """One that hangs up on slow readers would: so a large body is asked for when it has its turn.

    The last one is given up when it turns out to be large, and requested again. From then on, it
    waits before the request.
    """
    plain.answer("/large/slow", Stall(), times=2)
    slow = [large(transfers, f"{plain.url}/large/slow", size, seconds=5) for _ in range(2)]
    while len(plain.requests) < 2:
        time.sleep(0.01)
    time.sleep(1.5)
    other = large(transfers, f"{plain.url}/large/other", size)
    assert [it.result(PATIENCE) for it in slow] == [-1, -1]
    assert other.result(PATIENCE) == len(LARGE)
    paths = [seen.path for seen in plain.requests]
    assert paths == ["/large/slow"] * 2 + ["/large/other"] * 2
    again = [large(transfers, f"{plain.url}/large/other", size) for _ in range(3)]
    assert [it.result(PATIENCE) for it in again] == [len(LARGE)] * 3
    assert len(plain.requests) == 7


def test_nothing_is_asked_for_that_nobody_waits_for_any_more(
    transfers: Transfers, plain: Plain
) -> None:
    """A transfer that waited too long for its turn is skipped."""
    assert large(transfers, f"{plain.url}/large", size).result(PATIENCE) == len(LARGE)
    plain.answer("/large", Stall(), times=2)
    slow, slower = [large(transfers, f"{plain.url}/large", size, seconds=1) for _ in range(2)]
    impatient = large(transfers, f"{plain.url}/large", size, patience=0.1)
    patient = large(transfers, f"{plain.url}/large", size)
    assert [it.result(PATIENCE) for it in (slow, slower, impatient)] == [-1] * 3
    assert patient.result(PATIENCE) == len(LARGE)
    assert len(plain.requests) == 4


def test_a_large_body_that_fails_gives_its_turn_away(transfers: Transfers, plain: Plain) -> None:
    """A transfer that breaks off, in its turn or before, holds up no other."""
    plain.answer("/broken", Truncated(0.75))
    broken = [large(transfers, f"{plain.url}/large/broken", size) for _ in range(3)]
    whole = [large(transfers, f"{plain.url}/large/whole", size) for _ in range(3)]
    assert [it.result(PATIENCE) for it in broken] == [-1] * 3
    assert [it.result(PATIENCE) for it in whole] == [len(LARGE)] * 3


def test_a_large_body_does_not_hold_up_a_small_one(plain: Plain) -> None:
    """Only large ones wait for each other; all end when the process does."""
    plain.answer("/large", Stall())
    transfers = Transfers(certificate_authorities())
    under_way = [large(transfers, f"{plain.url}/large", size) for _ in range(2)]
    assert transfers.start(f"{plain.url}/small", [], 30).result(PATIENCE).code == 200
    transfers.close()
    assert [it.result(PATIENCE) for it in under_way] == [-1] * 2


def test_closing_ends_what_is_under_way(plain: Plain) -> None:
    """Nobody waits for a response that can't come any more, neither then nor later."""
    plain.answer("", Hang(30))
    transfers = Transfers(certificate_authorities())
    under_way = [transfers.start(plain.url, [], 30) for _ in range(3)]
    transfers.close()
    transfers.close()
    later = transfers.start(plain.url, [], 30)
    for future in (*under_way, later):
        with pytest.raises(TransferError, match="the process is stopping"):
            future.result(5)
