"""Whether the loop that talks to RabbitMQ is alive and consumes, for the probes."""

import time
from collections.abc import Sequence
from typing import Final

#: What is missing until the first attempt to connect has ended.
NOT_YET: Final = "rabbitmq: not connected yet"


class Liveness:
    """What the loop tells of itself: written by it alone, read by any thread.

    Attributes:
        missing: what keeps it from consuming; ``""`` while it consumes.
        held_up: what holds copies of notifications up, or would: a sentence for each queue, or one
            for all.
        stands_still: whether nothing can go on because of that.
    """

    def __init__(self) -> None:
        self.missing = NOT_YET
        self.held_up: Sequence[str] = ()
        self.stands_still = False
        self._ticked = time.monotonic()

    def tick(self) -> None:
        """Note that the loop goes round."""
        self._ticked = time.monotonic()

    def silent_for(self) -> float:
        """Return for how many seconds the loop has not been seen."""
        return time.monotonic() - self._ticked
