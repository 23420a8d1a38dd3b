"""The whole way of a notification: the decisions, their order, and the requests for them."""

import itertools
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from cki_notifier.checkout.documents import Checkout
from cki_notifier.kafka.publish import Record
from cki_notifier.notification.errors import Malformed, NotifierError, Unavailable
from cki_notifier.notification.models import (
    Ignored,
    Loaded,
    MergeRequest,
    Notification,
    Outcome,
    Position,
    Sent,
    Stage,
    Status,
)
from cki_notifier.notification.reasons import IgnoreReason
from cki_notifier.pipeline import Announcement, Pipeline
from cki_notifier.rules.explain import Trail
from cki_notifier.sources.load import Loader
from cki_notifier.workers.deadline import Deadline
from tests import factories
from tests.factories.contract import received

#: The requests of a notification that no rule ignores.
ALL = ("checkout", "rest", "merge request")
TRIAGED = Status.ISSUEOCCURRENCES_CHANGED
NO_FLAGS = {"ready_to_report": False, "notification_sent_build_setups_finished": False}


class KnowingLoader(Loader):
    """A loader that knows everything beforehand, and writes down what it is asked for.

    The rules see no more of the services than what a loader tells, so nothing is lost by asking
    none. It is a :class:`Loader` for the type checker as well, which keeps the two alike.
    """

    def __init__(self, known: Loaded, merge_request: MergeRequest | None) -> None:
        self.known = known
        self.known_merge_request = merge_request
        self.asked: list[tuple[str, object]] = []

    def checkout(self, checkout_id: str, stage: Stage | None, deadline: Deadline) -> Loaded:
        """Return the checkout alone where its stage is unknown."""
        assert deadline.remaining() > 0
        assert checkout_id == self.known.checkout.id
        self.asked.append(("checkout", stage))
        return self.known if stage else Loaded(checkout=self.known.checkout)

    def rest(self, loaded: Loaded, stage: Stage | None, deadline: Deadline) -> Loaded:
        """Tell the rest."""
        assert deadline.remaining() > 0
        assert loaded.checkout == self.known.checkout
        self.asked.append(("rest", stage))
        return self.known

    def merge_request(self, checkout: Checkout, deadline: Deadline) -> MergeRequest | None:
        """Return the merge request."""
        assert deadline.remaining() > 0
        assert checkout == self.known.checkout
        self.asked.append(("merge request", None))
        return self.known_merge_request

    def with_issues(
        self, merge_request: MergeRequest | None, deadline: Deadline
    ) -> MergeRequest | None:
        """Add the issues, which only a message needs."""
        assert deadline.remaining() > 0
        self.asked.append(("issues", None))
        return merge_request


class Kept:
    """Keeps records, or fails."""

    def __init__(self, error: NotifierError | None = None) -> None:
        self.records: list[Record] = []
        self._error = error

    def publish(self, record: Record, deadline: Deadline) -> Position:
        """Keep a record; return where it would be."""
        assert deadline.remaining() > 0
        if self._error:
            raise self._error
        self.records.append(record)
        return Position(0, len(self.records) - 1)


@dataclass(frozen=True)
class Case:
    """Changes to a notification of a triage that leads to a message, and to what is known of it."""

    reason: IgnoreReason
    asked: tuple[str, ...] = ALL
    notification: dict[str, Any] = field(default_factory=dict)
    checkout: dict[str, Any] = field(default_factory=dict)
    misc: dict[str, Any] = field(default_factory=dict)
    loaded: dict[str, Any] = field(default_factory=dict)
    merge_request: dict[str, Any] = field(default_factory=dict)


#: Every rule that can end a triage's way, in the design's order.
CASES = (
    Case(IgnoreReason.OBJECT_TYPE, (), notification={"object_type": "build"}),
    Case(IgnoreReason.STATUS, (), notification={"status": "new"}),
    Case(IgnoreReason.RETRIGGERED, (), notification={"retriggered": True}),
    Case(IgnoreReason.ORIGIN, (), notification={"origin": "kernelci"}),
    Case(IgnoreReason.INVALID, (), notification={"valid": False}),
    Case(IgnoreReason.OUTCOME_UNCHANGED, (), notification={"outcome_changed": False}),
    Case(IgnoreReason.RETRIGGERED, ALL[:1], misc={"retrigger": True}),
    Case(IgnoreReason.ORIGIN, ALL[:1], checkout={"origin": "kernelci"}),
    Case(IgnoreReason.INVALID, ALL[:1], checkout={"valid": False}),
    Case(IgnoreReason.NO_BUILDS, ALL[:2], loaded={"builds": ()}),
    Case(IgnoreReason.MERGE_REQUEST_MERGED, merge_request={"state": "merged"}),
    Case(IgnoreReason.SUPERSEDED, merge_request={"downstream_pipeline_ids": frozenset()}),
    Case(IgnoreReason.NOT_REPORTED_YET, misc={"ready_to_report": False}),
    Case(IgnoreReason.STILL_FAILING, loaded={"overall_status": "fail"}),
)


