"""Whether the loop that talks to RabbitMQ is alive and consumes, for the probes."""

import time
from collections.abc import Sequence
from typing import Final

#: The problem until the first attempt to connect has ended.
NOT_YET: Final = "rabbitmq: not connected yet"


class Liveness:
    """The state of the loop, which alone writes it; read by any thread.

    Attributes:
        missing: the reason why it does not consume; ``""`` while it consumes.
        held_up: why copies of notifications wait, or would: a sentence for each queue, or one for
            all.
        stands_still: whether no notification can go on because of that.
    """

    def __init__(self) -> None:
        self.missing = NOT_YET
        self.held_up: Sequence[str] = ()
        self.stands_still = False
        self._ticked = time.monotonic()

    def tick(self) -> None:
        """Note that the loop runs."""
        self._ticked = time.monotonic()

    def silent_for(self) -> float:
        """Return the seconds since the last tick."""
        return time.monotonic() - self._ticked
