"""How what many notifications share is divided."""

import pytest

from cki_notifier.workers.shares import shares_of


@pytest.mark.parametrize("in_flight", [1, 2, 7, 32, 500])
def test_no_one_of_them_has_it_all(in_flight: int) -> None:
    """Each has something, and several bad ones together leave room for the others."""
    shares = shares_of(in_flight)
    assert shares.prefetch >= 4 * in_flight
    assert all(
        part >= 1
        for part in (shares.behind, shares.copies, shares.places, shares.waiting, shares.line)
    )
    bad = shares.behind + 1 + shares.copies + shares.places + shares.waiting
    assert bad <= 3 / 4 * shares.prefetch
