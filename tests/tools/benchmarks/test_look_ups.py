"""The benchmark of lookups, with a few records."""

import re

import pytest

from tools.benchmarks.look_ups import main


def test_a_quick_run_measures_all(capsys: pytest.CaptureFixture[str]) -> None:
    """Each round has its line."""
    assert main(["--records", "300", "--bytes", "100", "--rounds", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert all(re.match(r"the first lookup, which reads all: [0-9.]+ s, ", it) for it in lines)
