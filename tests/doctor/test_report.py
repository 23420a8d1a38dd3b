"""How the doctor's findings are shown: as a table and as JSON."""

import json
from io import StringIO

import pytest

from cki_notifier.doctor.check import Finding, State, failed, ok, skipped, warning
from cki_notifier.doctor.report import as_json, summary, table, worst

FINDINGS = [
    ok("kafka", "connected"),
    warning("rabbitmq dead letters", "3 dead letters", "see what they are"),
    failed("jira", "the token is refused", "renew it"),
    skipped("gitlab", "not configured"),
]


def test_a_row_has_state_name_and_text_below_each_other() -> None:
    """The advice has a line of its own, below the text."""
    assert list(table(FINDINGS, StringIO())) == [
        "ok       kafka                  connected",
        "warning  rabbitmq dead letters  3 dead letters",
        "                                -> see what they are",
        "failed   jira                   the token is refused",
        "                                -> renew it",
        "skipped  gitlab                 not configured",
    ]


def test_nothing_in_a_finding_reaches_a_terminal_raw() -> None:
    """Services and brokers may say anything."""
    evil = "\x1b]0;owned\x07\x9b31m\u202e\r\nok  forged"
    lines = list(table([failed(evil, evil, evil)], StringIO()))
    assert len(lines) == 2
    assert all(line.isprintable() for line in lines)
    assert as_json([failed(evil, evil, evil)]).isprintable()


def test_json_is_one_object_with_all_checks() -> None:
    """Each with its name, state, text and advice; the worst state is the object's own."""
    assert json.loads(as_json(FINDINGS)) == {
        "state": "failed",
        "checks": [
            {"name": it.name, "state": it.state.value, "text": it.text, "advice": it.advice}
            for it in FINDINGS
        ],
    }


def test_a_summary_counts_the_worst_first() -> None:
    """States that there are none of are left out."""
    assert summary([*FINDINGS, ok("x", "y")]) == "1 failed, 1 warning, 2 ok, 1 skipped"
    assert summary(FINDINGS[:1]) == "1 ok"


@pytest.mark.parametrize(
    ("findings", "state"),
    [
        (FINDINGS, State.FAILED),
        (FINDINGS[:2], State.WARNING),
        (FINDINGS[:1], State.OK),
        (FINDINGS[3:], State.SKIPPED),
    ],
)
def test_the_worst_state_is_that_of_all(findings: list[Finding], state: State) -> None:
    """A skipped row is no worse than a good one."""
    assert worst(findings) == state
