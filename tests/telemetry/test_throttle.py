"""Repeated events pass once in a while."""

import threading

from cki_notifier.telemetry.throttle import Throttle


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def test_a_kind_is_held_back_for_a_while_and_counted() -> None:
    """The next one that passes gets the number of those held back."""
    clock = Clock()
    repeats = Throttle(300, 10, clock)
    assert repeats.let_through("a") == 0
    assert [repeats.let_through("a") for _ in range(999)] == [None] * 999
    clock.now += 299
    assert repeats.let_through("a") is None
    clock.now += 1
    assert repeats.let_through("a") == 1000
    assert repeats.let_through("a") is None


def test_kinds_are_told_apart() -> None:
    """One does not hold back another."""
    repeats = Throttle(300, 10, Clock())
    assert [repeats.let_through(kind) for kind in ("a", ("b", 1), ("b", 2))] == [0, 0, 0]


def test_no_more_kinds_are_remembered_than_there_is_room_for() -> None:
    """The kind that passed first is forgotten, and passes again."""
    clock = Clock()
    repeats = Throttle(300, 2, clock)
    for kind in ("a", "b", "c"):
        assert repeats.let_through(kind) == 0
    assert repeats.let_through("b") is None
    assert repeats.let_through("a") == 0
    clock.now += 300
    assert repeats.let_through("c") == 0


def test_of_many_threads_one_is_let_through() -> None:
    """They come at the same moment, as in an outage."""
    repeats, start, let = Throttle(300, 10), threading.Barrier(20), []

    def come() -> None:
        start.wait(30)
        let.append(repeats.let_through("a"))

    threads = [threading.Thread(target=come) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(let, key=lambda it: it is None) == [0, *[None] * 19]
