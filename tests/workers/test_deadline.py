"""One deadline for everything that is done for a notification."""

import threading
import time

import pytest

from cki_notifier.notification.errors import Interrupted
from cki_notifier.workers.deadline import Deadline

LONG = 60.0


def test_what_remains_gets_less() -> None:
    """The remaining seconds go down from what was given."""
    deadline = Deadline(LONG)
    first = deadline.remaining()
    assert 0 < deadline.remaining() <= first <= LONG


@pytest.mark.parametrize("seconds", [0, -5])
def test_nothing_remains_after_the_end(seconds: float) -> None:
    """A deadline that is over has 0 seconds left, never fewer."""
    assert Deadline(seconds).remaining() == 0.0


def test_a_pause_that_fits_is_waited_for() -> None:
    """A pause within the deadline takes its time and allows a retry."""
    started = time.monotonic()
    assert Deadline(LONG).pause(0.02)
    assert time.monotonic() - started >= 0.02


@pytest.mark.parametrize("seconds", [LONG, 10 * LONG])
def test_a_pause_too_long_is_refused_at_once(seconds: float) -> None:
    """A pause that ends after the deadline isn't begun."""
    started = time.monotonic()
    assert not Deadline(LONG).pause(seconds)
    assert time.monotonic() - started < LONG / 2


def test_nobody_begins_to_wait_while_stopping() -> None:
    """While the process is stopping, a pause is an interruption."""
    stopping = threading.Event()
    stopping.set()
    with pytest.raises(Interrupted):
        Deadline(LONG, stopping).pause(LONG / 2)


def test_who_waits_is_woken_by_stopping() -> None:
    """A pause that is under way ends when the process is told to stop."""
    stopping = threading.Event()
    threading.Timer(0.05, stopping.set).start()
    started = time.monotonic()
    with pytest.raises(Interrupted):
        Deadline(LONG, stopping).pause(LONG / 2)
    assert time.monotonic() - started < LONG / 4
