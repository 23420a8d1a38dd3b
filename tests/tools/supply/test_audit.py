"""The search for known vulnerabilities, as far as it goes without asking anybody."""

import subprocess
import sys

import pytest

from tools import PROJECT
from tools.supply.locks import BUILD, EVERYTHING, RUN_TIME, Lock, pins_of


def test_every_lock_file_is_audited() -> None:
    """The script names each that isn't wholly contained in another one, and doesn't skip."""
    script = (PROJECT / "scripts/audit").read_text()
    assert f"for audit_lock in {RUN_TIME.name} {BUILD.name} {EVERYTHING.name}; do" in script
    assert " --strict " in script


@pytest.mark.parametrize("lock", [RUN_TIME, BUILD, EVERYTHING], ids=lambda lock: lock.name)
def test_every_package_is_asked_about(lock: Lock) -> None:
    """Pip-audit reads the lock files as they are, and finds in them what is locked for here."""
    options = ["--strict", "--require-hashes", "--disable-pip", "--progress-spinner=off"]
    result = subprocess.run(
        [sys.executable, "-m", "pip_audit", "--dry-run", *options, "-r", PROJECT / lock.name],
        capture_output=True,
        text=True,
        check=True,
    )
    count = sum(pin.holds() for pin in pins_of(lock))
    assert f"would have audited {count} packages" in result.stderr
