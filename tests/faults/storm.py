"""A storm: one fault right after the other, until so many notifications were published."""

import time
from collections.abc import Sequence

from tests.faults.scene import Fault, Scene

#: Two processes get so many notifications a second, so that each meets several faults.
PROCESSES, RATE = 2, 20.0
#: What failed again and again comes back after 10 min, in seconds.
_PATIENCE = 1200.0


class Storm:
    """Strikes with faults in a random order, each as often as any other, and keeps a list.

    Args:
        faults: are all swift.
        total: it ends when so many notifications were published.
    """

    def __init__(self, faults: Sequence[Fault], total: int) -> None:
        self._faults = faults
        self._total = total
        #: When each struck, in seconds after the first, and what it was.
        self.struck: list[tuple[float, str]] = []

    def strike(self, scene: Scene) -> None:
        """Return when the storm is over."""
        started = time.monotonic()
        left: list[Fault] = []
        while len(scene.stream.published) < self._total:
            left = left or scene.choice.sample(self._faults, len(self._faults))
            fault = left.pop()
            self.struck.append((time.monotonic() - started, fault.id))
            scene.over_at = None
            fault.strike(scene)
        scene.over_at = None

    @property
    def fault(self) -> Fault:
        """It as one fault."""
        name = f"{self._total:,} notifications, {PROCESSES} processes"
        return Fault("storm", name, self.strike, processes=PROCESSES, patience=_PATIENCE)

    def log(self) -> str:
        """Return what struck, a line each."""
        return "\n".join(f"{at:7.1f} s  {name}" for at, name in self.struck)
