"""The table of filters: for each row what is ignored and what is not."""

from typing import Any

import pytest

from cki_notifier.checkout.documents import Build, Checkout, CheckoutMisc
from cki_notifier.notification.models import Loaded, MergeRequest, Status
from cki_notifier.notification.reasons import IgnoreReason
from cki_notifier.rules.explain import SILENT
from cki_notifier.rules.filter import BEFORE_LOADING, ON_BUILDS, ON_CHECKOUT, ON_MERGE_REQUEST
from cki_notifier.rules.rule import first_match
from tests import factories

#: The statuses that arrive on the same exchange and concern nobody outside, and near misses.
OTHER_STATUSES = ("new", "updated", "needs_triage", "tests_finished", "", "READY_TO_REPORT")
CHANGED = Status.ISSUEOCCURRENCES_CHANGED


@pytest.mark.parametrize(
    ("reason", "changes"),
    [
        *(
            ("object-type", {"object_type": it})
            for it in ("build", "test", "issue", "", "Checkout")
        ),
        *(("status", {"status": it}) for it in OTHER_STATUSES),
        ("retriggered", {"retriggered": True}),
        *(("origin", {"origin": it}) for it in ("kernelci", "", "Redhat")),
        ("invalid", {"valid": False}),
        ("outcome-unchanged", {"status": CHANGED, "outcome_changed": False}),
    ],
)
def test_a_notification_is_ignored_for_what_it_says(reason: str, changes: dict[str, Any]) -> None:
    """The notification's own fields are enough to ignore it."""
    notification = factories.notification(**changes)

    assert first_match(BEFORE_LOADING, notification, SILENT) == reason


@pytest.mark.parametrize(
    "changes",
    [
        *({"status": it} for it in Status),
        *({"status": it, "outcome_changed": False} for it in Status if it != CHANGED),
        {"retriggered": False, "origin": "redhat", "valid": True},
        {"retriggered": None, "origin": None, "valid": None},
    ],
)
def test_a_notification_that_says_nothing_against_it_goes_on(changes: dict[str, Any]) -> None:
    """The four statuses pass, and what the notification's object leaves open."""
    notification = factories.notification(**changes)

    assert first_match(BEFORE_LOADING, notification, SILENT) is None


@pytest.mark.parametrize(
    ("reason", "checkout"),
    [
        ("retriggered", factories.checkout(misc={"retrigger": True})),
        ("origin", factories.checkout(origin="kernelci")),
        ("origin", factories.checkout(origin=None)),
        ("invalid", factories.checkout(valid=False)),
    ],
)
def test_a_loaded_checkout_is_looked_at_again(reason: str, checkout: Checkout) -> None:
    """Fields that the notification lacks are checked on the checkout."""
    assert first_match(ON_CHECKOUT, checkout, SILENT) == reason


@pytest.mark.parametrize(
    "checkout",
    [
        factories.checkout(),
        factories.checkout(valid=None),
        factories.checkout(misc={"retrigger": None}),
        Checkout(id="redhat:1", origin="redhat"),
        Checkout(id="redhat:1", origin="redhat", misc=CheckoutMisc()),
    ],
)
def test_a_valid_checkout_of_ours_goes_on(checkout: Checkout) -> None:
    """Only what is said against a checkout counts, its origin apart."""
    assert first_match(ON_CHECKOUT, checkout, SILENT) is None


TESTABLE = (
    Build(id="1"),
    Build(id="2", valid=True),
    Build(id="3", status="PASS"),
    Build(id="4", valid=True, status="PASS"),
)
NOT_TESTABLE = (
    Build(id="5", valid=False),
    Build(id="6", valid=False, status="PASS"),
    Build(id="7", valid=True, status="FAIL"),
    *(Build(id=it, status=it) for it in ("FAIL", "ERROR", "MISS", "DONE", "SKIP", "pass", "")),
)


@pytest.mark.parametrize("builds", [None, (), NOT_TESTABLE, *((it,) for it in NOT_TESTABLE)])
def test_a_checkout_without_a_build_to_test_is_ignored(builds: tuple[Build, ...] | None) -> None:
    """A build is left out when it is invalid, or has a status and did not pass."""
    assert first_match(ON_BUILDS, factories.loaded(builds=builds), SILENT) == "no-builds"


@pytest.mark.parametrize("build", TESTABLE)
def test_one_build_to_test_is_enough(build: Build) -> None:
    """A good build, or one of which nothing is known, makes up for all the others."""
    loaded = factories.loaded(builds=(*NOT_TESTABLE, build))

    assert first_match(ON_BUILDS, loaded, SILENT) is None


def ended_by_merge_request(
    loaded: Loaded, merge_request: MergeRequest | None
) -> IgnoreReason | None:
    """Apply the rules about the merge request."""
    return first_match(ON_MERGE_REQUEST, (loaded, merge_request), SILENT)


@pytest.mark.parametrize(
    ("reason", "changes"),
    [
        ("merge-request-merged", {"state": "merged"}),
        ("superseded", {"downstream_pipeline_ids": frozenset({1, 2})}),
        ("superseded", {"downstream_pipeline_ids": frozenset()}),
        ("merge-request-merged", {"state": "merged", "downstream_pipeline_ids": frozenset()}),
    ],
)
def test_a_merge_request_that_went_on_ends_it(reason: str, changes: dict[str, Any]) -> None:
    """A merged one comes before one whose newest pipeline has nothing to do with ours."""
    merge_request = factories.merge_request(**changes)

    assert ended_by_merge_request(factories.loaded(), merge_request) == reason


@pytest.mark.parametrize(
    "changes",
    [
        *({"state": it} for it in ("opened", "closed", "locked")),
        {"head_pipeline_id": factories.PIPELINE_ID, "downstream_pipeline_ids": frozenset()},
        {"downstream_pipeline_ids": frozenset({1, factories.PIPELINE_ID})},
        {"head_pipeline_id": None, "downstream_pipeline_ids": frozenset()},
        {"downstream_pipeline_ids": None},
        {"is_draft": True},
    ],
)
def test_a_merge_request_with_our_pipeline_goes_on(changes: dict[str, Any]) -> None:
    """Ours is the head pipeline or downstream of it, or there is no head pipeline."""
    merge_request = factories.merge_request(**changes)

    assert ended_by_merge_request(factories.loaded(), merge_request) is None


@pytest.mark.parametrize("pipeline", [None, "https://gitlab.com/group/kernel/-/pipelines/latest"])
def test_an_unknown_pipeline_is_not_superseded(pipeline: str | None) -> None:
    """Where the checkout's pipeline has no known id there is nothing to compare."""
    loaded = factories.loaded(checkout=factories.checkout(pipeline=pipeline))
    merge_request = factories.merge_request(downstream_pipeline_ids=frozenset())

    assert ended_by_merge_request(loaded, merge_request) is None


def test_a_checkout_without_a_merge_request_goes_on() -> None:
    """There is nothing that could be merged or superseded."""
    assert ended_by_merge_request(factories.loaded(), None) is None
