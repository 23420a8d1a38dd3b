"""The table of routes: which message a status leads to, and when to none."""

from typing import Any

import pytest

from cki_notifier.checkout.documents import Checkout, CheckoutMisc
from cki_notifier.notification.models import Stage, Status
from cki_notifier.rules.explain import SILENT
from cki_notifier.rules.route import route, stage_by_flags, stage_by_status
from tests import factories

FLAGS = ("ready_to_report", "notification_sent_build_setups_finished")
NO_FLAGS = dict.fromkeys(FLAGS, False)


@pytest.mark.parametrize(
    ("status", "stage"),
    [
        ("build_setups_finished", Stage.PRE_TEST),
        ("ready_to_report", Stage.POST_TEST),
        ("unknown", None),
        ("checkout_issueoccurrences_changed", Stage.POST_TEST),
    ],
)
def test_the_status_tells_the_stage(status: str, stage: Stage | None) -> None:
    """Each status but `unknown` belongs to one stage, before anything is loaded."""
    assert stage_by_status(status) == stage


@pytest.mark.parametrize(
    ("ready", "finished", "stage"),
    [
        (True, True, Stage.POST_TEST),
        (True, False, Stage.POST_TEST),
        (True, None, Stage.POST_TEST),
        (False, True, Stage.PRE_TEST),
        (None, True, Stage.PRE_TEST),
        (False, False, None),
        (None, None, None),
    ],
)
def test_the_flags_tell_the_stage_of_unknown(
    ready: bool | None,  # noqa: FBT001  # a parameter of the case
    finished: bool | None,  # noqa: FBT001  # a parameter of the case
    stage: Stage | None,
) -> None:
    """A checkout that is ready to be reported is post-test, with or without the other flag."""
    misc = CheckoutMisc(ready_to_report=ready, notification_sent_build_setups_finished=finished)

    assert stage_by_flags(Checkout(id="redhat:1", misc=misc)) == stage


def test_a_checkout_without_misc_reached_no_stage() -> None:
    """Missing flags are flags that are not set."""
    assert stage_by_flags(Checkout(id="redhat:1")) is None


@pytest.mark.parametrize(
    ("status", "stage"),
    [(Status.BUILD_SETUPS_FINISHED, Stage.PRE_TEST), (Status.READY_TO_REPORT, Stage.POST_TEST)],
)
@pytest.mark.parametrize("misc", [None, NO_FLAGS, {}])
def test_a_status_is_trusted_before_its_flags(
    status: Status, stage: Stage, misc: dict[str, bool] | None
) -> None:
    """No flag is waited for, and a failure does not change the route."""
    loaded = factories.loaded(checkout=factories.checkout(misc=misc), overall_status="fail")
    notification = factories.notification(status, outcome_changed=False)

    assert route(notification, loaded, stage_by_status(status), SILENT) == stage


@pytest.mark.parametrize(
    ("misc", "expected"),
    [
        ({}, Stage.POST_TEST),
        ({"ready_to_report": False}, Stage.PRE_TEST),
        (NO_FLAGS, "stage-not-reached"),
        (None, "stage-not-reached"),
    ],
)
def test_unknown_goes_as_far_as_the_checkout(misc: dict[str, bool] | None, expected: str) -> None:
    """The flags of the loaded checkout decide; a failure does not matter."""
    loaded = factories.loaded(checkout=factories.checkout(misc=misc), overall_status="fail")
    stage = stage_by_flags(loaded.checkout)

    assert route(factories.notification("unknown"), loaded, stage, SILENT) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, Stage.POST_TEST),
        ({"overall_status": "success"}, Stage.POST_TEST),
        ({"overall_status": "fail"}, "still-failing"),
        ({"overall_status": "error"}, "still-failing"),
        ({"checkout": factories.checkout(misc={"ready_to_report": False})}, "not-reported-yet"),
        ({"checkout": factories.checkout(misc={"ready_to_report": None})}, "not-reported-yet"),
        ({"checkout": factories.checkout(misc=None)}, "not-reported-yet"),
        (
            {"checkout": factories.checkout(misc=NO_FLAGS), "overall_status": "fail"},
            "not-reported-yet",
        ),
    ],
)
def test_a_triage_leads_to_a_message_when_all_is_well(
    changes: dict[str, Any], expected: str
) -> None:
    """The checkout has to be reported already, and nothing of it may be failing any more."""
    notification = factories.notification(Status.ISSUEOCCURRENCES_CHANGED)

    assert route(notification, factories.loaded(**changes), Stage.POST_TEST, SILENT) == expected
