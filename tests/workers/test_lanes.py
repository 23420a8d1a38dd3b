"""Worker threads that keep the order within a lane and let lanes pass each other."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from cki_notifier.workers.lanes import Lanes

#: Only a failing test waits for so long, in seconds.
PATIENCE = 30.0


def wait_for(event: threading.Event) -> None:
    """Wait for an event that has to come."""
    assert event.wait(PATIENCE)


def wait_until(true: Callable[[], bool]) -> None:
    """Wait for something without an event of its own."""
    pause = threading.Event()
    for _ in range(int(PATIENCE * 200)):
        if true():
            return
        pause.wait(0.005)
    pytest.fail("it never became true")


@contextmanager
def held(lanes: Lanes, lane: str | None) -> Iterator[None]:
    """Occupy a lane, and a worker, for as long as the context lasts."""
    begun, go_on = threading.Event(), threading.Event()

    def job() -> None:
        begun.set()
        go_on.wait(PATIENCE)

    lanes.submit(lane, job)
    wait_for(begun)
    try:
        yield
    finally:
        go_on.set()


def test_jobs_of_a_lane_run_in_order_one_after_the_other() -> None:
    """However many workers there are, a lane's jobs neither overlap nor overtake each other."""
    lanes, order, done = Lanes(workers=4), [], threading.Event()
    running, most = 0, 0
    lock = threading.Lock()

    def job(number: int) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        order.append(number)
        with lock:
            running -= 1
        if number == 199:
            done.set()

    for number in range(200):
        lanes.submit("a", partial(job, number))
    wait_for(done)
    assert order == list(range(200))
    assert most == 1


def test_the_first_job_does_not_wait_for_other_lanes() -> None:
    """While one lane is busy, another one goes on."""
    lanes, done = Lanes(workers=2), threading.Event()
    with held(lanes, "a"):
        lanes.submit("b", done.set)
        wait_for(done)


def test_a_lanes_next_job_waits_for_the_one_that_runs() -> None:
    """Though a worker is free, the second job of a lane begins when the first has ended."""
    lanes, second, other = Lanes(workers=2), threading.Event(), threading.Event()
    with held(lanes, "a"):
        lanes.submit("a", second.set)
        lanes.submit("b", other.set)  # the free worker took it, and could have taken the second
        wait_for(other)
        assert not second.is_set()
    wait_for(second)


@pytest.mark.parametrize("names", [["a", "b", "c"], [None, None, None]])
def test_as_many_lanes_run_at_once_as_there_are_workers(names: list[str | None]) -> None:
    """Jobs of different lanes, or of none, all meet at a barrier, which they could not in turn."""
    lanes, barrier = Lanes(workers=3), threading.Barrier(4)

    def meet() -> None:
        barrier.wait(PATIENCE)

    for name in names:
        lanes.submit(name, meet)
    barrier.wait(PATIENCE)


def test_no_more_run_at_once_than_there_are_workers() -> None:
    """A job beyond the number of workers waits for one of them."""
    lanes, done = Lanes(workers=1), threading.Event()
    with held(lanes, "a"):
        lanes.submit("b", done.set)
        assert not done.is_set()
    wait_for(done)


def test_a_lane_can_be_used_again_after_it_was_empty() -> None:
    """An idle lane is forgotten, and works anew for the next job."""
    lanes = Lanes(workers=1)
    for _ in range(3):
        done = threading.Event()
        lanes.submit("a", done.set)
        wait_for(done)
        wait_until(lambda: lanes.idle)


def test_stopping_drops_what_waits() -> None:
    """After a stop no further job begins, neither of the busy lane nor of another one."""
    lanes, begun = Lanes(workers=1), threading.Event()
    with held(lanes, "a"):
        lanes.submit("a", begun.set)
        lanes.submit("b", begun.set)
        lanes.stop()
    wait_until(lambda: lanes.idle)
    lanes.submit("c", begun.set)
    assert not begun.wait(0.1)
    assert lanes.idle


def test_idle_is_when_no_job_runs() -> None:
    """A job that runs keeps the lanes busy, even while stopping; none at all are idle."""
    lanes = Lanes(workers=1)
    assert lanes.idle
    with held(lanes, "a"):
        lanes.stop()
        assert not lanes.idle
    wait_until(lambda: lanes.idle)


def test_it_is_empty_only_when_all_that_was_submitted_is_done() -> None:
    """A job that waits for its turn counts as well as one that runs."""
    lanes = Lanes(1)
    goes_on = threading.Event()
    assert lanes.empty
    for _ in range(2):
        lanes.submit("redhat:1", partial(_wait_for, goes_on))
    assert not lanes.empty
    goes_on.set()
    end = time.monotonic() + PATIENCE
    while not lanes.empty and time.monotonic() < end:
        time.sleep(0.01)
    assert lanes.empty


def _wait_for(event: threading.Event) -> None:
    event.wait(PATIENCE)
