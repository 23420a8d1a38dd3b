"""The HTTP port with many that are slow, and with nothing left: a probe is always answered."""

import contextlib
import os
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cki_notifier.configuration.shutdown import REQUESTS_SECONDS
from cki_notifier.web import server
from cki_notifier.web.request import Answer, Request, text
from cki_notifier.web.server import Desk, Server
from cki_notifier.web.website import PROBES
from tests.web.test_server import PATIENCE, ask, say
from tools.processes import free_port

#: More than the kernel takes of an answer that nobody reads.
LARGE = Answer(b"x" * 1_000_000, "text/plain")
#: The most clients of one test.
MOST = 1_000


class Site:
    """Answers at once, but for what is held."""

    def __init__(self) -> None:
        self.may_answer = threading.Event()
        self.held = threading.Semaphore(0)

    def answer(self, request: Request) -> Answer:
        """Answer; at /held only when it may, at /large with a lot."""
        if request.path == "/held":
            self.held.release()
            self.may_answer.wait(PATIENCE)
        return LARGE if request.path == "/large" else text(request.path)


@pytest.fixture(name="site")
def _site() -> Site:
    return Site()


@pytest.fixture(name="port")
def _port(site: Site) -> Iterator[int]:
    """Return the port of a server that answers."""
    port = free_port()
    server = Server(port, PROBES)
    server.start(site.answer)
    yield port
    site.may_answer.set()
    server.close()


@pytest.fixture(name="many", autouse=True)
def _many() -> Iterator[None]:
    """Have room for file descriptors: the clients are in this process, too."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    room = 3 * MOST
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(room, hard)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture(name="crowd")
def _crowd(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[int, bytes], list[socket.socket]]]:
    """Return a function that makes a crowd of clients, each of which sends this and reads nothing.

    No client times out, so that no timeout makes room.
    """
    monkeypatch.setattr(server, "_REQUEST_SECONDS", 10 * PATIENCE)
    monkeypatch.setattr(server, "_ANSWER_SECONDS", 10 * PATIENCE)
    with contextlib.ExitStack() as clients:

        def crowd(count: int, says: bytes) -> list[socket.socket]:
            return [clients.enter_context(client(port, says)) for _ in range(count)]

        yield crowd


Crowd = Callable[[int, bytes], list[socket.socket]]


def client(port: int, says: bytes) -> socket.socket:
    """Open a connection, and say something."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    with contextlib.suppress(ConnectionError):  # hung up on before it could
        connection.sendall(says)
    return connection


def is_open(connection: socket.socket) -> bool:
    """Tell whether a client without an answer is still connected."""
    connection.settimeout(0)
    try:
        connection.recv(1)
    except BlockingIOError:
        return True
    except ConnectionError:
        pass
    return False


