"""The HTTP port: what it takes, what it refuses, and that nothing of it is left."""

import contextlib
import http.client
import socket
import threading
import time
from collections.abc import Iterator
from http import HTTPStatus

import pytest

from cki_notifier.notification.errors import ConfigurationError
from cki_notifier.web.answer import Answer, Request, text
from cki_notifier.web.server import Server
from tools.processes import free_port

#: Only a failing test takes so long, in seconds.
PATIENCE = 30.0


class Echo:
    """Answers with what it understood of a request."""

    def __init__(self) -> None:
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.waiting = threading.Semaphore(0)

    def answer(self, request: Request) -> Answer:
        """Answer; at /bug by a bug, at /slow only when it may."""
        if request.path == "/bug":
            raise LookupError("nobody expected this")
        if request.path == "/slow":
            self.waiting.release()
            self.may_answer.wait(PATIENCE)
        return text(f"{request.path} {dict(request.query)} {request.accept}")


@pytest.fixture(name="echo")
def _echo() -> Echo:
    return Echo()


@pytest.fixture(name="port")
def _port(echo: Echo) -> Iterator[int]:
    """Return the port of a server that answers."""
    port = free_port()
    server = Server(port)
    server.start(echo.answer)
    yield port
    echo.may_answer.set()
    server.close()


def ask(port: int, path: str = "/", method: str = "GET") -> tuple[http.client.HTTPResponse, str]:
    """Send a request; return the response and its body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request(method, path, headers={"Accept": "any"})
        response = connection.getresponse()
        return response, response.read().decode()
    finally:
        connection.close()


def say(port: int, data: bytes) -> bytes:
    """Send raw bytes; return all that comes back."""
    heard = b""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection,
        contextlib.suppress(ConnectionError),  # when it is hung up on in the middle
    ):
        connection.sendall(data)
        while more := connection.recv(65_536):
            heard += more
    return heard


def test_a_request_is_taken_apart(port: int) -> None:
    """The path, the parameters and what is accepted reach whoever answers."""
    response, body = ask(port, "/page?q=a%20b&outcome=sent&outcome=ignored&empty=")
    assert response.status == HTTPStatus.OK
    assert body == "/page {'q': ['a b'], 'outcome': ['sent', 'ignored']} any\n"


def test_head_is_get_without_the_body(port: int) -> None:
    """The headers are the same, the length among them."""
    (got, body), (head, nothing) = ask(port), ask(port, method="HEAD")
    assert nothing == ""
    assert head.status == HTTPStatus.OK
    assert head.headers["Content-Length"] == got.headers["Content-Length"] == str(len(body))


@pytest.mark.parametrize("path", ["/", "/bad?" + "a=1&" * 50, "//[", "/favicon.ico"])
def test_every_answer_has_the_headers_that_protect_its_reader(port: int, path: str) -> None:
    """Nothing is loaded from elsewhere, embedded, guessed, kept or told to others."""
    for method in ("GET", "HEAD", "POST"):
        headers = ask(port, path, method)[0].headers
        policy = headers["Content-Security-Policy"].split("; ")
        assert "default-src 'none'" in policy
        assert {"base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"} < set(policy)
        assert not [it for it in policy if "unsafe" in it or "http" in it]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cache-Control"] == "no-store"
        assert "Python" not in headers["Server"]


@pytest.mark.parametrize(
    "method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"]
)
def test_only_reading_is_allowed(port: int, method: str) -> None:
    """Any other method is refused, and told which are not."""
    response, _ = ask(port, "/", method)
    assert response.status == HTTPStatus.METHOD_NOT_ALLOWED
    assert response.headers["Allow"] == "GET, HEAD"


def test_a_method_that_nobody_knows_is_refused(port: int) -> None:
    """The answer is plain text, without what was sent being markup in it."""
    response, body = ask(port, "/<b>", "<BREW>")
    assert response.status == HTTPStatus.NOT_IMPLEMENTED
    assert response.headers.get_content_type() == "text/plain"
    assert "<b>" not in body


@pytest.mark.parametrize("path", [b"/?" + b"a=1&" * 50, b"http://["])
def test_what_makes_no_sense_is_a_bad_request(port: int, path: bytes) -> None:
    """Too many parameters, or an address that is none."""
    assert b" 400 " in say(port, b"GET " + path + b" HTTP/1.1\r\n\r\n").partition(b"\n")[0]


def test_a_request_that_is_too_long_is_hung_up_on(port: int) -> None:
    """However much is sent, only so much is read, and the next one is served."""
    for endless in (b"GET /" + b"a" * 100_000, b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 20_000):
        assert b"200" not in say(port, endless)
    assert ask(port)[0].status == HTTPStatus.OK


@pytest.mark.parametrize("data", [b"\r\n", b"\x00\xff" * 100 + b"\r\n\r\n", b"GET\r\n\r\n"])
def test_garbage_disturbs_nobody(port: int, data: bytes) -> None:
    """Whatever comes, the next request is served."""
    assert b"200" not in say(port, data)
    assert ask(port)[0].status == HTTPStatus.OK


def test_whoever_waits_for_an_answer_holds_up_nobody(port: int, echo: Echo) -> None:
    """Requests are answered side by side."""
    echo.may_answer.clear()
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as slow:
        slow.sendall(b"GET /slow HTTP/1.1\r\n\r\n")
        assert echo.waiting.acquire(timeout=PATIENCE)
        assert ask(port)[0].status == HTTPStatus.OK
        echo.may_answer.set()
        assert b"200 OK" in slow.recv(65_536)


def test_whoever_says_nothing_is_hung_up_on(port: int) -> None:
    """A connection without a request, or with half of one, ends after a while."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as silent,
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as slow,
    ):
        slow.sendall(b"GET / HTTP/1.1\r\nHost: ")
        assert (silent.recv(1), slow.recv(1)) == (b"", b"")


