"""The licenses of the run-time packages, and what the check says to others."""

from pathlib import Path

import pytest

from tests.tools.supply.distributions import install
from tools.supply.licences import READINGS, declared, faults, is_allowed
from tools.supply.locks import RUN_TIME, pins_of


def test_every_run_time_package_may_be_combined_with_ours() -> None:
    """Each license is an allowed one, or was read by somebody who wrote down where."""
    assert list(faults(pin.name for pin in pins_of(RUN_TIME) if pin.holds())) == []


def test_every_reading_has_a_reason() -> None:
    """Each reading names the file with the license."""
    assert all("LICENSE" in reason for _, reason in READINGS.values())


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [
        ("MIT", True),
        ("Apache-2.0 AND BSD-2-Clause", True),
        ("LGPL-2.1-only OR MIT", True),
        ("(GPL-2.0-only OR MIT) AND ISC", True),
        ("GPL-2.0-only", False),
        ("AGPL-3.0-only", False),
        ("SSPL-1.0", False),
        ("MIT AND BUSL-1.1", False),
        ("GPL-2.0-only OR SSPL-1.0", False),
        ("GPL-2.0-only WITH Classpath-exception-2.0", False),
    ],
)
def test_a_licence_is_allowed_when_a_choice_of_allowed_ones_is(
    expression: str, *, allowed: bool
) -> None:
    """Of alternatives one must be allowed, of things that come together each."""
    assert is_allowed(expression) is allowed


def test_words_that_are_no_licence_are_refused() -> None:
    """Nothing is taken for a license that SPDX doesn't know."""
    with pytest.raises(ValueError, match="no SPDX expression"):
        is_allowed("do as you like")


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        (["License-Expression: AGPL-3.0-only"], "freeware is AGPL-3.0-only, which is not in"),
        (["License: GPL-2.0-only"], "freeware is GPL-2.0-only, which is not in ALLOWED"),
        (["License: see the web site"], "freeware declares no license in SPDX's words"),
        (["Classifier: License :: OSI Approved :: BSD License"], "freeware declares no license"),
        ([], "freeware declares no license"),
    ],
)
def test_a_forbidden_or_unknown_licence_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fields: list[str], fault: str
) -> None:
    """A package with such metadata fails the check, wherever the metadata says it."""
    install(tmp_path, "freeware", "1.0", *fields)
    monkeypatch.syspath_prepend(str(tmp_path))
    (found,) = faults(["freeware"])
    assert found.startswith(fault)


def test_the_newest_field_counts_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """License-Expression takes precedence over older fields."""
    classifier = "Classifier: License :: OSI Approved :: MIT License"
    install(tmp_path, "freeware", "1.0", "License-Expression: ISC", "License: MIT", classifier)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert declared("freeware") == "ISC"


def test_a_reading_that_is_no_longer_needed_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When a package says its license itself, nobody's reading stays."""
    install(tmp_path, "freeware", "99", "License-Expression: BSD-2-Clause")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(READINGS, "freeware", ("BSD-2-Clause", "its LICENSE file says so"))
    (found,) = faults(["freeware"])
    assert found == "freeware declares BSD-2-Clause itself by now: take it out of READINGS"


def test_a_package_that_is_not_installed_is_a_fault() -> None:
    """A license that can't be read is a fault."""
    assert list(faults(["no-such-package"])) == [
        "no-such-package is not installed, so its license can't be read"
    ]