def drip(connection: socket.socket) -> None:
    """Send a byte now and then, for as long as it is taken."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        connection.sendall(b"a")
        time.sleep(0.1)


def read_all(connection: socket.socket) -> int:
    """Return how many bytes come until the end."""
    connection.settimeout(PATIENCE)
    count = 0
    while more := connection.recv(65_536):
        count += len(more)
    return count


def is_whole(connection: socket.socket) -> bool:
    """Tell whether all of the large answer comes."""
    try:
        return read_all(connection) > len(LARGE.body)
    except ConnectionError:
        return False


@pytest.mark.parametrize("count", [64, 300, MOST])
@pytest.mark.parametrize(
    "says", [b"", b"GET /live HTTP/1.1\r\nHost:", b"GET /large HTTP/1.1\r\n\r\n"]
)
def test_a_probe_is_answered_however_many_are_slow(
    port: int, crowd: Crowd, count: int, says: bytes
) -> None:
    """Silent clients, half requests, answers without a reader."""
    crowd(count, says)
    newest = crowd(1, b"")[0]
    for path in ("/live", "/ready", "/page"):
        response, body = ask(port, path)
        assert (response.status, body) == (200, f"{path}\n")
    assert is_open(newest)


def test_a_probe_is_answered_while_others_send_byte_by_byte(port: int, crowd: Crowd) -> None:
    """They say something all the time, and are heard; the probe is, too."""
    dripping = crowd(200, b"GET /")
    for number in range(10):
        for each in dripping:
            each.sendall(b"a")
        if number % 3 == 0:
            assert ask(port, "/live")[0].status == 200
    dripping[-1].sendall(b" HTTP/1.1\r\n\r\n")
    assert b"200 OK" in dripping[-1].recv(65_536)


def test_whoever_drips_has_no_more_time_than_others(port: int) -> None:
    """A byte now and then makes a request no longer: it has to be whole in 5 s."""
    started = time.monotonic()
    with client(port, b"GET /") as dripping, pytest.raises(ConnectionError):
        drip(dripping)
    assert time.monotonic() - started > 3


def test_nobody_keeps_a_connection_for_later(port: int, crowd: Crowd) -> None:
    """A client that asks for keep-alive gets its answer and the end of the connection."""
    says = b"GET /live HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n"
    for _ in range(300):
        assert read_all(crowd(1, says)[0])
    assert ask(port, "/live")[0].status == 200


def test_the_newest_wins_over_the_oldest(
    port: int, crowd: Crowd, caplog: pytest.LogCaptureFixture
) -> None:
    """For the 257th silent connection the server closes the oldest, and logs that only once."""
    silent = crowd(300, b"")
    assert silent[0].recv(1) == b""
    assert is_open(silent[-1])
    assert is_open(silent[-200])
    assert ask(port, "/live")[0].status == 200
    told = [it for it in caplog.messages if "closes the oldest" in it]
    assert told == ["more than 256 connections send a request; the HTTP port closes the oldest"]


def test_probes_wait_for_no_page(port: int, crowd: Crowd, site: Site) -> None:
    """Probes get answers while all threads for pages are busy and their room is full."""
    held = crowd(100, b"GET /held HTTP/1.1\r\n\r\n")
    assert site.held.acquire(timeout=PATIENCE)
    for path in PROBES * 3:
        assert ask(port, path)[0].status == 200
    with client(port, b"GET /other HTTP/1.1\r\n\r\n") as other:
        assert ask(port, "/live")[0].status == 200
        assert held[0].recv(1) == b""  # its place was taken by one of those who came later
        assert is_open(other)
        site.may_answer.set()
        other.settimeout(PATIENCE)
        assert b"200 OK" in other.recv(65_536)
        assert b"200 OK" in held[-1].recv(65_536)


def test_liveness_waits_for_no_readiness(site: Site) -> None:
    """One probe may have to wait for Kafka; the other does not."""
    port = free_port()
    server = Server(port, ("/live", "/held"))
    server.start(site.answer)
    with client(port, b"GET /held HTTP/1.1\r\n\r\n") as held:
        assert site.held.acquire(timeout=PATIENCE)
        assert ask(port, "/live")[0].status == 200
        assert ask(port, "/page")[0].status == 200
        site.may_answer.set()
        assert b"200 OK" in held.recv(65_536)
    server.close()


def test_many_expensive_answers_leave_time_for_others() -> None:
    """Any number of pages takes at most half of a processor."""

    def compute() -> Answer:
        end = time.thread_time() + 0.01
        while time.thread_time() < end:
            pass
        return text("computed")

    desk = Desk("http test", 2)
    futures = [desk.submit(compute) for _ in range(200)]
    worked, started = time.process_time(), time.monotonic()
    time.sleep(0.5)
    share = (time.process_time() - worked) / (time.monotonic() - started)
    for future in futures:
        future.cancel()
    desk.close(time.monotonic() + PATIENCE)
    assert sum(future.done() and not future.cancelled() for future in futures) > 2
    assert share < 0.7


def test_no_thread_is_needed_later(
    port: int, crowd: Crowd, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When no thread can start any more, the server answers as before."""

    def fail(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fail)
    crowd(10, b"GET /held HTTP/1.1\r\n\r\n")
    for path in (*PROBES, *PROBES):
        assert ask(port, path)[0].status == 200
    site.may_answer.set()
    assert ask(port, "/page")[0].status == 200


