"""Divides the prefetch, so that no checkout, host or queue can use it up."""

from msgspec import Struct

#: The least prefetch, and the prefetch for each notification in progress. It has room for waiting
#: notifications, and limits how many a crash returns.
_LEAST_PREFETCH, _PREFETCH_EACH = 16, 4


class Shares(Struct, frozen=True):
    """The most notifications of each kind.

    Attributes:
        in_flight: in progress.
        prefetch: fetched from the queue and not settled.
        behind: waiting behind one of the same checkout.
        copies: waiting for one queue that refuses copies.
        places: using one GitLab host.
        waiting: waiting for one GitLab host that is down or stuck.
        line: waiting for one GitLab host that is slow.
    """

    in_flight: int
    prefetch: int
    behind: int
    copies: int
    places: int
    waiting: int
    line: int


def shares_of(in_flight: int) -> Shares:
    """Divide the prefetch for a number of notifications in progress."""
    prefetch = max(_LEAST_PREFETCH, _PREFETCH_EACH * in_flight)
    return Shares(
        in_flight=in_flight,
        prefetch=prefetch,
        behind=prefetch // 8,
        copies=prefetch // 8,
        places=max(1, in_flight // 2),
        waiting=max(1, prefetch // 32),
        line=prefetch // 4,
    )


#: The shares for the default of CKI_NOTIFIER_IN_FLIGHT.
USUAL = shares_of(32)
