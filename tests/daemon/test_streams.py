"""The daemon whose standard output and error are not read, closed, full or broken."""

import os
import signal
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

from tests.brokers.stage import Stage
from tests.factories.alone import (
    PATIENCE,
    Process,
    cpu_seconds,
    environment,
    is_up,
    started,
    unread_pipe,
    until,
)
from tools.processes import free_port
from tools.stand_ins import documents

#: The time to stop without work in flight and without a reader, in seconds: two for the last lines,
#: and some for a slow machine.
SOON = 15.0
#: How long it is looked at, in seconds, and how busy it may be meanwhile.
WATCHED, BUSY = 2.0, 1.0


def end(process: Process, number: int = signal.SIGTERM, seconds: float = SOON) -> int:
    """Send a signal and return the exit code."""
    process.send_signal(number)
    return process.wait(seconds)


def assert_at_rest(process: Process) -> None:
    """Check that the daemon lives, and does not spin."""
    until(lambda: is_up(process))
    before = cpu_seconds(process)
    time.sleep(WATCHED)
    assert process.poll() is None
    assert cpu_seconds(process) - before < BUSY


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_streams_that_nobody_reads_hold_nothing_up(number: signal.Signals) -> None:
    """The daemon goes on, and a signal ends it in time."""
    with unread_pipe() as pipe, started(stdout=pipe, stderr=pipe) as process:
        assert_at_rest(process)
        assert end(process, number) == 0


def test_what_was_not_read_is_read_later_and_the_rest_told_of() -> None:
    """Once there is room, the daemon's lines come again, in their order."""
    reading, writing = os.pipe()
    with started(stderr=writing) as process:
        os.close(writing)
        until(lambda: is_up(process))
        time.sleep(1)
        assert end(process) == 0
        with os.fdopen(reading) as file:
            lines = file.read().splitlines()
    assert lines[-1].endswith("stopping: taking no new work; work in flight has 25 s to finish")
    times = [line.partition(" ")[0] for line in lines]
    assert times == sorted(times)
    assert all(line.startswith("20") for line in lines)


@pytest.fixture(name="silent_broker")
def _silent_broker() -> "socket.socket":
    """Return a broker that takes connections and says nothing."""
    return socket.create_server(("127.0.0.1", 0))


def silent(broker: socket.socket, **changes: str) -> dict[str, str]:
    """Return the environment of a daemon that talks to it."""
    return environment(RABBITMQ_PORT=str(broker.getsockname()[1]), **changes)


def test_a_second_signal_ends_at_once_though_nobody_reads(silent_broker: socket.socket) -> None:
    """A second signal does not wait for a reader either."""
    environ = silent(silent_broker)
    with (
        silent_broker,
        unread_pipe() as pipe,
        started(stdout=pipe, stderr=pipe, environ=environ) as process,
    ):
        connection, _ = silent_broker.accept()
        process.terminate()
        until(lambda: not _is_pending(process))
        began = time.monotonic()
        assert end(process) == 128 + signal.SIGTERM
        assert time.monotonic() - began < SOON / 3
        connection.close()


def _is_pending(process: Process) -> bool:
    """Tell whether a signal waits to be taken."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    (mask,) = [line.split()[1] for line in status.splitlines() if line.startswith("ShdPnd")]
    return bool(int(mask, 16) & 1 << (signal.SIGTERM - 1))


def test_a_broker_that_is_silent_and_a_reader_who_is_away(silent_broker: socket.socket) -> None:
    """The daemon ends when its time is over, without a goodbye."""
    environ = silent(silent_broker, CKI_NOTIFIER_SHUTDOWN_SECONDS="1")
    with (
        silent_broker,
        unread_pipe() as pipe,
        started(stdout=pipe, stderr=pipe, environ=environ) as process,
    ):
        connection, _ = silent_broker.accept()
        assert end(process) == 0
        connection.close()


@pytest.mark.parametrize(
    "redirection",
    ["<&-", ">&-", "2>&-", "<&- >&- 2>&-", ">/dev/full 2>/dev/full", "2>&1 >/dev/full"],
)
def test_streams_that_take_nothing_harm_nothing(redirection: str) -> None:
    """None of the daemon's connections becomes its standard error, and it goes on."""
    with started(
        script=f'exec "$@" {redirection}', stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert_at_rest(process)
        for number in range(3):
            target = str(Path(f"/proc/{process.pid}/fd/{number}").readlink())
            assert target.startswith(("/dev/", "pipe:")) or number == 0
        process.terminate()
        output, errors = process.communicate(timeout=SOON)
        assert process.returncode == 0
        assert b"Traceback" not in output + errors
        assert b"Logging error" not in output + errors


def test_a_reader_who_goes_away_harms_nothing() -> None:
    """The daemon does without one."""
    with started(stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        until(lambda: is_up(process))
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            stream.close()
        assert_at_rest(process)
        assert end(process) == 0


def test_faults_of_the_configuration_wait_for_no_reader() -> None:
    """They are told before there is a log, and by the same way."""
    with (
        unread_pipe() as pipe,
        started(environ=environment(RABBITMQ_HOST=""), stderr=pipe) as process,
    ):
        assert process.wait(PATIENCE) == 2


def counted(port: int, name: str) -> float:
    """Return the sum of a metric's samples, 0 while nobody answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
    except OSError:
        return 0
    return sum(float(it.split()[-1]) for it in lines if it.startswith(f"cki_notifier_{name}"))


def test_an_onlooker_whom_nobody_reads_goes_on(stage: Stage) -> None:
    """A dry run drops and counts the messages that it can't print, and goes on."""
    checkouts = [documents.checkout(f"redhat:{number}") for number in range(50)]
    for checkout in checkouts:
        stage.services.warehouse.add(documents.everything(checkout, [documents.build(checkout)]))
    port = free_port()
    changes = {
        "CKI_DEPLOYMENT_ENVIRONMENT": "development",
        "CKI_METRICS_ENABLED": "true",
        "CKI_METRICS_PORT": str(port),
    }
    environ = environment(**(stage.environment | changes))
    with unread_pipe() as pipe, started(stdout=pipe, stderr=pipe, environ=environ) as process:
        until(lambda: counted(port, 'connected{dependency="rabbitmq"}') == 1)
        for _ in range(20):
            stage.publish(*(documents.notification(it, "unknown") for it in checkouts))
        until(lambda: counted(port, "notifications_total") == 1000)
        assert counted(port, "log_lines_dropped_total") > 1000
        assert end(process) == 0
