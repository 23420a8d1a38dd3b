"""Transfers: a whole response within its time, or an error that says why not."""

import gzip
import itertools
import threading
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from cki_notifier.configuration.certificates import certificate_authorities
from cki_notifier.sources.transfer import (
    LARGE_BODY_BYTES,
    Response,
    TransferError,
    Transfers,
)
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


@dataclass(frozen=True)
class Raw:
    """Bytes in place of the answer, after which the connection is closed."""

    data: bytes

    def deliver(self, exchange: Exchange) -> None:
        """Send the bytes."""
        exchange.connection.write(self.data)
        exchange.connection.close()


class Stall:
    """Most of the true answer, and then nothing more."""

    def deliver(self, exchange: Exchange) -> None:
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
    """What a status means is decided by somebody else."""
    plain.answer("", Status(503, b"busy", {"Retry-After": "1"}))
    response = transfers.start(plain.url, [], 5).result()
    assert (response.code, response.body, response.headers["retry-after"]) == (503, b"busy", "1")


def test_a_redirect_is_not_followed(transfers: Transfers, plain: Plain) -> None:
    """Whether a redirect may be followed is decided by somebody else."""
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
        Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Encoding: gzip\r\n\r\nhello"),
        Raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello"),
        Raw(b"HTTP/1.1 200 OK\r\n" + b"X-More: and more\r\n" * 100_000),
    ],
    ids=lambda fault: repr(fault)[:60],
)
def test_half_a_response_is_none(transfers: Transfers, plain: Plain, fault: Fault) -> None:
    """Whatever ends early, or is not HTTP at all, is an error, and the next request is fine."""
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
    with pytest.raises(TransferError):
        transfers.start(url, [header], 5).result(10)


def test_a_body_over_the_bound_is_given_up(plain: Plain) -> None:
    """It is the decoded body that counts, so that a small one can't become a huge one."""
    body = gzip.compress(bytes(2_000_000))
    plain.answer("/bomb", Status(200, body, {"Content-Encoding": "gzip"}))
    plain.answer("/large", Status(200, bytes(1_000_001)))
    plain.answer("/fits", Status(200, bytes(1_000_000)))
    transfers = Transfers(certificate_authorities(), largest_body_bytes=1_000_000)
    for path in ("/bomb", "/large"):
        with pytest.raises(TransferError):
            transfers.start(plain.url + path, [], 5).result()
    assert len(transfers.start(f"{plain.url}/fits", [], 5).result().body) == 1_000_000
    transfers.close()


def test_large_bodies_take_turns(plain: Plain) -> None:
    """They are read one after the other, and waiting costs a transfer nothing of its time."""
    ends: list[float] = []

    def digest(outcome: Response | TransferError) -> int:
        assert isinstance(outcome, Response), outcome
        time.sleep(1)  # so long the others wait, the last one for longer than it has
        ends.append(time.monotonic())
        return len(outcome.body)

    transfers = Transfers(certificate_authorities())
    futures = [transfers.digest(f"{plain.url}/large", [], 2.5, digest) for _ in range(5)]
    assert [it.result(PATIENCE) for it in futures] == [len(LARGE)] * 5
    assert all(later - earlier >= 1 for earlier, later in itertools.pairwise(ends))
    transfers.close()


def test_no_more_than_one_large_body_is_in_the_memory(plain: Plain) -> None:
    """Many of them at once need little more room than one."""
    large, many = 16 * 1024 * 1024, 12
    plain.answer("/large", Status(200, bytes(large)))
    transfers = Transfers(certificate_authorities())

    def measured(outcome: Response | TransferError) -> int:
        assert isinstance(outcome, Response), outcome
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        futures = [transfers.digest(f"{plain.url}/large", [], 30, measured) for _ in range(many)]
        most = max(it.result(PATIENCE) for it in futures) - before
    finally:
        tracemalloc.stop()
    assert large <= most < 2 * large + many * LARGE_BODY_BYTES
    transfers.close()


def test_a_large_body_that_fails_gives_its_turn_away(plain: Plain) -> None:
    """Whoever has the turn and breaks off, or waits for it and does, holds nobody up."""
    plain.answer("/broken", Truncated(0.75))
    transfers = Transfers(certificate_authorities())
    broken = [transfers.start(f"{plain.url}/large/broken", [], 30) for _ in range(3)]
    whole = [transfers.start(f"{plain.url}/large/whole", [], 30) for _ in range(3)]
    for future in broken:
        with pytest.raises(TransferError):
            future.result(PATIENCE)
    assert [len(it.result(PATIENCE).body) for it in whole] == [len(LARGE)] * 3
    transfers.close()


def test_a_large_body_does_not_hold_up_a_small_one(plain: Plain) -> None:
    """Only large ones wait for each other."""
    plain.answer("/large", Stall())
    transfers = Transfers(certificate_authorities())
    under_way = [transfers.start(f"{plain.url}/large", [], 60) for _ in range(2)]
    assert transfers.start(f"{plain.url}/small", [], 30).result(PATIENCE).code == 200
    transfers.close()
    assert all(future.exception() for future in under_way)


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
