"""The benchmark: that it runs, and that its stand-in does what a service does."""

import dataclasses
import http.client
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tools.benchmarks.arguments import read
from tools.benchmarks.figures import Row
from tools.benchmarks.ids import Shape, checkout_id, number_of
from tools.benchmarks.programs import Program
from tools.benchmarks.rig import Rig, Scene
from tools.benchmarks.session import Case, Part, run
from tools.benchmarks.warehouse import GITLAB_TOKEN, WAREHOUSE_TOKEN
from tools.brokers.kafka import Kafka
from tools.brokers.rabbitmq import RabbitMQ


class Silent:
    """Watches without a word."""

    def begun(self, part: Part, case: Case, program: Program) -> None:
        """Ignore it."""

    def written(self, messages: int) -> None:
        """Ignore it."""

    def measured(self, row: Row) -> None:
        """Ignore it."""


@pytest.fixture
def rig(rabbitmq: RabbitMQ, kafka: Kafka, tmp_path: Path) -> Rig:
    """The brokers of all tests."""
    return Rig(rabbitmq, kafka, tmp_path)


@pytest.fixture
def scene(rig: Rig) -> Iterator[Scene]:
    """A stand-in that answers at once."""
    with rig.scene(latency=0.0) as prepared:
        yield prepared


def test_a_quick_run_measures_everything_and_loses_nothing(rig: Rig) -> None:
    """Each case has a row with all its values, whatever they are on this machine."""
    quick = ["--quick", "--latency-ms", "5"]
    parts = [
        *read([*quick, "--backlog", "--processes", "2"]).parts,
        *read([*quick, "--rate", "--idle", "--merge-requests", "no"]).parts,
    ]

    rows = run(rig, parts, Silent())

    assert [row.verdict for row in rows if not row.is_good] == []
    assert [(row.part, row.case) for row in rows] == [
        (part.name, case.label) for part in parts for case in part.cases
    ]
    measured = {row.part: set(row.values) for row in rows}
    assert {"throughput", "cpu_ms", "peak_mib", "warehouse"} <= measured["backlog"]
    assert {"largest_mib", "start_seconds", "lost", "repeated"} <= measured["backlog"]
    assert {"p50_ms", "p99_ms", "cpu_ms", "peak_mib", "warehouse"} <= measured["rate"]
    assert {"start_seconds", "idle_percent"} <= measured["idle"]
    assert [row.values["requests"] for row in rows if row.part == "backlog"] == [1.2, 2.0]
    assert all(row.values["peak_mib"] > 0 for row in rows)
    assert [0 <= row.values["evenness"] <= 1 for row in rows if row.part == "backlog"] == [True] * 2


def test_a_program_that_ends_by_itself_is_told_of_with_its_log(rig: Rig) -> None:
    """The session goes on with the next run."""
    (part,) = read(["--quick", "--backlog", "--merge-requests", "no"]).parts
    program = Program("broken", ("/bin/sh", "-c", "sleep 1; echo no way >&2"), lambda _: {})

    (row,) = run(rig, [dataclasses.replace(part, programs=[program])], Silent())

    assert not row.is_good
    assert "no way" in row.verdict
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


def test_the_stand_in_wants_tokens_and_keeps_connections(scene: Scene) -> None:
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
    assert scene.asked() == {
        "answered": 2,
        "refused": 4,
        "by_kind": {"checkout": 1, "merge_request": 1},
    }


def test_the_stand_in_reads_requests_that_come_in_pieces(scene: Scene) -> None:
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