def knowing(*cases: Case, misc: dict[str, Any] | None = None) -> KnowingLoader:
    """Return a loader that knows what the cases say, all in one."""
    details = (misc or {}) | merged(*(it.misc for it in cases))
    checkout = factories.checkout(misc=details, **merged(*(it.checkout for it in cases)))
    loaded = factories.loaded(checkout=checkout, **merged(*(it.loaded for it in cases)))
    merge_request = factories.merge_request(**merged(*(it.merge_request for it in cases)))
    return KnowingLoader(loaded, merge_request)


def merged(*changes: dict[str, Any]) -> dict[str, Any]:
    """Return all changes in one."""
    return {name: value for change in changes for name, value in change.items()}


def decided(
    loader: Loader, notification: Notification, trail: Trail | None = None
) -> Stage | IgnoreReason:
    """Return what a notification leads to."""
    pipeline = Pipeline(loader, Kept(), "https://datawarehouse.example.com")
    decision = pipeline.decide(notification, Deadline(60), trail or Trail())
    return decision.reason if isinstance(decision, Ignored) else decision.stage


@pytest.mark.parametrize("case", CASES, ids=lambda it: it.reason)
def test_each_rule_ends_it_and_no_more_is_loaded(case: Case) -> None:
    """The cheap rules come before anything is loaded, and each of the others as soon as it can."""
    loader = knowing(case)
    notification = factories.notification(**({"status": TRIAGED} | case.notification))

    assert decided(loader, notification) == case.reason
    assert tuple(what for what, _ in loader.asked) == case.asked


@pytest.mark.parametrize(
    ("first", "second"),
    list(itertools.combinations(CASES, 2)),
    ids=lambda it: it.reason,
)
def test_of_two_rules_the_earlier_one_gives_the_reason(first: Case, second: Case) -> None:
    """Filters come in the design's order, and before routes."""
    changes = second.notification | first.notification
    notification = factories.notification(**({"status": TRIAGED} | changes))

    assert decided(knowing(second, first), notification) == first.reason


@pytest.mark.parametrize("case", CASES[6:12], ids=lambda it: it.reason)
def test_filters_come_before_a_stage_that_is_not_reached(case: Case) -> None:
    """A notification of unknown status is filtered like any other."""
    loader = knowing(case, misc=NO_FLAGS)

    assert decided(loader, factories.notification("unknown")) == case.reason


def handled(pipeline: Pipeline, body: bytes) -> Outcome:
    """Take a body all the way, as the daemon does."""
    notification, ignored = pipeline.begin(body)
    return ignored or pipeline.handle(notification, Deadline(60))


def test_every_reason_is_covered_here() -> None:
    """No reason to ignore is left out of the tests above and below."""
    assert {case.reason for case in CASES} | {"stage-not-reached"} == set(IgnoreReason)


@pytest.mark.parametrize(
    ("status", "misc", "expected", "stages"),
    [
        ("build_setups_finished", {}, "pre-test", [Stage.PRE_TEST, Stage.PRE_TEST]),
        ("build_setups_finished", NO_FLAGS, "pre-test", [Stage.PRE_TEST, Stage.PRE_TEST]),
        ("ready_to_report", {}, "post-test", [Stage.POST_TEST, Stage.POST_TEST]),
        ("ready_to_report", NO_FLAGS, "post-test", [Stage.POST_TEST, Stage.POST_TEST]),
        (TRIAGED, {}, "post-test", [Stage.POST_TEST, Stage.POST_TEST]),
        ("unknown", {}, "post-test", [None, Stage.POST_TEST]),
        ("unknown", {"ready_to_report": None}, "pre-test", [None, Stage.PRE_TEST]),
        ("unknown", NO_FLAGS, "stage-not-reached", [None, None]),
    ],
)
def test_a_status_leads_to_its_message(
    status: str, misc: dict[str, Any], expected: str, stages: list[Stage | None]
) -> None:
    """The loader gets the stage at once, or as soon as the checkout shows it."""
    loader = knowing(misc=misc)

    assert decided(loader, factories.notification(status)) == expected
    issues = [] if expected == IgnoreReason.STAGE_NOT_REACHED else [("issues", None)]
    assert loader.asked == [*zip(ALL[:2], stages, strict=True), (ALL[2], None), *issues]


def test_a_checkout_without_a_merge_request_goes_all_the_way() -> None:
    """No pipeline supersedes a checkout without a merge request."""
    loader = KnowingLoader(factories.loaded(), None)
    notification = factories.notification()
    decision = Pipeline(loader, Kept(), "").decide(notification, Deadline(60))

    assert isinstance(decision, Announcement)
    assert received(decision.message)["merge_request"]["merge_request_url"] == ""


