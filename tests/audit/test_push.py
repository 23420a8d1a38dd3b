"""The push to a Pushgateway. A failure does not change the audit's exit code."""

import argparse
import base64
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

import pytest
from prometheus_client.parser import text_string_to_metric_families

from cki_notifier.audit.arguments import gateway
from cki_notifier.audit.push import push
from tools.processes import free_port

SUMS = {
    "announced": 250,
    "ignored": 40,
    "missing": 30,
    "ignored_now": 10,
    "undecided": 2,
    "waiting": 5,
}
OK, REDIRECT, REFUSED = 200, 302, 401
#: Longer than any time limit of the tests.
NEVER = 60.0


class Pushed(NamedTuple):
    """A request that the gateway got."""

    method: str
    path: str
    login: str | None
    samples: dict[str, float]


class Gateway(ThreadingHTTPServer):
    """Stands in for a Pushgateway.

    Attributes:
        pushed: the requests, in their order.
        code: of each answer.
        trickles: whether it only ever begins to answer.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.pushed: list[Pushed] = []
        self.code = OK
        self.trickles = False
        self.closing = threading.Event()

    @property
    def place(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    """Takes metrics as a Pushgateway does, which wants each line ended."""

    server: Gateway

    def do_POST(self) -> None:
        """Take metrics that replace those of the same name."""
        self.take()

    def do_PUT(self) -> None:
        """Take metrics that replace all that is there."""
        self.take()

    def do_GET(self) -> None:
        """Show the page that a redirect leads to, as if all were well."""
        self.take()

    def take(self) -> None:
        """Read the metrics, and answer."""
        text = self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()
        assert not text or text.endswith("\n")
        families = text_string_to_metric_families(text)
        samples = {sample.name: sample.value for it in families for sample in it.samples}
        login = self.headers["Authorization"]
        self.server.pushed.append(Pushed(self.command, self.path, login, samples))
        if self.server.trickles:
            while not self.server.closing.wait(0.05):
                self.wfile.write(b"H")
            return
        self.send_response(self.server.code)
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(name="server")
def _server() -> Iterator[Gateway]:
    with Gateway() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.closing.set()
        server.shutdown()
        thread.join()


def test_the_sums_are_pushed_for_the_environment(
    server: Gateway, capsys: pytest.CaptureFixture[str]
) -> None:
    """They replace metrics of the same environment and names, without output."""
    push(f"http://{server.place}/", SUMS, 1_790_000_000.5, environment="production")
    (pushed,) = server.pushed
    assert pushed.method == "POST"
    assert pushed.path == "/metrics/job/cki-notifier-audit/environment/production"
    assert pushed.login is None
    assert pushed.samples == {
        "cki_notifier_audit_missing": 30,
        "cki_notifier_audit_undecided": 2,
        "cki_notifier_audit_compared": 337,
        "cki_notifier_audit_last_success_timestamp_seconds": 1_790_000_000.5,
    }
    assert capsys.readouterr() == ("", "")


def test_an_audit_that_could_not_decide_leaves_the_last_success_where_it_is(
    server: Gateway,
) -> None:
    """A POST leaves it out: a PUT would remove it, and no alert could see its age.

    The messages that an earlier audit missed stay missing, too.
    """
    push(f"http://{server.place}", {"undecided": 3, "missing": 0}, None)
    push(f"http://{server.place}", {"undecided": 3, "missing": 1}, None)
    none, some = server.pushed
    assert none.method == "POST"
    assert none.path.endswith("/environment/none")
    known = {"cki_notifier_audit_undecided": 3, "cki_notifier_audit_compared": 3}
    assert none.samples == known
    assert some.samples == known | {
        "cki_notifier_audit_missing": 1,
        "cki_notifier_audit_compared": 4,
    }


def test_an_audit_that_misses_nothing_ends_the_alert(server: Gateway) -> None:
    """The 0 is pushed, and takes the place of what was missing before."""
    push(f"http://{server.place}", {"announced": 3}, 1.0)
    assert server.pushed[0].samples["cki_notifier_audit_missing"] == 0


def test_a_gateway_behind_a_path_and_a_login_is_reached(
    server: Gateway, capsys: pytest.CaptureFixture[str]
) -> None:
    """The password goes into a header, decoded, and nowhere else."""
    push(f"http://me:s%40cret@{server.place}/push", SUMS, 1.0, environment="a/b")
    (pushed,) = server.pushed
    assert pushed.path == "/push/metrics/job/cki-notifier-audit/environment@base64/YS9i"
    assert pushed.login == f"Basic {base64.b64encode(b'me:s@cret').decode()}"
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("code", [REFUSED, REDIRECT, 400, 500])
def test_a_gateway_that_refuses_is_one_line(
    server: Gateway, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without the login. A redirect is not followed: at its end nothing would be pushed."""
    server.code = code
    push(f"http://me:secret@{server.place}", SUMS, 1.0)
    assert len(server.pushed) == 1
    assert capsys.readouterr().err == (
        f"cki-notifier: the audit's sums can't be pushed to http://{server.place}: "
        f"it answers {code}\n"
    )


def test_a_gateway_that_is_not_there_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Without the login."""
    push(f"http://me:secret@127.0.0.1:{free_port()}", SUMS, 1.0)
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "Connection refused" in said
    assert "secret" not in said


def test_a_gateway_that_never_ends_its_answer_is_given_up(
    server: Gateway, capsys: pytest.CaptureFixture[str]
) -> None:
    """The limit is for all of it: one that sends a byte now and then can't outlast it."""
    server.trickles = True
    start = time.monotonic()
    push(f"http://{server.place}", SUMS, 1.0, seconds=0.5)
    assert time.monotonic() - start < NEVER
    assert "no answer within 0.5 s" in capsys.readouterr().err


def test_a_server_that_speaks_something_else_is_one_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Like one that closes the connection, or a port of another protocol."""
    with ThreadingHTTPServer(("127.0.0.1", 0), lambda *_: None) as server:  # type: ignore[arg-type]  # it reads nothing
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        push(f"http://127.0.0.1:{server.server_address[1]}", SUMS, 1.0)
        server.shutdown()
        thread.join()
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    "text",
    ["http://pushgateway:9091", "https://me:secret@gateway.example.com/push/", "http://[::1]:9091"],
)
def test_an_address_is_taken_as_it_is(text: str) -> None:
    """With a path, a login, or an address of IPv6."""
    assert gateway(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "pushgateway:9091",
        "ftp://pushgateway",
        "http://",
        "http://pushgateway:port",
        "http://pushgateway/?job=a",
        "http://push gateway",
        "http://[::1",
    ],
)
def test_what_is_no_address_is_wrong_usage(text: str) -> None:
    """The error comes before the audit and has the value."""
    with pytest.raises(argparse.ArgumentTypeError, match="not an address like") as caught:
        gateway(text)
    assert text in str(caught.value)


def test_a_password_in_what_is_no_address_is_not_shown() -> None:
    """The error hides the value, which may hold the password."""
    with pytest.raises(argparse.ArgumentTypeError) as caught:
        gateway("me:secret@pushgateway:9091")
    assert "secret" not in str(caught.value)
