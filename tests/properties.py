"""How properties are tested."""

from typing import Final

from hypothesis import HealthCheck, settings

#: For every property: that a machine is busy is no failure.
PATIENT: Final = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