def test_a_bug_in_one_answer_ends_nothing_else(port: int, caplog: pytest.LogCaptureFixture) -> None:
    """Its traceback is in the log, and the next request is served."""
    with pytest.raises(http.client.RemoteDisconnected):
        ask(port, "/bug")
    assert ask(port)[0].status == HTTPStatus.OK
    assert "nobody expected this" in caplog.text


def test_too_many_at_once_are_hung_up_on(port: int, echo: Echo) -> None:
    """No more than 64 are served at a time; when they are done there is room again."""
    echo.may_answer.clear()
    opened = [socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) for _ in range(64)]
    try:
        for connection in opened:
            connection.sendall(b"GET /slow HTTP/1.1\r\n\r\n")
        for _ in opened:
            assert echo.waiting.acquire(timeout=PATIENCE)
        assert say(port, b"GET / HTTP/1.1\r\n\r\n") == b""
        echo.may_answer.set()
        for connection in opened:
            assert b"200 OK" in connection.recv(65_536)
    finally:
        for connection in opened:
            connection.close()
    end = time.monotonic() + PATIENCE
    while b"200 OK" not in say(port, b"GET / HTTP/1.1\r\n\r\n"):
        assert time.monotonic() < end


def test_a_port_in_use_is_a_fault_of_the_configuration(port: int) -> None:
    """The fault names the variable and the port."""
    with pytest.raises(ConfigurationError) as caught:
        Server(port)
    assert caught.value.faults == [
        f"CKI_METRICS_PORT: port {port} can't be used: Address already in use"
    ]


def test_nothing_is_left_of_a_server_that_is_closed(echo: Echo) -> None:
    """No thread, though somebody still holds a connection, and the port is free at once."""
    port, before = free_port(), set(threading.enumerate())
    server = Server(port)
    server.start(echo.answer)
    echo.may_answer.clear()
    with (
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as silent,
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as asking,
    ):
        asking.sendall(b"GET /slow HTTP/1.1\r\n\r\n")
        assert echo.waiting.acquire(timeout=PATIENCE)
        echo.may_answer.set()
        server.close()
        assert silent.recv(1) == b""
        while asking.recv(65_536):
            pass
    left = [it for it in set(threading.enumerate()) - before if it.name.startswith("http")]
    assert left == []
    Server(port).close()


def test_a_server_that_never_answered_is_closed_as_well() -> None:
    """A process that ends before it is complete gives the port back, too."""
    port = free_port()
    Server(port).close()
    Server(port).close()
