"""The places before one host, and who waits for them."""

import threading
import time

import pytest

from cki_notifier.notification.errors import Interrupted, Unavailable
from cki_notifier.workers.bulkhead import Bulkhead
from cki_notifier.workers.deadline import Deadline
from tests.brokers.stage import eventually

#: Only a failing test waits for so long, in seconds.
PATIENCE = 30.0


@pytest.fixture
def bulkhead() -> Bulkhead:
    """Two places, and room for one who waits for a stuck host, for three who do for a slow one."""
    return Bulkhead("gitlab", "gitlab.example.com", places=2, most_waiting=(3, 1))


class Visitor:
    """Somebody who has, or waits for, a place, in a thread."""

    def __init__(self, bulkhead: Bulkhead, deadline: Deadline | None = None) -> None:
        self.has_place = threading.Event()
        self.error: Exception | None = None
        self._bulkhead = bulkhead
        self._deadline = deadline or Deadline(PATIENCE)
        self.gone = threading.Event()
        self._thread = threading.Thread(target=self._visit)
        self._thread.start()

    def _visit(self) -> None:
        try:
            with self._bulkhead.place(self._deadline):
                self.has_place.set()
                self.gone.wait(PATIENCE)
        except (Unavailable, Interrupted) as error:
            self.error = error

    def go(self) -> None:
        """Leave."""
        self.gone.set()
        self._thread.join(PATIENCE)


def _waiting(bulkhead: Bulkhead) -> int:
    return len(bulkhead._line)  # noqa: SLF001  # nobody else asks how many wait


def test_no_more_than_the_places_are_taken_and_the_first_comes_first(bulkhead: Bulkhead) -> None:
    """A place that is given back goes to who has waited longest."""
    first, second = Visitor(bulkhead), Visitor(bulkhead)
    assert first.has_place.wait(PATIENCE)
    assert second.has_place.wait(PATIENCE)
    third = Visitor(bulkhead)
    eventually(lambda: _waiting(bulkhead) == 1)
    fourth = Visitor(bulkhead)
    eventually(lambda: _waiting(bulkhead) == 2)
    assert not third.has_place.is_set()
    first.go()
    assert third.has_place.wait(PATIENCE)
    assert not fourth.has_place.is_set()
    second.go()
    assert fourth.has_place.wait(PATIENCE)
    third.go()
    fourth.go()


def test_when_nobody_gets_ready_all_but_a_few_have_to_go(bulkhead: Bulkhead) -> None:
    """A host that hangs keeps two places and one in the line; who comes later is held back."""
    inside = [Visitor(bulkhead), Visitor(bulkhead)]
    for visitor in inside:
        assert visitor.has_place.wait(PATIENCE)
    waits = Visitor(bulkhead)
    eventually(lambda: _waiting(bulkhead) == 1)
    has_to_go = Visitor(bulkhead)
    eventually(lambda: has_to_go.error is not None)
    assert isinstance(has_to_go.error, Unavailable)
    assert has_to_go.error.held
    assert "gitlab.example.com is too slow" in str(has_to_go.error)
    assert waits.error is None
    inside[0].go()
    assert waits.has_place.wait(PATIENCE)
    inside[1].go()
    waits.go()


def test_more_wait_for_a_host_that_is_slow_but_answers(bulkhead: Bulkhead) -> None:
    """One that got somebody ready a moment ago is no dead one; but it does not get everybody."""
    with bulkhead.place(Deadline(PATIENCE)):
        pass
    visitors = [Visitor(bulkhead) for _ in range(8)]
    eventually(lambda: sum(it.error is not None for it in visitors) == 3)
    time.sleep(1.5)
    assert bulkhead.is_full
    assert _waiting(bulkhead) == 3
    with pytest.raises(Unavailable), bulkhead.place(Deadline(PATIENCE)):
        pytest.fail("a place is given to somebody for whom there is none")
    for _ in range(5):
        eventually(lambda: any(_is_inside(it) for it in visitors))
        next(it for it in visitors if _is_inside(it)).go()
    assert sum(it.has_place.is_set() for it in visitors) == 5


def _is_inside(visitor: Visitor) -> bool:
    return visitor.has_place.is_set() and not visitor.gone.is_set()


def test_any_number_waits_while_the_host_gets_people_ready(bulkhead: Bulkhead) -> None:
    """A host that works, however many want to get there, sends nobody away."""
    visitors = [Visitor(bulkhead) for _ in range(8)]
    for _ in visitors:
        time.sleep(0.4)
        next(it for it in visitors if _is_inside(it)).go()
    assert [it.error for it in visitors] == [None] * 8


def test_a_place_is_given_back_after_an_error(bulkhead: Bulkhead) -> None:
    """After any error inside, the place is free again."""
    for _ in range(5):
        with pytest.raises(ValueError, match="x"), bulkhead.place(Deadline(PATIENCE)):
            raise ValueError("x")


def test_who_waits_is_woken_when_the_process_stops_or_time_is_over(bulkhead: Bulkhead) -> None:
    """Neither waits any longer, nor is left in the line."""
    inside = [Visitor(bulkhead), Visitor(bulkhead)]
    for visitor in inside:
        assert visitor.has_place.wait(PATIENCE)
    stopping = threading.Event()
    stops, late = Visitor(bulkhead, Deadline(PATIENCE, stopping)), Visitor(bulkhead, Deadline(0.3))
    stopping.set()
    eventually(lambda: stops.error is not None and late.error is not None)
    assert isinstance(stops.error, Interrupted)
    assert isinstance(late.error, Unavailable)
    assert not _waiting(bulkhead)
    for visitor in inside:
        visitor.go()
