"""The gate before a service that may be down."""

import logging
import threading
import time

import pytest

from cki_notifier.notification.errors import Interrupted, Unavailable
from cki_notifier.telemetry import metrics
from cki_notifier.workers.deadline import Deadline
from cki_notifier.workers.gate import Gate
from cki_notifier.workers.lanes import Lanes

#: Enough for a slow machine, in seconds.
PATIENCE = 20.0


def now() -> float:
    """Return the seconds that a gate counts in."""
    return time.monotonic()


def is_open(gate: Gate) -> bool:
    """Tell whether two callers pass at once; only one does while the service is down."""
    try:
        gate.enter(Deadline(0.05))
        gate.enter(Deadline(0.05))
    except Unavailable:
        return False
    return True


def waiting_at(gate: Gate) -> int:
    """Return how many wait."""
    return len(gate._line)  # noqa: SLF001  # nobody else asks


@pytest.fixture
def gate() -> Gate:
    """A gate before a service that works."""
    return Gate("datawarehouse")


def test_a_service_that_works_has_an_open_gate(gate: Gate) -> None:
    """Nobody waits."""
    assert is_open(gate)


def test_a_failure_of_the_service_closes_it_for_all_but_one(gate: Gate) -> None:
    """One caller may ask, the others wait until their deadline."""
    gate.failed("/a", whole=True, since=now())
    gate.enter(Deadline(0.05))
    with pytest.raises(Unavailable, match="datawarehouse: it is down"):
        gate.enter(Deadline(0.05))


def test_one_bad_object_does_not_close_it(gate: Gate) -> None:
    """However often the same object can't be had, the service is not held to be down."""
    for _ in range(100):
        gate.failed("/bad", whole=False, since=now())
    assert is_open(gate)


def test_several_bad_objects_in_a_row_close_it(gate: Gate) -> None:
    """After failures of several objects, the service is down, with any kind of answer."""
    for path in ("/a", "/b", "/c"):
        gate.failed(path, whole=False, since=now())
    assert not is_open(gate)


def test_a_good_answer_between_bad_ones_keeps_it_open(gate: Gate) -> None:
    """Bad objects are counted from the last proper answer on."""
    gate.failed("/a", whole=False, since=now())
    gate.failed("/b", whole=False, since=now())
    gate.passed()
    gate.failed("/c", whole=False, since=now())
    assert is_open(gate)


def test_the_first_proper_answer_opens_it_for_all(gate: Gate) -> None:
    """All waiting callers pass as soon as the service is back."""
    gate.failed("/a", whole=True, since=now())
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
    gate.failed("/a", whole=True, since=now())
    asked: list[float] = []

    def ask() -> None:
        deadline = Deadline(2)
        while True:
            try:
                gate.enter(deadline)
            except Unavailable:
                return
            asked.append(time.monotonic())
            gate.failed("/a", whole=True, since=now())

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 1 <= len(asked) <= 3


def test_a_service_that_asks_for_patience_gets_some(gate: Gate) -> None:
    """After a ``Retry-After`` nobody asks before its time."""
    gate.failed("/a", whole=True, since=now(), retry_after=3600)
    with pytest.raises(Unavailable):
        gate.enter(Deadline(0.5))


def test_who_waits_is_woken_when_the_process_stops(gate: Gate) -> None:
    """A stopping process does not wait for a service."""
    gate.failed("/a", whole=True, since=now())
    stopping = threading.Event()
    stopping.set()
    gate.enter(Deadline(PATIENCE, stopping))
    with pytest.raises(Interrupted):
        gate.enter(Deadline(PATIENCE, stopping))


def test_going_and_coming_back_are_said_once(gate: Gate, caplog: pytest.LogCaptureFixture) -> None:
    """An outage makes two lines, however many ask meanwhile."""
    with caplog.at_level(logging.WARNING):
        for _ in range(10):
            gate.failed("/a", whole=True, since=now())
        for _ in range(10):
            gate.passed()
    assert len(caplog.records) == 2
    assert "down" in caplog.text
    assert "back" in caplog.text


