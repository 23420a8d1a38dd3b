"""The filters, in the design's order: cheap ones first."""

from cki_notifier.checkout.documents import Checkout, testable_builds
from cki_notifier.checkout.links import own_pipeline_id
from cki_notifier.notification.models import Loaded, MergeRequest, Notification, Status
from cki_notifier.notification.reasons import IgnoreReason
from cki_notifier.rules.rule import Rule

#: The only origin whose checkouts concern outside testers.
ORIGIN = "redhat"
_STATUSES = frozenset(Status)

#: Filters that need no documents. ``outcome-unchanged`` belongs to a route, but is as cheap.
BEFORE_LOADING: tuple[Rule[Notification], ...] = (
    Rule(
        IgnoreReason.OBJECT_TYPE,
        lambda it: it.object_type != "checkout",
        lambda it: f"object_type {it.object_type!r}",
    ),
    Rule(
        IgnoreReason.STATUS,
        lambda it: it.status not in _STATUSES,
        lambda it: f"status {it.status!r}",
    ),
    Rule(
        IgnoreReason.RETRIGGERED,
        lambda it: it.retriggered is True,
        lambda it: f"notification's misc.retrigger {_said(it.retriggered)}",
    ),
    Rule(
        IgnoreReason.ORIGIN,
        lambda it: it.origin is not None and it.origin != ORIGIN,
        lambda it: f"notification's origin {_said(it.origin)}",
    ),
    Rule(
        IgnoreReason.INVALID,
        lambda it: it.valid is False,
        lambda it: f"notification's valid {_said(it.valid)}",
    ),
    Rule(
        IgnoreReason.OUTCOME_UNCHANGED,
        lambda it: it.status == Status.ISSUEOCCURRENCES_CHANGED and not it.outcome_changed,
        lambda it: (
            f"notification's misc.checkout_outcome_changed {_said(it.outcome_changed)}"
            if it.status == Status.ISSUEOCCURRENCES_CHANGED
            else f"does not apply to {it.status}"
        ),
    ),
)

#: The same on the loaded checkout, for a notification with few fields.
ON_CHECKOUT: tuple[Rule[Checkout], ...] = (
    Rule(
        IgnoreReason.RETRIGGERED,
        lambda it: it.misc is not None and it.misc.retrigger is True,
        lambda it: f"checkout's misc.retrigger {_said(it.misc.retrigger if it.misc else None)}",
    ),
    Rule(
        IgnoreReason.ORIGIN,
        lambda it: it.origin != ORIGIN,
        lambda it: f"checkout's origin {_said(it.origin)}",
    ),
    Rule(
        IgnoreReason.INVALID,
        lambda it: it.valid is False,
        lambda it: f"checkout's valid {_said(it.valid)}",
    ),
)

ON_BUILDS: tuple[Rule[Loaded], ...] = (
    Rule(
        IgnoreReason.NO_BUILDS,
        lambda it: not testable_builds(it.builds or ()),
        lambda it: (
            f"{len(testable_builds(it.builds or ()))} of {len(it.builds or ())} builds "
            "can be tested"
        ),
    ),
)


def is_superseded(loaded: Loaded, merge_request: MergeRequest) -> bool:
    """Tell whether the merge request's newest pipeline is neither ours nor upstream of ours.

    Compares pipelines by their ids. If one side is unknown, or GitLab refuses to list downstream
    pipelines, the checkout is not superseded.
    """
    own, head = own_pipeline_id(loaded.checkout), merge_request.head_pipeline_id
    downstream = merge_request.downstream_pipeline_ids
    if not own or head is None or downstream is None:
        return False
    return own != head and own not in downstream


ON_MERGE_REQUEST: tuple[Rule[tuple[Loaded, MergeRequest | None]], ...] = (
    Rule(
        IgnoreReason.MERGE_REQUEST_MERGED,
        lambda it: it[1] is not None and it[1].state == "merged",
        lambda it: f"merge request is {it[1].state}" if it[1] else "no merge request",
    ),
    Rule(
        IgnoreReason.SUPERSEDED,
        lambda it: it[1] is not None and is_superseded(it[0], it[1]),
        lambda it: _pipelines_seen(*it),
    ),
)


def _said(value: object) -> str:
    return "not given" if value is None else str(value).lower()


def _pipelines_seen(loaded: Loaded, merge_request: MergeRequest | None) -> str:
    if merge_request is None:
        return "no merge request"
    ids = merge_request.downstream_pipeline_ids
    known = ", ".join(map(str, sorted(ids or ()))) or "none known"
    downstream = "unknown, GitLab refuses" if ids is None else known
    return (
        f"checkout's pipeline {own_pipeline_id(loaded.checkout) or 'unknown'}, head pipeline "
        f"{merge_request.head_pipeline_id or 'unknown'}, downstream of it {downstream}"
    )
