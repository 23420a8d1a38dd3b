"""Whether the loop that talks to RabbitMQ is alive and consumes, for the probes."""

import time


class Liveness:
    """What the loop tells of itself: written by it alone, read by any thread.

    Attributes:
        missing: what keeps it from consuming; ``""`` while it consumes.
    """

    def __init__(self) -> None:
        self.missing = "rabbitmq: not connected yet"
        self._ticked = time.monotonic()

    def tick(self) -> None:
        """Note that the loop goes round."""
        self._ticked = time.monotonic()

    def silent_for(self) -> float:
        """Return for how many seconds the loop has not been seen."""
        return time.monotonic() - self._ticked
