"""How what many notifications share is divided, so that no one of them can use it up."""

from msgspec import Struct

#: So many notifications are fetched at least, and so many for each that is handled at once: there
#: is room for those that wait, and a crash gives back no more than this.
_LEAST_PREFETCH, _PREFETCH_EACH = 16, 4


class Shares(Struct, frozen=True):
    """The parts, in notifications.

    Attributes:
        in_flight: are worked on at once.
        prefetch: are fetched from the queue and not settled.
        behind: wait behind one of the same checkout.
        copies: wait for one queue that takes no copies.
        places: have to do with one GitLab at once.
        waiting: wait for one GitLab that is down or gets nobody ready.
        line: wait for one GitLab that is slow.
    """

    in_flight: int
    prefetch: int
    behind: int
    copies: int
    places: int
    waiting: int
    line: int


def shares_of(in_flight: int) -> Shares:
    """Divide what is fetched for so many notifications that are worked on at once."""
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


#: For the default of CKI_NOTIFIER_IN_FLIGHT.
USUAL = shares_of(32)
