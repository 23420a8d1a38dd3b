"""What the judge calls good, and whom it finds behind a connection."""

import os
import socket
import subprocess
import sys

import pytest

from tests.faults import meter
from tests.faults.scene import Fault, nothing
from tests.faults.verdict import Verdict


@pytest.mark.parametrize(
    ("doubles", "duplicates", "good"), [(0, 0, True), (0, 1, False), (2, 2, True), (2, 3, False)]
)
def test_no_more_duplicates_than_a_fault_admits(doubles: int, duplicates: int, good: bool) -> None:  # noqa: FBT001  # a case
    """A duplicate makes a run fail, but where the fault says how many there may be."""
    fault = Fault("edge", "name", nothing, doubles=doubles)
    assert Verdict(fault, duplicates=duplicates).is_good is good


def test_the_process_that_holds_a_connection_is_found() -> None:
    """A connection belongs to who opened it, and not to the one at its other end."""
    connect = "import socket, sys; it = socket.create_connection(('127.0.0.1', int(sys.argv[1])))"
    with socket.create_server(("127.0.0.1", 0)) as server:
        command = [sys.executable, "-c", f"{connect}; it.recv(1)", str(server.getsockname()[1])]
        with subprocess.Popen(command) as client:
            connection, (_, port) = server.accept()
            with connection:
                assert meter.holds(client.pid, port)
                assert not meter.holds(os.getpid(), port)
        assert not meter.holds(client.pid, port)