@contextlib.contextmanager
def no_descriptor() -> Iterator[list[int]]:
    """Leave this process no file descriptor; yield those that a test can close to get some."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken: list[int] = []
    highest = max(int(it.name) for it in Path("/proc/self/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 2, hard))
    try:
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.dup(0))
        yield taken
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("says", [b"", b"GET /"])
def test_without_a_descriptor_the_newest_gets_that_of_the_oldest(
    port: int, crowd: Crowd, says: bytes
) -> None:
    """Of silent clients and half requests, the server closes only one."""
    slow = crowd(20, says)
    probe_without_a_descriptor(port)
    assert not is_open(slow[0])
    assert all(is_open(each) for each in slow[1:])


def test_without_a_descriptor_somebody_who_reads_nothing_has_one(port: int, crowd: Crowd) -> None:
    """One client loses the rest of its answer; the others get all of theirs."""
    slow = crowd(10, b"GET /large HTTP/1.1\r\n\r\n")
    assert all(each.recv(1) for each in slow)
    probe_without_a_descriptor(port)
    assert sum(is_whole(each) for each in slow) == 9


def probe_without_a_descriptor(port: int) -> None:
    """Ask whether the process lives when it has no file descriptor left."""
    # Read to the end, so that the server has closed this one, and accepted all that came before.
    assert b"200 OK" in say(port, b"GET /live HTTP/1.1\r\n\r\n")
    with socket.socket() as probe, no_descriptor():
        probe.settimeout(PATIENCE)
        probe.connect(("127.0.0.1", port))
        probe.sendall(b"GET /live HTTP/1.1\r\n\r\n")
        assert b"200 OK" in probe.recv(65_536)


def test_without_any_descriptor_nothing_spins(port: int) -> None:
    """New clients wait without using the processor, and get answers once there is room."""
    # Read to the end, so that the server has no connection left whose descriptor could be had.
    assert b"200 OK" in say(port, b"GET /live HTTP/1.1\r\n\r\n")
    with socket.socket() as waiting, no_descriptor() as taken:
        waiting.settimeout(PATIENCE)
        waiting.connect(("127.0.0.1", port))
        waiting.sendall(b"GET /live HTTP/1.1\r\n\r\n")
        worked, started = time.process_time(), time.monotonic()
        time.sleep(1)
        share = (time.process_time() - worked) / (time.monotonic() - started)
        assert is_open(waiting)
        os.close(taken.pop())
        waiting.settimeout(PATIENCE)
        assert b"200 OK" in waiting.recv(65_536)
    assert share < 0.3
    assert ask(port, "/live")[0].status == 200


def test_the_end_waits_for_nobody_for_long(site: Site) -> None:
    """Silent clients, an answer without a reader, one that is never made: all end in time."""
    port = free_port()
    server = Server(port, PROBES)
    server.start(site.answer)
    with (
        client(port, b"") as silent,
        client(port, b"GET /large HTTP/1.1\r\n\r\n") as unread,
        client(port, b"GET /held HTTP/1.1\r\n\r\n") as held,
    ):
        assert site.held.acquire(timeout=PATIENCE)
        assert b"200" in unread.recv(100)
        started = time.monotonic()
        server.close()
        seconds = time.monotonic() - started
        assert (silent.recv(1), held.recv(1)) == (b"", b"")
        assert not is_whole(unread)
    site.may_answer.set()
    assert REQUESTS_SECONDS <= seconds < REQUESTS_SECONDS + 10
