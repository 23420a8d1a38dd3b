"""The explanation of a decision."""

from typing import Any

import pytest

from cki_notifier.notification.models import Loaded, MergeRequest, Status
from cki_notifier.notification.reasons import IgnoreReason
from cki_notifier.rules.explain import SILENT, Step, Trail
from cki_notifier.rules.filter import BEFORE_LOADING, ON_BUILDS, ON_CHECKOUT, ON_MERGE_REQUEST
from cki_notifier.rules.rule import Rule, first_match
from tests import factories

#: Two rules about a number.
RULES = (
    Rule[int](IgnoreReason.ORIGIN, lambda it: it < 0, lambda it: f"saw {it}"),
    Rule[int](IgnoreReason.INVALID, lambda it: it > 9, lambda it: f"noticed {it}"),
)


def explained(number: int) -> list[Step]:
    """Return the steps of applying the rules to a number."""
    trail = Trail()
    first_match(RULES, number, trail)
    return trail.steps


def test_the_first_rule_that_applies_is_the_last_step() -> None:
    """Each rule up to it says what it saw."""
    assert explained(-1) == [Step("origin", "saw -1", "stop")]
    assert explained(10) == [
        Step("origin", "saw 10", "pass"),
        Step("invalid", "noticed 10", "stop"),
    ]
    assert explained(1) == [
        Step("origin", "saw 1", "pass"),
        Step("invalid", "noticed 1", "pass"),
    ]


def test_who_does_not_want_to_know_is_told_nothing() -> None:
    """The daemon's own trail stays empty, and the rules do not even say what they see."""

    def saw(_number: int) -> str:
        raise AssertionError

    rule = Rule[int](IgnoreReason.ORIGIN, lambda it: it < 0, saw)

    assert first_match([rule], -1, SILENT) == "origin"
    SILENT.note("route", "something")
    assert SILENT.steps == []
    assert SILENT.rows() == []


def test_a_trail_has_a_row_for_each_rule() -> None:
    """The rules that were not looked at any more are named at the end."""
    trail = Trail()
    trail.note("object-type", "object_type 'checkout'")
    trail.note("status", "status 'new'", stops=True)

    assert trail.rows() == [
        ("pass", "object-type", "object_type 'checkout'"),
        ("stop", "status", "status 'new'"),
        ("", "not looked at", ", ".join(list(IgnoreReason)[2:])),
    ]


def test_a_trail_to_the_end_leaves_nothing_out() -> None:
    """Rules that do not concern the status are not missed when a message is sent."""
    trail = Trail()
    trail.note("route", "status unknown leads to a pre-test message")

    assert trail.rows() == [("pass", "route", "status unknown leads to a pre-test message")]
    assert Trail().rows() == []


def test_a_trail_tells_programs_the_same() -> None:
    """Each step with its rule, what was seen and its result; the rules without a step beside."""
    trail = Trail()
    trail.note("object-type", "object_type 'checkout'")
    trail.note("status", "status 'new'", stops=True)

    assert tuple(trail.steps) == (
        Step("object-type", "object_type 'checkout'", "pass"),
        Step("status", "status 'new'", "stop"),
    )
    assert trail.missing() == list(IgnoreReason)[2:]


def test_nothing_is_left_to_look_at_when_every_rule_was_applied() -> None:
    """Then the last line is the one that stops."""
    trail = Trail()
    for reason in IgnoreReason:
        trail.note(reason, "", stops=reason is IgnoreReason.STILL_FAILING)

    assert trail.rows()[-1][:2] == ("stop", "still-failing")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"status": "unknown"},
            [
                "object_type 'checkout'",
                "status 'unknown'",
                "notification's misc.retrigger not given",
                "notification's origin not given",
                "notification's valid not given",
                "does not apply to unknown",
            ],
        ),
        (
            {"retriggered": False, "origin": "redhat", "valid": True}
            | {"status": Status.ISSUEOCCURRENCES_CHANGED.value},
            [
                "object_type 'checkout'",
                "status 'checkout_issueoccurrences_changed'",
                "notification's misc.retrigger false",
                "notification's origin redhat",
                "notification's valid true",
                "notification's misc.checkout_outcome_changed true",
            ],
        ),
    ],
)
def test_rules_say_what_the_notification_told(changes: dict[str, Any], told: list[str]) -> None:
    """A missing field is shown as not given."""
    trail = Trail()
    first_match(BEFORE_LOADING, factories.notification(**changes), trail)

    assert [step.saw for step in trail.steps] == told


def saws(loaded: Loaded, merge_request: MergeRequest | None) -> list[str]:
    """Return what the rules about loaded things say they saw."""
    trail = Trail()
    first_match(ON_CHECKOUT, loaded.checkout, trail)
    first_match(ON_BUILDS, loaded, trail)
    first_match(ON_MERGE_REQUEST, (loaded, merge_request), trail)
    return [step.saw for step in trail.steps]


def test_rules_say_what_was_loaded() -> None:
    """Facts come with the fields they stand in, pipelines with their ids."""
    loaded = factories.loaded(builds=(factories.build(valid=False), factories.build("s390x")))
    merge_request = factories.merge_request(downstream_pipeline_ids=frozenset({34, 12}))

    assert saws(loaded, merge_request) == [
        "checkout's misc.retrigger false",
        "checkout's origin redhat",
        "checkout's valid true",
        "1 of 2 builds can be tested",
        "merge request is opened",
        "checkout's pipeline 2167003491, head pipeline 1549912345, downstream of it 12, 34",
    ]


def test_rules_say_what_is_unknown() -> None:
    """A checkout that says little, a merge request without pipelines, and one that is none."""
    loaded = factories.loaded(checkout=factories.checkout(misc=None, valid=None), builds=None)
    nothing = factories.merge_request(head_pipeline_id=None, downstream_pipeline_ids=frozenset())

    assert saws(loaded, nothing) == [
        "checkout's misc.retrigger not given",
        "checkout's origin redhat",
        "checkout's valid not given",
        "0 of 0 builds can be tested",
        "merge request is opened",
        "checkout's pipeline unknown, head pipeline unknown, downstream of it none known",
    ]
    assert saws(loaded, None)[-2:] == ["no merge request", "no merge request"]
    refused = factories.merge_request(downstream_pipeline_ids=None)
    assert saws(loaded, refused)[-1].endswith("downstream of it unknown, GitLab refuses")
