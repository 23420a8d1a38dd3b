"""The unit for systemd and its environment, as the tests read them."""

import shlex
from typing import Final

from tools import PROJECT

UNIT: Final = PROJECT / "deploy" / "systemd" / "cki-notifier.service"
ENVIRONMENT: Final = PROJECT / "deploy" / "systemd" / "cki-notifier.env"
PAGE: Final = PROJECT / "docs" / "systemd.md"


def settings() -> dict[str, list[str]]:
    """Return the values of each of the unit's settings, in their order."""
    found: dict[str, list[str]] = {}
    for line in UNIT.read_text().splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


def setting(name: str) -> str:
    """Return the value of a setting that is there once."""
    (value,) = settings()[name]
    return value


def environment() -> dict[str, str]:
    """Return the variables of the example, without the quotes."""
    lines = ENVIRONMENT.read_text().splitlines()
    words = [shlex.split(line) for line in lines if line and not line.startswith("#")]
    assert all(len(word) == 1 for word in words)
    return dict(word.split("=", 1) for (word,) in words)
