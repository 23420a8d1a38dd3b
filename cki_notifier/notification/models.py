"""The values handed from step to step: frozen, typed, without behaviour of their own."""

from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from cki_notifier.checkout.documents import Build, Checkout
from cki_notifier.checkout.triage import OverallStatus
from cki_notifier.notification.reasons import IgnoreReason


class Status(StrEnum):
    """The statuses of a notification that concern us."""

    BUILD_SETUPS_FINISHED = "build_setups_finished"
    READY_TO_REPORT = "ready_to_report"
    UNKNOWN = "unknown"
    ISSUEOCCURRENCES_CHANGED = "checkout_issueoccurrences_changed"


class Stage(StrEnum):
    """What a message says of the checkout: its builds are ready, or its testing is over."""

    PRE_TEST = "pre-test"
    POST_TEST = "post-test"


#: The type of the event that tells of a stage, ``ce_type``.
EVENT_TYPES = {
    Stage.PRE_TEST: "org.cki-project.ready-for-test.pre",
    Stage.POST_TEST: "org.cki-project.ready-for-test.post",
}


class Notification(Struct, frozen=True, kw_only=True):
    """One notification of the warehouse, as far as the rules read it.

    Attributes:
        event_id: becomes ``ce_id``. The same for the same event, however often it is handled; a new
            one each time for an event that nothing tells from another one.
        checkout_id: the KCIDB id (or, in a manual run, perhaps the iid).
        object_type: any string; only ``checkout`` goes on.
        status: any string; only those of :class:`Status` go on.
        retriggered, origin, valid: what the notification's own object says, else None.
        outcome_changed: whether the triage changed the checkout's outcome.
        occurred_at: the notification's own time with its zone, None when it has none.
        existed_at: when there was the notification already, None when it does not tell.
        may_be_repeat: whether it may have been handled before, so that the topic may have its
            message. Never so for an event that nothing tells from another one.
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
    """A checkout and what the warehouse told of it so far.

    Attributes:
        builds: None until they were read.
        overall_status: None unless the document with everything was read.
    """

    checkout: Checkout
    builds: tuple[Build, ...] | None = None
    overall_status: OverallStatus | None = None


class JiraIssue(Struct, frozen=True, kw_only=True):
    """An issue that a merge request names, as Jira tells of it; empty where Jira is silent.

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
    """The merge request a checkout was built for, as GitLab and Jira tell of it.

    Attributes:
        head_pipeline_id: the id of the merge request's newest pipeline, None when it has none.
        downstream_pipeline_ids: of the pipelines downstream of that one, as far as was asked for;
            None when that is refused.
        jira_issues: None when nothing was looked up or Jira did not answer.
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
    """Kafka confirmed the message (or would have got it, where nothing is sent).

    Attributes:
        merge_request: its address, ``""`` where there is none or nothing was loaded.
        was_there: whether the message was in the topic already, and was not sent again.
        position: of the record; None where nothing was sent.
        message: as it was sent, JSON; empty where nothing was.
    """

    stage: Stage
    merge_request: str = ""
    was_there: bool = False
    position: Position | None = None
    message: bytes = b""


class Ignored(Struct, frozen=True):
    """A rule decided that nobody is to be told.

    Attributes:
        merge_request: its address, ``""`` where there is none or nothing was loaded.
    """

    reason: IgnoreReason
    merge_request: str = ""


Outcome = Sent | Ignored