def test_first_come_first_served(gate: Gate) -> None:
    """Those who wait are let through one by one, in the order in which they came."""
    gate.failed("/a", whole=True, since=now())
    gate.enter(Deadline(PATIENCE))
    order: list[int] = []
    threads = []
    for number in range(3):
        before = waiting_at(gate)
        thread = threading.Thread(target=_ask_once, args=(gate, order, number))
        thread.start()
        threads.append(thread)
        while waiting_at(gate) == before:
            time.sleep(0.01)
    gate.failed("/a", whole=True, since=now())
    for thread in threads:
        thread.join()
    assert order == [0, 1, 2]


def _ask_once(gate: Gate, order: list[int], number: int) -> None:
    gate.enter(Deadline(PATIENCE))
    order.append(number)
    gate.failed("/a", whole=True, since=now())


def test_only_so_many_wait_before_a_host(caplog: pytest.LogCaptureFixture) -> None:
    """Above the limit no caller waits: the error holds the notification back and names the host."""
    gate = Gate("gitlab", "gitlab.example.com:8443", most_waiting=2)
    gate.failed("/a", whole=True, since=now())
    gate.enter(Deadline(PATIENCE))
    assert not gate.is_full
    waiting = [threading.Thread(target=gate.enter, args=(Deadline(PATIENCE),)) for _ in range(2)]
    for thread in waiting:
        thread.start()
    while waiting_at(gate) < 2:
        time.sleep(0.01)
    assert gate.is_full
    with pytest.raises(
        Unavailable, match=r"gitlab\.example\.com:8443 is down, and too many notifications wait"
    ) as it:
        gate.enter(Deadline(PATIENCE))
    assert it.value.held
    with caplog.at_level(logging.WARNING):
        gate.passed()
    for thread in waiting:
        thread.join()
    assert not gate.is_full
    assert "gitlab gitlab.example.com:8443: back" in caplog.text


def test_one_that_fails_while_others_are_answered_tells_of_itself_alone(gate: Gate) -> None:
    """A request that hangs says nothing of a service that answered others meanwhile."""
    since = now()
    gate.passed()
    gate.failed("/hangs", whole=True, since=since)
    assert is_open(gate)
    gate.failed("/hangs", whole=True, since=now())
    assert not is_open(gate)


def test_one_probe_at_a_time(gate: Gate) -> None:
    """While the service has not answered the one who asks, nobody else is let through for long."""
    gate.failed("/a", whole=True, since=now())
    gate.enter(Deadline(PATIENCE))
    with pytest.raises(Unavailable):
        gate.enter(Deadline(2.0))


def test_who_waits_at_it_leaves_the_worker(gate: Gate) -> None:
    """Waiting costs no worker."""
    gate.failed("/a", whole=True, since=now())
    gate.enter(Deadline(PATIENCE))
    workers = Workers()
    with pytest.raises(Unavailable):
        gate.enter(Deadline(0.05, workers=workers))
    assert (workers.leaves, workers.came_back) == (1, 1)


@pytest.mark.parametrize(
    ("host", "labels"), [("", {}), ("one.example.com", {"host": "one.example.com"})]
)
def test_the_metric_tells_of_each_host(host: str, labels: dict[str, str]) -> None:
    """One host that answers says nothing of another."""
    gate, other = Gate("gitlab", host), Gate("gitlab", "other.example.com")
    metrics.connected.clear()
    gate.failed("/a", whole=True, since=now())
    other.passed()

    def value(**labels: str) -> float | None:
        return metrics.REGISTRY.get_sample_value(
            "cki_notifier_connected", {"dependency": "gitlab"} | labels
        )

    assert value(**labels) == 0
    assert value(host="other.example.com") == 1
    metrics.connected.clear()


class Workers(Lanes):
    """Counts who leaves a worker, and who comes back."""

    def __init__(self) -> None:
        super().__init__(workers=1, most_behind=1, most_bytes=1)
        self.leaves = self.came_back = 0

    def leave(self) -> None:
        """Count."""
        self.leaves += 1

    def come_back(self) -> None:
        """Count."""
        self.came_back += 1
