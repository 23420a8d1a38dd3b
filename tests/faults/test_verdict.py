"""The verdict's conditions, and the search for the process of a connection."""

import os
import socket
import subprocess
import sys

import pytest

from cki_notifier.notification.models import EVENT_TYPES, Stage
from tests.faults import meter
from tests.faults.readiness import Readiness
from tests.faults.scene import Fault, nothing
from tests.faults.verdict import Order, Verdict, order_of
from tools.brokers.kafka import Record

PRE, POST = EVENT_TYPES[Stage.PRE_TEST], EVENT_TYPES[Stage.POST_TEST]


@pytest.mark.parametrize(
    ("doubles", "duplicates", "good"), [(0, 0, True), (0, 1, False), (2, 2, True), (2, 3, False)]
)
def test_no_more_duplicates_than_a_fault_admits(doubles: int, duplicates: int, good: bool) -> None:  # noqa: FBT001  # a case
    """A duplicate fails a run, unless the fault allows this many."""
    fault = Fault("edge", "name", nothing, doubles=doubles)
    assert Verdict(fault, duplicates=duplicates).is_good is good


def test_the_process_that_holds_a_connection_is_found() -> None:
    """A connection belongs to the process that opened it, not to its peer."""
    connect = "import socket, sys; it = socket.create_connection(('127.0.0.1', int(sys.argv[1])))"
    with socket.create_server(("127.0.0.1", 0)) as server:
        command = [sys.executable, "-c", f"{connect}; it.recv(1)", str(server.getsockname()[1])]
        with subprocess.Popen(command) as client:
            connection, (_, port) = server.accept()
            with connection:
                assert meter.holds(client.pid, port)
                assert not meter.holds(os.getpid(), port)
        assert not meter.holds(client.pid, port)


def test_the_seconds_in_which_nobody_was_ready_are_counted() -> None:
    """A result holds until the next one. One ready process is enough."""
    readiness = Readiness([1, 2])
    readiness.seen[0] += [(0.0, True), (10.0, False), (20.0, True)]
    readiness.seen[1] += [(0.0, False), (12.0, True), (15.0, False)]
    assert readiness.seconds_without(0.0, 30.0) == (12 - 10) + (20 - 15)
    assert readiness.seconds_without(16.0, 18.0) == 2
    assert readiness.seconds_without(21.0, 30.0) == 0
    assert Readiness([1]).seconds_without(0.0, 5.0) == 5


@pytest.mark.parametrize(
    ("stages", "order"),
    [
        ([PRE, POST], Order(pairs=1)),
        ([POST, PRE], Order(pairs=1, changed=1)),
        ([PRE, POST, PRE], Order(pairs=1)),
        ([PRE], Order()),
        ([], Order()),
    ],
)
def test_stages_in_the_wrong_order_are_counted(stages: list[str], order: Order) -> None:
    """The first message of each stage counts. Checkouts without both don't count."""
    records: dict[tuple[str, str], list[Record]] = {}
    for offset, stage in enumerate(stages):
        record = Record("redhat:1", b"", {"ce_type": stage}, 0, offset, 0)
        records.setdefault(("redhat:1", stage), []).append(record)
    assert order_of({"redhat:1"}, records) == order
    assert order_of(set(), records) == Order()