def test_a_decision_is_explained_from_the_first_rule_to_the_route() -> None:
    """A triage that leads to a message has passed every rule but the one of unknown."""
    trail = Trail()
    decided(knowing(), factories.notification(TRIAGED), trail)

    assert [step.rule for step in trail.steps] == [*(case.reason for case in CASES), "route"]
    assert trail.rows()[-1][-1].endswith(f"status {TRIAGED} leads to a post-test message")
    assert not trail.has_stopped


def test_an_unknown_status_is_explained_by_the_flags() -> None:
    """The explanation has both flags when neither shows a reached stage."""
    trail = Trail()
    decided(knowing(misc=NO_FLAGS), factories.notification("unknown"), trail)

    assert trail.has_stopped
    assert trail.steps[-1].saw == (
        "misc.ready_to_report false, misc.notification_sent_build_setups_finished false"
    )


BODY = {"id": factories.CHECKOUT_ID, "status": "ready_to_report", "object_type": "checkout"}


def test_a_notification_is_handled_from_its_body_to_the_topic() -> None:
    """One record is published, under the checkout's id, and the outcome names the stage."""
    kept = Kept()
    pipeline = Pipeline(knowing(), kept, "https://datawarehouse.example.com")

    sent = handled(pipeline, json.dumps(BODY).encode())
    (record,) = kept.records
    about = (Stage.POST_TEST, factories.MERGE_REQUEST_URL)
    assert sent == Sent(*about, position=Position(0, 0), message=record.value)
    assert record.key == factories.CHECKOUT_ID
    assert record.headers["ce_type"] == "org.cki-project.ready-for-test.post"
    assert record.headers["ce_source"] == "https://datawarehouse.example.com"
    assert json.loads(record.value)["status"] == "success"


class Topic:
    """Knows the types of events, from the first question about them or a later one on."""

    def __init__(self, *answers: str | None) -> None:
        self._answers = list(answers)
        self.asked: list[tuple[str, datetime | None]] = []

    def find(self, event_id: str, existed_at: datetime | None, deadline: Deadline) -> str | None:
        """Tell the next answer."""
        assert deadline.remaining() > 0
        self.asked.append((event_id, existed_at))
        return self._answers.pop(0)


POST = "org.cki-project.ready-for-test.post"
EXISTED = datetime(2026, 11, 20, 10, 15, tzinfo=UTC)


def repeated(**changes: Any) -> Notification:
    """Return a notification that may have been handled before."""
    return factories.notification(existed_at=EXISTED, may_be_repeat=True, **changes)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for nothing that may be on its way."""
    monkeypatch.setattr("cki_notifier.pipeline._ARRIVAL_SECONDS", 0.0)


def test_what_is_in_the_topic_already_is_not_even_loaded() -> None:
    """The outcome is that of the first time, sent, even if a rule would ignore it today."""
    loader, kept, topic = knowing(CASES[10]), Kept(), Topic(POST)
    notification = repeated()
    outcome = Pipeline(loader, kept, "", topic).handle(notification, Deadline(60))

    assert outcome == Sent(Stage.POST_TEST, was_there=True)
    assert (loader.asked, kept.records) == ([], [])
    assert topic.asked == [(notification.event_id, EXISTED)]


def test_what_arrived_meanwhile_is_not_sent() -> None:
    """A second lookup comes just before publishing."""
    kept, topic = Kept(), Topic(None, "org.cki-project.ready-for-test.pre")
    outcome = Pipeline(knowing(), kept, "", topic).handle(repeated(), Deadline(60))

    assert outcome == Sent(Stage.PRE_TEST, was_there=True)
    assert kept.records == []


def test_what_is_not_in_the_topic_is_sent() -> None:
    """Handled before or not."""
    kept, topic = Kept(), Topic(None, None)
    outcome = Pipeline(knowing(), kept, "", topic).handle(repeated(), Deadline(60))

    (record,) = kept.records
    about = (Stage.POST_TEST, factories.MERGE_REQUEST_URL)
    assert outcome == Sent(*about, position=Position(0, 0), message=record.value)


def test_what_is_new_is_not_looked_up() -> None:
    """In normal times the topic is not read."""
    kept, topic = Kept(), Topic()
    Pipeline(knowing(), kept, "", topic).handle(factories.notification(), Deadline(60))

    assert (topic.asked, len(kept.records)) == ([], 1)


def test_what_is_ignored_or_malformed_is_not_published() -> None:
    """The one has a reason, the other is an error; neither reaches the topic."""
    kept = Kept()
    pipeline = Pipeline(knowing(), kept, "")

    ignored = handled(pipeline, json.dumps(BODY | {"status": "new"}).encode())
    assert ignored == Ignored(IgnoreReason.STATUS)
    with pytest.raises(Malformed):
        handled(pipeline, b"{}")
    assert kept.records == []


def test_what_could_not_be_published_is_not_said_to_be_sent() -> None:
    """The publisher's error reaches the caller, which settles the notification."""
    pipeline = Pipeline(knowing(), Kept(Unavailable("kafka", "it is down")), "")

    with pytest.raises(Unavailable, match="kafka: it is down"):
        handled(pipeline, json.dumps(BODY).encode())
