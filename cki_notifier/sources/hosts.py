"""Shares the work out among GitLab's hosts, so that one that is down or hangs holds up no other."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TypeVar

from cki_notifier.checkout.links import ProjectLink
from cki_notifier.notification.errors import Unavailable
from cki_notifier.workers.bulkhead import Bulkhead
from cki_notifier.workers.deadline import Deadline
from cki_notifier.workers.shares import Shares

T = TypeVar("T")

#: Of so many checkouts it is remembered which host they need, and so many hosts are told apart.
_MOST_CHECKOUTS, _MOST_HOSTS = 10_000, 200


class Hosts:
    """Knows who needs which host; used by all threads.

    Args:
        service: its name in errors.
        shares: of one host.
        is_full: tells of a host's origin whether it is down, with enough who wait for it.
    """

    def __init__(self, service: str, shares: Shares, is_full: Callable[[str], bool]) -> None:
        self._service = service
        self._shares = shares
        self._is_full = is_full
        self._lock = threading.Lock()
        self._bulkheads: OrderedDict[str, Bulkhead] = OrderedDict()
        self._needed: OrderedDict[str, ProjectLink] = OrderedDict()

    def place(
        self, checkout_id: str, link: ProjectLink, deadline: Deadline
    ) -> AbstractContextManager[None]:
        """Have a place before a host, for a checkout; raises as :meth:`Bulkhead.place`."""
        with self._lock:
            _remember(self._needed, checkout_id, link, _MOST_CHECKOUTS)
            bulkhead = self._bulkheads.get(link.origin) or Bulkhead(
                self._service,
                link.host,
                self._shares.places,
                (self._shares.line, self._shares.waiting),
            )
            _remember(self._bulkheads, link.origin, bulkhead, _MOST_HOSTS)
        return bulkhead.place(deadline)

    def check(self, checkout_id: str) -> None:
        """Return unless a checkout is known to need a host for which enough wait already.

        Raises:
            Unavailable: it is; asking for anything else would be in vain.
        """
        with self._lock:
            link = self._needed.get(checkout_id)
            bulkhead = self._bulkheads.get(link.origin) if link else None
        if link and bulkhead and (bulkhead.is_full or self._is_full(link.origin)):
            text = f"{link.host} is out of reach, and enough wait for it"
            raise Unavailable(self._service, text, held=True)


def _remember(kept: "OrderedDict[str, T]", key: str, value: T, most: int) -> None:
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > most:
        kept.popitem(last=False)
