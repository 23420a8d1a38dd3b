"""A storm: one fault right after the other, until a number of notifications is published."""

import time
from collections.abc import Sequence

from tests.faults.scene import Fault, Scene

#: The number of processes, and notifications a second, so that each meets several faults.
PROCESSES, RATE = 2, 20.0
#: Timeout in seconds: a notification that fails repeatedly returns after 10 min.
_PATIENCE = 1200.0


class Storm:
    """Strikes with faults in random order, each as often as any other, and keeps a list.

    Args:
        faults: are all swift.
        total: the number of published notifications at its end.
    """

    def __init__(self, faults: Sequence[Fault], total: int) -> None:
        self._faults = faults
        self._total = total
        #: The times of the faults, in seconds after the first, and their names.
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
        """The storm as one fault."""
        name = f"{self._total:,} notifications, {PROCESSES} processes"
        return Fault("storm", name, self.strike, processes=PROCESSES, patience=_PATIENCE)

    def log(self) -> str:
        """Return the faults so far, a line each."""
        return "\n".join(f"{at:7.1f} s  {name}" for at, name in self.struck)
