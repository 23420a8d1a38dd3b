"""The gate before a service that may be down."""

import logging
import threading
import time

import pytest

from cki_notifier.notification.errors import Interrupted, Unavailable
from cki_notifier.workers.deadline import Deadline
from cki_notifier.workers.gate import Gate

#: Enough for a slow machine, in seconds.
PATIENCE = 20.0


def is_open(gate: Gate) -> bool:
    """Tell whether two callers pass at once; only one does while the service is down."""
    try:
        gate.enter(Deadline(0.05))
        gate.enter(Deadline(0.05))
    except Unavailable:
        return False
    return True


@pytest.fixture
def gate() -> Gate:
    """A gate before a service that works."""
    return Gate("datawarehouse")


def test_a_service_that_works_has_an_open_gate(gate: Gate) -> None:
    """Nobody waits."""
    assert is_open(gate)


def test_a_failure_of_the_service_closes_it_for_all_but_one(gate: Gate) -> None:
    """One caller may ask, the others wait until their deadline."""
    gate.failed("/a", whole=True)
    gate.enter(Deadline(0.05))
    with pytest.raises(Unavailable, match="datawarehouse: it is down"):
        gate.enter(Deadline(0.05))


def test_one_bad_object_does_not_close_it(gate: Gate) -> None:
    """However often the same object can't be had, the service is not held to be down."""
    for _ in range(100):
        gate.failed("/bad", whole=False)
    assert is_open(gate)


def test_several_bad_objects_in_a_row_close_it(gate: Gate) -> None:
    """When nothing at all can be had, the service is down, whatever it answers."""
    for path in ("/a", "/b", "/c"):
        gate.failed(path, whole=False)
    assert not is_open(gate)


def test_a_good_answer_between_bad_ones_keeps_it_open(gate: Gate) -> None:
    """Bad objects are counted from the last proper answer on."""
    gate.failed("/a", whole=False)
    gate.failed("/b", whole=False)
    gate.passed()
    gate.failed("/c", whole=False)
    assert is_open(gate)


def test_the_first_proper_answer_opens_it_for_all(gate: Gate) -> None:
    """Who waits passes as soon as the service is back."""
    gate.failed("/a", whole=True)
    gate.enter(Deadline(PATIENCE))
    entered = threading.Barrier(6)

    def enter() -> None:
        gate.enter(Deadline(PATIENCE))
        entered.wait(PATIENCE)

    threads = [threading.Thread(target=enter) for _ in range(5)]
    for thread in threads:
        thread.start()
    gate.passed()
    entered.wait(PATIENCE)
    for thread in threads:
        thread.join()


def test_while_it_is_down_it_is_asked_about_once_a_second(gate: Gate) -> None:
    """Many callers for two seconds are let through a few times only."""
    gate.failed("/a", whole=True)
    asked: list[float] = []

    def ask() -> None:
        deadline = Deadline(2)
        while True:
            try:
                gate.enter(deadline)
            except Unavailable:
                return
            asked.append(time.monotonic())
            gate.failed("/a", whole=True)

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 1 <= len(asked) <= 3


def test_a_service_that_asks_for_patience_gets_some(gate: Gate) -> None:
    """After a ``Retry-After`` nobody asks before its time."""
    gate.failed("/a", whole=True, retry_after=3600)
    with pytest.raises(Unavailable):
        gate.enter(Deadline(0.5))


def test_who_waits_is_woken_when_the_process_stops(gate: Gate) -> None:
    """A stopping process does not wait for a service."""
    gate.failed("/a", whole=True)
    stopping = threading.Event()
    stopping.set()
    gate.enter(Deadline(PATIENCE, stopping))
    with pytest.raises(Interrupted):
        gate.enter(Deadline(PATIENCE, stopping))


def test_going_and_coming_back_are_said_once(gate: Gate, caplog: pytest.LogCaptureFixture) -> None:
    """An outage makes two lines, however many ask meanwhile."""
    with caplog.at_level(logging.WARNING):
        for _ in range(10):
            gate.failed("/a", whole=True)
        for _ in range(10):
            gate.passed()
    assert len(caplog.records) == 2
    assert "down" in caplog.text
    assert "back" in caplog.text
