"""The values that the steps pass on: frozen, typed, without behavior."""

from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from cki_notifier.checkout.documents import Build, Checkout
from cki_notifier.checkout.triage import OverallStatus
from cki_notifier.notification.reasons import IgnoreReason


class Status(StrEnum):
    """The statuses that can lead to a message."""

    BUILD_SETUPS_FINISHED = "build_setups_finished"
    READY_TO_REPORT = "ready_to_report"
    UNKNOWN = "unknown"
    ISSUEOCCURRENCES_CHANGED = "checkout_issueoccurrences_changed"


class Stage(StrEnum):
    """The stage of a checkout: its builds are ready, or CKI's own tests are over."""

    PRE_TEST = "pre-test"
    POST_TEST = "post-test"


#: ``ce_type`` by stage.
EVENT_TYPES = {
    Stage.PRE_TEST: "org.cki-project.ready-for-test.pre",
    Stage.POST_TEST: "org.cki-project.ready-for-test.post",
}


class Notification(Struct, frozen=True, kw_only=True):
    """One notification of DataWarehouse, as far as the rules read it.

    Attributes:
        event_id: becomes ``ce_id``. The same for each attempt at an event; a new one each time for
            an ambiguous event (see :mod:`cki_notifier.notification.parse`).
        checkout_id: the KCIDB id (or, in a manual run, perhaps the iid).
        object_type: any string; only ``checkout`` goes on.
        status: any string; only those of :class:`Status` go on.
        retriggered, origin, valid: of the notification's own object, else None.
        outcome_changed: whether the triage changed the checkout's outcome.
        occurred_at: the notification's own time with its zone, None when it has none.
        existed_at: a time at which the notification existed, None if unknown.
        may_be_repeat: whether it may have been handled before, so that the topic may have its
            message. False for an ambiguous event.
    """

    event_id: str
    checkout_id: str
    object_type: str
    status: str
    retriggered: bool | None = None
    origin: str | None = None
    valid: bool | None = None
    outcome_changed: bool = False
    occurred_at: datetime | None = None
    existed_at: datetime | None = None
    may_be_repeat: bool = False


class Loaded(Struct, frozen=True, kw_only=True):
    """A checkout with the data loaded from DataWarehouse so far.

    Attributes:
        builds: None until they are read.
        overall_status: None until the document with everything is read.
    """

    checkout: Checkout
    builds: tuple[Build, ...] | None = None
    overall_status: OverallStatus | None = None


class JiraIssue(Struct, frozen=True, kw_only=True):
    """An issue that a merge request names. Fields are empty if Jira has no value.

    Attributes:
        url: the link as the merge request has it.
    """

    key: str
    url: str
    summary: str = ""
    status: str = ""
    priority: str = ""
    components: tuple[str, ...] = ()
    fix_versions: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()


class MergeRequest(Struct, frozen=True, kw_only=True):
    """The merge request of a checkout, with data from GitLab and Jira.

    Attributes:
        head_pipeline_id: the id of the merge request's newest pipeline, None without.
        downstream_pipeline_ids: of pipelines downstream of that one, as far as they were read;
            None if GitLab refuses.
        jira_issues: None without a lookup, or if Jira did not answer.
    """

    url: str
    state: str
    is_draft: bool
    labels: tuple[str, ...] = ()
    jira: tuple[str, ...] = ()
    bugzilla: tuple[str, ...] = ()
    head_pipeline_id: int | None = None
    downstream_pipeline_ids: frozenset[int] | None = frozenset()
    jira_issues: tuple[JiraIssue, ...] | None = None


class Position(Struct, frozen=True, gc=False):
    """Where in the topic a record is."""

    partition: int
    offset: int


class Sent(Struct, frozen=True):
    """Kafka confirmed the message, or would have got it in a dry run.

    Attributes:
        merge_request: its address, ``""`` where there is none or nothing was loaded.
        was_there: whether the topic already had the message, so that it was not sent again.
        position: of the record; None if nothing was sent.
        message: the JSON that was sent, else empty.
    """

    stage: Stage
    merge_request: str = ""
    was_there: bool = False
    position: Position | None = None
    message: bytes = b""


class Ignored(Struct, frozen=True):
    """A rule decided that the notification leads to no message.

    Attributes:
        merge_request: its address, ``""`` where there is none or nothing was loaded.
    """

    reason: IgnoreReason
    merge_request: str = ""


Outcome = Sent | Ignored
