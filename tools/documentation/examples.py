"""The example records of the documentation. The daemon's code builds them from sample documents.

The samples are one merge request's checkout in DataWarehouse, GitLab and Jira.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from cki_notifier.checkout.documents import Everything
from cki_notifier.checkout.trailers import trailers
from cki_notifier.checkout.triage import Evidence, overall_status
from cki_notifier.kafka.publish import Record
from cki_notifier.message.build import build_message
from cki_notifier.message.event import record_of
from cki_notifier.notification.models import JiraIssue, Loaded, MergeRequest, Stage, Status
from cki_notifier.notification.parse import parse
from cki_notifier.sources.gitlab import Bridge, MergeRequestDocument
from tools.stand_ins.documents import SAMPLES, sample

#: The DataWarehouse of the examples.
SOURCE: Final = "https://datawarehouse.example.com"
#: The status and the time of DataWarehouse's notification about each stage.
_ANNOUNCED: Final = {
    Stage.PRE_TEST: (Status.BUILD_SETUPS_FINISHED, datetime(2026, 11, 20, 8, 15, 40, tzinfo=UTC)),
    Stage.POST_TEST: (Status.READY_TO_REPORT, datetime(2026, 11, 20, 12, 30, 0, tzinfo=UTC)),
}
#: The delay of the message after that.
_LATENCY: Final = timedelta(seconds=1)


def text(name: str) -> bytes:
    """Return a sample's bytes."""
    return (SAMPLES / f"{name}.json").read_bytes()


def evidence() -> Evidence:
    """Return the evidence for the sample checkout's status."""
    return msgspec.json.decode(text("checkout-all"), type=Evidence)


def everything() -> Loaded:
    """Return the sample checkout with its builds and status."""
    document = msgspec.json.decode(text("checkout-all"), type=Everything)
    return Loaded(
        checkout=document.checkouts[0],
        builds=document.builds,
        overall_status=overall_status(evidence()),
    )


def merge_request() -> MergeRequest:
    """Return the sample merge request with its Jira issue."""
    document = msgspec.json.decode(text("merge-request"), type=MergeRequestDocument)
    bridges = msgspec.json.decode(text("pipeline-bridges"), type=tuple[Bridge, ...])
    links = trailers(document.description)
    (issue,) = sample("jira-search")["issues"]
    told = issue["fields"]
    return MergeRequest(
        url=sample("merge-request")["web_url"],
        state=document.state,
        is_draft=document.draft is True,
        labels=document.labels or (),
        jira=links.jira,
        bugzilla=links.bugzilla,
        head_pipeline_id=document.head_pipeline.id if document.head_pipeline else None,
        downstream_pipeline_ids=frozenset(
            it.downstream_pipeline.id for it in bridges if it.downstream_pipeline
        ),
        jira_issues=(
            JiraIssue(
                key=issue["key"],
                url=links.jira[0],
                summary=told["summary"],
                status=told["status"]["name"],
                priority=told["priority"]["name"],
                components=tuple(it["name"] for it in told["components"]),
                fix_versions=tuple(it["name"] for it in told["fixVersions"]),
                labels=tuple(told["labels"]),
            ),
        ),
    )


def record(stage: Stage) -> Record:
    """Return the record of a stage for the sample notification."""
    status, occurred_at = _ANNOUNCED[stage]
    changes = {"status": status, "timestamp": occurred_at.isoformat()}
    said = sample("notification-ready-to-report") | changes
    now = occurred_at + _LATENCY
    message = build_message(everything(), merge_request(), stage, now)
    notification = parse(msgspec.json.encode(said))
    return record_of(message, notification, stage, source=SOURCE, now=now)
