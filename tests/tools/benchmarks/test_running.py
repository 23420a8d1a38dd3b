"""The benchmark: that it runs, and that its stand-in does what a service does."""

import dataclasses
import http.client
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from rich.console import Console

from tools.benchmarks.checkouts import Shape, checkout_id, number_of
from tools.benchmarks.figures import Setup
from tools.benchmarks.options import read
from tools.benchmarks.plan import parts
from tools.benchmarks.programs import NOTIFIER, Program
from tools.benchmarks.session import run
from tools.benchmarks.trial import Rig, Trial
from tools.benchmarks.warehouse import GITLAB_TOKEN, WAREHOUSE_TOKEN
from tools.brokers.kafka import Kafka
from tools.brokers.rabbitmq import RabbitMQ


@pytest.fixture
def rig(rabbitmq: RabbitMQ, kafka: Kafka, tmp_path: Path) -> Rig:
    """The brokers of all tests."""
    return Rig(rabbitmq, kafka, tmp_path)


@pytest.fixture
def scene(rig: Rig) -> Iterator[Trial]:
    """A stand-in that answers at once, and no program yet."""
    with ExitStack() as stack:
        yield Trial(rig, NOTIFIER, Setup(latency=0.0), stack)


def test_a_quick_run_measures_everything_and_loses_nothing(rig: Rig) -> None:
    """Each case has a row with all its values."""
    quick = ["--quick", "--latency-ms", "5"]
    planned = [
        *parts(read([*quick, "--backlog", "--processes", "2"])),
        *parts(read([*quick, "--rate", "--idle", "--stand-in", "--merge-requests", "no"])),
    ]

    rows = run(rig, planned, Console(quiet=True))

    assert [row.fault for row in rows if row.fault] == []
    assert [(row.part, row.case) for row in rows] == [
        (part.name, case.label) for part in planned for case in part.cases
    ]
    measured = {row.part: set(row.values) for row in rows}
    assert {"throughput", "cpu_ms", "peak_mib", "warehouse"} <= measured["backlog"]
    assert {"largest_mib", "start_seconds", "lost", "repeated"} <= measured["backlog"]
    assert {"p50_ms", "p99_ms", "cpu_ms", "peak_mib", "warehouse"} <= measured["rate"]
    assert {"start_seconds", "idle_percent"} <= measured["idle"]
    assert {"requests_a_second", "request_us", "mean_ms", "longest_ms"} == measured["stand-in"]
    assert [row.values["requests"] for row in rows if row.part == "backlog"] == [1.2, 2.0]
    assert all(row.values["peak_mib"] > 0 for row in rows if row.part != "stand-in")
    assert [0 <= row.values["evenness"] <= 1 for row in rows if row.part == "backlog"] == [True] * 2


def test_a_program_that_ends_by_itself_is_told_of_with_its_log(rig: Rig) -> None:
    """The session goes on with the next run."""
    (part,) = parts(read(["--quick", "--backlog", "--merge-requests", "no"]))
    program = Program("broken", ("/bin/sh", "-c", "sleep 1; echo no way >&2"))

    (row,) = run(rig, [dataclasses.replace(part, programs=[program])], Console(quiet=True))

    assert "no way" in row.fault
    assert row.values == {}


def connect(url: str) -> http.client.HTTPConnection:
    """Return a connection to the host and port of a URL."""
    connection = http.client.HTTPConnection(url.partition("//")[2])
    connection.connect()
    return connection


def ask(connection: http.client.HTTPConnection, path: str, **headers: str) -> tuple[int, bytes]:
    """Send a request; return the answer's status and body."""
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_the_stand_in_wants_tokens_and_keeps_connections(scene: Trial) -> None:
    """It refuses as the services do, and counts what it refused."""
    number = number_of(Shape.WITH_MERGE_REQUEST, 1)
    path = f"/api/1/kcidb/checkouts/{checkout_id(number)}"
    token = f"Token {WAREHOUSE_TOKEN}"
    merge_request = f"/api/v4/projects/group%2Fproject/merge_requests/{number}"

    with closing(connect(scene.warehouse)) as warehouse, closing(connect(scene.gitlab)) as gitlab:
        port = warehouse.sock.getsockname()[1]
        assert ask(warehouse, path)[0] == 401
        assert ask(warehouse, path, Authorization="Token another")[0] == 401
        assert ask(warehouse, "/api/1/kcidb/checkouts/redhat:1", Authorization=token)[0] == 404
        code, body = ask(warehouse, path.replace(":", "%3A"), Authorization=token)
        assert (code, number.encode() in body) == (200, True)
        assert warehouse.sock.getsockname()[1] == port
        assert ask(gitlab, merge_request)[0] == 401
        code, body = ask(gitlab, merge_request, **{"PRIVATE-TOKEN": GITLAB_TOKEN})
        assert (code, number.encode() in body) == (200, True)
    assert scene.asked() == {"answered": 2, "refused": 4}


def test_the_stand_in_reads_requests_that_come_in_pieces(scene: Trial) -> None:
    """As a network may cut them."""
    path = f"/api/1/kcidb/checkouts/{checkout_id(number_of(Shape.PLAIN, 1))}/all"
    request = f"GET {path} HTTP/1.1\r\nAuthorization: Token {WAREHOUSE_TOKEN}\r\n\r\n".encode()

    with closing(connect(scene.warehouse)) as connection:
        for start in range(0, len(request), 40):
            connection.sock.sendall(request[start : start + 40])
        with closing(http.client.HTTPResponse(connection.sock)) as answer:
            answer.begin()
            assert answer.status == 200
            assert len(answer.read()) > 100_000
