"""Factories for the package's own values, from the services' documents.

Each takes changes as keywords. For a checkout or a build, they change its document in
`tools.stand_ins.documents`. For others, they replace fields.
"""

from typing import Any, Final

import msgspec
from msgspec.structs import replace

from cki_notifier.checkout.documents import Build, Checkout
from cki_notifier.notification.models import JiraIssue, Loaded, MergeRequest, Notification, Status
from tools.stand_ins import documents

CHECKOUT_ID: Final = documents.CHECKOUT_ID
#: The id of the pipeline of the factories' checkout.
PIPELINE_ID: Final = 2167003491
MERGE_REQUEST_URL: Final = "https://gitlab.com/group/kernel/-/merge_requests/7"


def notification(status: str = Status.READY_TO_REPORT, **changes: Any) -> Notification:
    """Return a notification that no rule ignores before something is loaded."""
    usual = Notification(
        event_id="0e0d8908-4067-d4af-0bdf-3c0cfb179974",
        checkout_id=CHECKOUT_ID,
        object_type="checkout",
        status=status,
        outcome_changed=True,
    )
    return replace(usual, **changes)


def checkout(**changes: Any) -> Checkout:
    """Return a checkout of a merge request's pipeline that is ready to be reported."""
    document = documents.checkout(**({"merge_request": MERGE_REQUEST_URL} | changes))
    return msgspec.convert(document, Checkout)


def build(architecture: str = "x86_64", **changes: Any) -> Build:
    """Return a valid build of the factories' checkout."""
    document = documents.build({"id": CHECKOUT_ID}, architecture, **changes)
    return msgspec.convert(document, Build)


def loaded(**changes: Any) -> Loaded:
    """Return a completely loaded checkout with one build and no failure."""
    return replace(
        Loaded(checkout=checkout(), builds=(build(),), overall_status="success"), **changes
    )


def merge_request(**changes: Any) -> MergeRequest:
    """Return an open merge request whose newest pipeline triggered the checkout's."""
    usual = MergeRequest(
        url=MERGE_REQUEST_URL,
        state="opened",
        is_draft=False,
        head_pipeline_id=1549912345,
        downstream_pipeline_ids=frozenset({PIPELINE_ID}),
    )
    return replace(usual, **changes)


def jira_issue(key: str = "RHEL-40001") -> JiraIssue:
    """Return an issue of a message."""
    return JiraIssue(
        key=key,
        url=f"https://issues.example.com/browse/{key}",
        summary="ice: link flaps on resume",
        status="In Progress",
        priority="Major",
        components=("kernel / Networking",),
        fix_versions=("rhel-9.6",),
        labels=("kernel",),
    )
