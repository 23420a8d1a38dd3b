"""The HTTP port: what it takes, what it refuses, and that nothing of it is left."""

import contextlib
import errno
import http.client
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cki_notifier.notification.errors import ConfigurationError
from cki_notifier.web.request import Answer, Handler, Request, text
from cki_notifier.web.server import Server
from cki_notifier.web.website import PROBES
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
    server = Server(port, PROBES)
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
    """Path, parameters and the Accept header reach the function that answers."""
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
    """Browsers load nothing from other sites, and don't embed, guess, cache or leak."""
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
    """Any other method is refused, with a list of the allowed ones."""
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
    """The server reads a bounded part of an endless request, and serves the next one."""
    for endless in (b"GET /" + b"a" * 100_000, b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 20_000):
        assert b"200" not in say(port, endless)
    assert ask(port)[0].status == HTTPStatus.OK


@pytest.mark.parametrize("data", [b"\r\n", b"\x00\xff" * 100 + b"\r\n\r\n", b"GET\r\n\r\n"])
def test_garbage_disturbs_nobody(port: int, data: bytes) -> None:
    """After any bytes, the server answers the next request."""
    assert b"200" not in say(port, data)
    assert ask(port)[0].status == HTTPStatus.OK


@given(st.binary(max_size=300), st.sampled_from([b"", b"GET ", b"GET / HTTP/1.1\r\n", b"HEAD /?"]))
def test_any_bytes_are_understood_or_refused(data: bytes, start: bytes) -> None:
    """No bytes raise a bug, and a refused request gets only one answer."""
    handler = Handler(start + data + b"\r\n\r\n", "127.0.0.1")
    assert handler.asked is None or handler.written == b""


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
    """At most 64 wait for an answer; the newest replaces the oldest."""
    echo.may_answer.clear()
    with contextlib.ExitStack() as opened:
        asking = []
        for _ in range(65):
            address = ("127.0.0.1", port)
            connection = socket.create_connection(address, timeout=PATIENCE)
            asking.append(opened.enter_context(connection))
            connection.sendall(b"GET /slow HTTP/1.1\r\n\r\n")
            if len(asking) == 1:
                assert echo.waiting.acquire(timeout=PATIENCE)
        assert asking[0].recv(1) == b""
        echo.may_answer.set()
        for connection in asking[1:]:
            assert b"200 OK" in connection.recv(65_536)
    assert ask(port)[0].status == HTTPStatus.OK


@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_a_request_may_come_in_pieces(port: int, end: bytes, size: int) -> None:
    """Wherever the network cuts it, it is the same request; lines may end without a return."""
    said = end.join([b"GET /page?a=b HTTP/1.1", b"Host: a", b"Accept: any", b"", b""])
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(said), size):
            connection.sendall(said[start : start + size])
            time.sleep(0.001)
        assert connection.recv(65_536).endswith(b"/page {'a': ['b']} any\n")


def has_ipv6() -> bool:
    """Tell whether this machine can speak to itself over IPv6."""
    try:
        with socket.socket(socket.AF_INET6) as trial:
            trial.bind(("::1", 0))
    except OSError:
        return False
    return True


#: The addresses of this machine alone, and those of all its interfaces, in the families it has.
OWN = ["127.0.0.1", *(["::1"] if has_ipv6() else [])]
ALL = ["0.0.0.0", *(["::"] if has_ipv6() else [])]  # noqa: S104  # all of them


@pytest.mark.parametrize("host", OWN)
def test_both_families_are_listened_to(port: int, host: str) -> None:
    """A cluster may have IPv4, IPv6 or both."""
    with socket.create_connection((host, port), timeout=PATIENCE) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert b"200 OK" in connection.recv(65_536)


def without_a_family(create: Any, socket_family: int) -> Callable[..., socket.socket]:
    """Return what makes sockets on a kernel that was built, or started, without a family."""

    def made(*arguments: Any, family: int = socket.AF_INET, **more: Any) -> socket.socket:
        if family == socket_family:
            raise OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
        return cast("socket.socket", create(*arguments, family=family, **more))

    return made


@pytest.mark.parametrize("has_sockets", [True, False])
def test_without_ipv6_there_is_ipv4(
    echo: Echo, monkeypatch: pytest.MonkeyPatch, *, has_sockets: bool
) -> None:
    """IPv6 is off: the machine has no such sockets, or can't bind them."""
    if has_sockets:
        without = without_a_family(socket.create_server, socket.AF_INET6)
        monkeypatch.setattr(socket, "create_server", without)
    else:
        monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: False)
    port = free_port()
    server = Server(port, PROBES)
    server.start(echo.answer)
    assert ask(port)[0].status == HTTPStatus.OK
    server.close()


def test_without_ipv4_there_is_ipv6(echo: Echo, monkeypatch: pytest.MonkeyPatch) -> None:
    """No socket of IPv4 is needed."""
    without = without_a_family(socket.create_server, socket.AF_INET)
    monkeypatch.setattr(socket, "create_server", without)
    port = free_port()
    if not has_ipv6():
        with pytest.raises(ConfigurationError):  # there is no family left
            Server(port, PROBES)
        return
    server = Server(port, PROBES)
    server.start(echo.answer)
    with socket.create_connection(("::1", port), timeout=PATIENCE) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert b"200 OK" in connection.recv(65_536)
    server.close()


@pytest.mark.parametrize("host", [*ALL, *OWN])
def test_a_port_that_is_taken_in_one_family_is_taken(host: str) -> None:
    """The other process would get requests that are meant for us."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    port = free_port()
    with socket.create_server((host, port), family=family), pytest.raises(ConfigurationError):
        Server(port, PROBES)


def test_a_port_in_use_is_a_fault_of_the_configuration(port: int) -> None:
    """The fault names the variable and the port."""
    with pytest.raises(ConfigurationError) as caught:
        Server(port, PROBES)
    assert caught.value.faults == [
        f"CKI_METRICS_PORT: port {port} can't be used: Address already in use"
    ]


def test_nothing_is_left_of_a_server_that_is_closed(echo: Echo) -> None:
    """No thread stays, although a client holds a connection, and the port is free at once."""
    port, before = free_port(), set(threading.enumerate())
    server = Server(port, PROBES)
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
    Server(port, PROBES).close()


def test_a_server_that_never_answered_is_closed_as_well() -> None:
    """A process that ends before it is complete gives the port back, too."""
    port = free_port()
    Server(port, PROBES).close()
    Server(port, PROBES).close()
