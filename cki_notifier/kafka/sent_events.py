"""Remembers what Kafka confirmed, for the case that the broker hands it out once more."""

import threading
from collections import OrderedDict

#: Many times what can be in flight; an entry costs some 200 bytes.
_KEPT = 10_000


class SentEvents:
    """The last ids of sent events.

    An acknowledgement that is lost with its connection makes the broker hand out a notification
    whose message Kafka has. As long as the process lives it need not be sent twice.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ids: OrderedDict[str, None] = OrderedDict()

    def add(self, event_id: str) -> None:
        """Remember an id, and forget the oldest when there are too many."""
        with self._lock:
            self._ids[event_id] = None
            if len(self._ids) > _KEPT:
                self._ids.popitem(last=False)

    def __contains__(self, event_id: str) -> bool:
        with self._lock:
            return event_id in self._ids
