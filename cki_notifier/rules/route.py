"""The routes of the design: the stage of a notification's message, if any."""

from cki_notifier.checkout.documents import Checkout
from cki_notifier.notification.models import Loaded, Notification, Stage, Status
from cki_notifier.notification.reasons import IgnoreReason
from cki_notifier.rules.explain import Trail
from cki_notifier.rules.rule import Rule, first_match

_BY_STATUS = {
    Status.BUILD_SETUPS_FINISHED: Stage.PRE_TEST,
    Status.READY_TO_REPORT: Stage.POST_TEST,
    Status.ISSUEOCCURRENCES_CHANGED: Stage.POST_TEST,
}

_OF_UNKNOWN: tuple[Rule[Checkout], ...] = (
    Rule(
        IgnoreReason.STAGE_NOT_REACHED,
        lambda it: stage_by_flags(it) is None,
        lambda it: (
            f"misc.ready_to_report {str(_is_ready(it)).lower()}, "
            f"misc.notification_sent_build_setups_finished {str(_has_builds(it)).lower()}"
        ),
    ),
)

_OF_ISSUEOCCURRENCES: tuple[Rule[Loaded], ...] = (
    Rule(
        IgnoreReason.NOT_REPORTED_YET,
        lambda it: not _is_ready(it.checkout),
        lambda it: f"misc.ready_to_report {str(_is_ready(it.checkout)).lower()}",
    ),
    Rule(
        IgnoreReason.STILL_FAILING,
        lambda it: it.overall_status != "success",
        lambda it: f"overall status {it.overall_status}",
    ),
)


def stage_by_status(status: str) -> Stage | None:
    """Return the stage of a status, None for ``unknown``.

    DataWarehouse may send a status before it stores the checkout's flags for it, so no flag is
    needed.
    """
    return _BY_STATUS.get(Status(status))


def stage_by_flags(checkout: Checkout) -> Stage | None:
    """Return the stage by the checkout's flags, None if it reached none."""
    if _is_ready(checkout):
        return Stage.POST_TEST
    if _has_builds(checkout):
        return Stage.PRE_TEST
    return None


def route(
    notification: Notification, loaded: Loaded, stage: Stage | None, trail: Trail
) -> Stage | IgnoreReason:
    """Return the message's stage, or why there is none.

    Args:
        notification: one that passed all filters.
        loaded: the checkout with its builds; complete for a post-test message.
        stage: from :func:`stage_by_status` or :func:`stage_by_flags`.
        trail: collects the rules' explanations.
    """
    reason = None
    if notification.status == Status.UNKNOWN:
        reason = None if stage else first_match(_OF_UNKNOWN, loaded.checkout, trail)
    elif notification.status == Status.ISSUEOCCURRENCES_CHANGED:
        reason = first_match(_OF_ISSUEOCCURRENCES, loaded, trail)
    if reason or stage is None:
        return reason or IgnoreReason.STAGE_NOT_REACHED
    trail.note("route", f"status {notification.status} leads to a {stage} message")
    return stage


def _is_ready(checkout: Checkout) -> bool:
    return checkout.misc is not None and checkout.misc.ready_to_report is True


def _has_builds(checkout: Checkout) -> bool:
    misc = checkout.misc
    return misc is not None and misc.notification_sent_build_setups_finished is True
