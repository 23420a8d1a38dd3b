"""Worker threads that keep the order within a lane and let lanes pass each other."""

import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from cki_notifier.workers.deadline import Deadline
from cki_notifier.workers.lanes import Lanes
from tests.brokers.stage import eventually

#: Only a failing test waits for so long, in seconds.
PATIENCE = 30.0


def roomy(workers: int) -> Lanes:
    """Return lanes with room for all that a test submits."""
    return Lanes(workers, most_behind=1_000, most_bytes=1_000)


def wanted(lanes: Lanes) -> int:
    """Return how many jobs wait for a worker: to begin, or to go on."""
    return len(lanes._ready) + len(lanes._coming_back)  # noqa: SLF001  # nobody else asks


def nothing() -> None:
    """Be a job."""


def wait_for(event: threading.Event) -> None:
    """Wait for an event that has to come."""
    assert event.wait(PATIENCE)


@contextmanager
def held(lanes: Lanes, lane: str) -> Iterator[None]:
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
    lanes, order, done = roomy(4), [], threading.Event()
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
    lanes, done = roomy(2), threading.Event()
    with held(lanes, "a"):
        lanes.submit("b", done.set)
        wait_for(done)


def test_a_lanes_next_job_waits_for_the_one_that_runs() -> None:
    """Though a worker is free, the second job of a lane begins when the first has ended."""
    lanes, second, other = roomy(2), threading.Event(), threading.Event()
    with held(lanes, "a"):
        lanes.submit("a", second.set)
        lanes.submit("b", other.set)  # the free worker took it, and could have taken the second
        wait_for(other)
        assert not second.is_set()
    wait_for(second)


def test_as_many_lanes_run_at_once_as_there_are_workers() -> None:
    """Jobs of different lanes all meet at a barrier, which they could not in turn."""
    lanes, barrier = roomy(3), threading.Barrier(4)

    def meet() -> None:
        barrier.wait(PATIENCE)

    for name in ("a", "b", "c"):
        lanes.submit(name, meet)
    barrier.wait(PATIENCE)


def test_no_more_run_at_once_than_there_are_workers() -> None:
    """A job beyond the number of workers waits for one of them."""
    lanes, done = roomy(1), threading.Event()
    with held(lanes, "a"):
        lanes.submit("b", done.set)
        assert not done.is_set()
    wait_for(done)


def test_a_lane_can_be_used_again_after_it_was_empty() -> None:
    """The next job opens an idle lane again."""
    lanes = roomy(1)
    for _ in range(3):
        done = threading.Event()
        lanes.submit("a", done.set)
        wait_for(done)
        eventually(lambda: lanes.idle)


def test_stopping_drops_what_waits() -> None:
    """After a stop no further job begins, neither of the busy lane nor of another one."""
    lanes, begun = roomy(1), threading.Event()
    with held(lanes, "a"):
        lanes.submit("a", begun.set)
        lanes.submit("b", begun.set)
        lanes.stop()
    eventually(lambda: lanes.idle)
    lanes.submit("c", begun.set)
    assert not begun.wait(0.1)
    assert lanes.idle


def test_idle_is_when_no_job_runs() -> None:
    """A job that runs keeps the lanes busy, even while stopping; none at all are idle."""
    lanes = roomy(1)
    assert lanes.idle
    with held(lanes, "a"):
        lanes.stop()
        assert not lanes.idle
    eventually(lambda: lanes.idle)


def test_left_is_all_that_was_submitted_and_is_not_done() -> None:
    """A job that waits for its turn counts as well as one that runs."""
    lanes = roomy(1)
    goes_on = threading.Event()
    assert not lanes.left
    for _ in range(2):
        lanes.submit("redhat:1", partial(_wait_for, goes_on))
    assert (lanes.left, lanes.running) == (2, 1)
    goes_on.set()
    eventually(lambda: not lanes.left)


def test_a_job_that_waits_leaves_its_worker_to_others() -> None:
    """Three jobs that only wait don't keep the single worker from a fourth one."""
    lanes, waiting, go_on = roomy(1), threading.Semaphore(0), threading.Event()
    done = threading.Semaphore(0)

    def job() -> None:
        with Deadline(PATIENCE, workers=lanes).waiting("something"):
            waiting.release()
            go_on.wait(PATIENCE)
        done.release()

    for name in ("a", "b", "c"):
        lanes.submit(name, job)
    for _ in range(3):
        assert waiting.acquire(timeout=PATIENCE)
    assert lanes.running == 0
    assert not lanes.idle
    fourth = threading.Event()
    lanes.submit("d", fourth.set)
    wait_for(fourth)
    go_on.set()
    for _ in range(3):
        assert done.acquire(timeout=PATIENCE)
    eventually(lambda: lanes.idle)
    assert lanes.running == 0


