"""The alert rules: each fires when it should, not otherwise, and leads to its runbook section."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.deploy.monitoring.files import ALERTS, CASES, RUNBOOK, alerts, cases, sections
from tests.deploy.monitoring.promql import promtool

_ADDRESS = "https://gitlab.com/cki-project/cki-notifier/-/blob/main/docs/runbook.md#"
each_alert: Callable[..., Any] = pytest.mark.parametrize(
    "alert", alerts(), ids=lambda alert: alert["alert"]
)


def test_promtool_takes_the_rules() -> None:
    """The rule file is one that Prometheus can load."""
    result = promtool("check", "rules", ALERTS)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("file", CASES, ids=lambda file: file.name)
def test_alerts_fire_when_they_should(file: object) -> None:
    """Every case, with its series of metrics, ends as it says."""
    result = promtool("test", "rules", str(file))
    assert result.returncode == 0, result.stdout + result.stderr


@each_alert
def test_each_alert_has_a_case_that_fires_it_and_one_that_does_not(alert: dict[str, Any]) -> None:
    """Each alert has a case in which it fires and one in which it stays silent."""
    seen = {fires for name, fires in cases() if name == alert["alert"]}
    assert seen == {True, False}


@each_alert
def test_each_alert_says_what_is_wrong_and_what_to_do(alert: dict[str, Any]) -> None:
    """It has a delay, a severity, a summary, a description, and the link to its section."""
    assert re.fullmatch(r"\d+[mh]", alert["for"])
    assert alert["labels"]["severity"] in {"critical", "warning"}
    notes = alert["annotations"]
    assert notes["summary"]
    assert notes["description"]
    anchor = alert["alert"].lower()
    assert notes["runbook_url"] == _ADDRESS + anchor
    assert anchor in sections(RUNBOOK)


def test_the_runbook_has_no_section_for_an_alert_that_is_gone() -> None:
    """Each section about an alert belongs to an alert that exists."""
    names = {alert["alert"].lower() for alert in alerts()}
    assert {anchor for anchor in sections(RUNBOOK) if anchor.startswith("ckinotifier")} == names