def test_who_has_waited_is_given_a_worker_before_who_begins() -> None:
    """A half-done notification gets a worker before a new one."""
    lanes, left, come_back = roomy(1), threading.Event(), threading.Event()
    order: list[str] = []

    def first() -> None:
        with Deadline(PATIENCE, workers=lanes).waiting("something"):
            left.set()
            come_back.wait(PATIENCE)
        order.append("first")

    lanes.submit("a", first)
    wait_for(left)
    with held(lanes, "b"):
        lanes.submit("c", lambda: order.append("new"))
        come_back.set()
        eventually(lambda: wanted(lanes) == 2)
    eventually(lambda: lanes.idle)
    assert order == ["first", "new"]


def test_no_more_run_at_once_when_waiters_come_back() -> None:
    """Those who come back all at once share the workers, as those who begin do."""
    lanes, go_on, lock = roomy(2), threading.Event(), threading.Lock()
    running, most = 0, 0

    def job() -> None:
        nonlocal running, most
        with Deadline(PATIENCE, workers=lanes).waiting("something"):
            go_on.wait(PATIENCE)
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.01)
        with lock:
            running -= 1

    for number in range(20):
        lanes.submit(str(number), job)
    go_on.set()
    eventually(lambda: not lanes.left)
    assert 1 <= most <= 2


def test_who_waits_is_let_go_when_everything_stops() -> None:
    """A stop does not leave anybody waiting for a worker."""
    lanes, left, come_back, done = roomy(1), threading.Event(), threading.Event(), threading.Event()

    def job() -> None:
        with Deadline(PATIENCE, workers=lanes).waiting("something"):
            left.set()
            come_back.wait(PATIENCE)
        done.set()

    lanes.submit("a", job)
    wait_for(left)
    with held(lanes, "b"):
        come_back.set()
        eventually(lambda: wanted(lanes) == 1)
        lanes.stop()
        wait_for(done)


def test_a_lane_takes_no_more_than_its_share() -> None:
    """A limit holds for the jobs behind one checkout; other lanes still accept jobs."""
    lanes = Lanes(1, most_behind=2, most_bytes=1_000)
    with held(lanes, "a"):
        assert [lanes.submit("a", nothing) for _ in range(3)] == [
            "",
            "",
            "2 notifications of its checkout wait already",
        ]
        assert not lanes.submit("b", nothing)
    eventually(lambda: not lanes.left)
    assert not lanes.submit("a", nothing)


def test_bytes_are_counted_until_a_job_is_done() -> None:
    """A job above the limit is refused until there is room again."""
    lanes, go_on = Lanes(1, most_behind=9, most_bytes=100), threading.Event()
    assert not lanes.submit("a", partial(_wait_for, go_on), 60)
    assert not lanes.submit("b", nothing, 40)
    assert "100 bytes" in lanes.submit("c", nothing, 1)
    go_on.set()
    eventually(lambda: not lanes.left)
    assert not lanes.submit("c", nothing, 100)


def test_a_job_larger_than_all_room_is_taken_alone() -> None:
    """Else it would never be done."""
    lanes, go_on = Lanes(1, most_behind=9, most_bytes=100), threading.Event()
    assert not lanes.submit("a", partial(_wait_for, go_on), 1_000)
    assert lanes.submit("b", nothing, 1)
    go_on.set()
    eventually(lambda: not lanes.left)


def test_without_another_thread_a_job_waits_for_one_that_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No thread can be started: what was to begin begins when another job ends."""
    lanes, left, go_on, done = roomy(1), threading.Event(), threading.Event(), threading.Event()

    def job() -> None:
        with Deadline(PATIENCE, workers=lanes).waiting("something"):
            left.set()
            go_on.wait(PATIENCE)

    def refuse(_self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    lanes.submit("a", job)
    wait_for(left)
    lanes.submit("b", done.set)
    assert not done.wait(0.1)
    go_on.set()
    wait_for(done)


def test_a_job_is_forgotten_when_it_is_done() -> None:
    """Idle workers keep nothing of what they did: a notification may be large."""

    class Large:
        def run(self) -> None:
            pass

    lanes, jobs = roomy(4), [Large() for _ in range(8)]
    gone = [weakref.ref(job) for job in jobs]
    for number, job in enumerate(jobs):
        lanes.submit(str(number), job.run)
    del jobs, job
    eventually(lambda: not any(ref() for ref in gone))


def _wait_for(event: threading.Event) -> None:
    event.wait(PATIENCE)
