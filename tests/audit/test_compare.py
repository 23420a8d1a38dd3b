"""The verdict about each stage, by the topic, the queues and the rules."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import pytest

from cki_notifier.audit.compare import Judge, notification_of
from cki_notifier.audit.queues import Waiting
from cki_notifier.audit.stages import Due, Judged, Verdict, reached
from cki_notifier.checkout.documents import Checkout, CheckoutMisc
from cki_notifier.message.build import build_message
from cki_notifier.notification.errors import NotFound, NotifierError, Unavailable
from cki_notifier.notification.models import Ignored, Notification, Stage
from cki_notifier.notification.reasons import IgnoreReason
from cki_notifier.pipeline import Announcement
from cki_notifier.workers.deadline import Deadline
from tests import factories

MESSAGE = build_message(
    factories.loaded(), factories.merge_request(), Stage.PRE_TEST, datetime.now(UTC)
)
ABOUT = factories.MERGE_REQUEST_URL


def topic(*announced: str) -> Callable[[str, Stage], bool]:
    """Return a function that knows the records of some."""
    return lambda checkout_id, stage: f"{checkout_id} {stage}" in announced


def queues(trouble: str = "", **places: str) -> Waiting:
    """Return queues that have notifications of some checkouts' first stage."""
    waiting = Waiting(trouble=trouble)
    for checkout_id, place in places.items():
        waiting.found[place].add(checkout_id, Stage.PRE_TEST)
    return waiting


class Rules:
    """The rules: decisions by checkout, a message for all others."""

    def __init__(self, decisions: Mapping[str, Ignored | NotifierError]) -> None:
        self._decisions = decisions
        self.asked: list[str] = []
        self.seconds: list[float] = []

    def decide(self, notification: Notification, deadline: Deadline) -> Announcement | Ignored:
        """Decide."""
        self.seconds.append(deadline.remaining())
        self.asked.append(f"{notification.checkout_id} {notification.status}")
        decision = self._decisions.get(notification.checkout_id)
        if isinstance(decision, NotifierError):
            raise decision
        return decision or Announcement(Stage.PRE_TEST, MESSAGE)


def checkout(checkout_id: str, *, pre: bool = True, post: bool = False) -> Checkout:
    """Return one of ours that reached these stages."""
    misc = CheckoutMisc(notification_sent_build_setups_finished=pre, ready_to_report=post)
    return Checkout(id=checkout_id, origin="redhat", misc=misc)


def judged(
    *checkouts: Checkout,
    has: Callable[[str, Stage], bool] | None = None,
    waiting: Waiting | None = None,
    rules: Rules | None = None,
) -> list[Judged]:
    """Judge some checkouts."""
    judge = Judge(has or topic(), waiting or Waiting(), (rules or Rules({})).decide)
    return list(judge.judge_all(checkouts))


def test_each_stage_that_the_flags_tell_is_due() -> None:
    """A checkout without flags reached no stage."""
    assert list(reached(checkout("a", pre=True, post=True))) == [
        Due("a", Stage.PRE_TEST),
        Due("a", Stage.POST_TEST),
    ]
    assert list(reached(checkout("a", pre=False))) == []
    assert list(reached(Checkout(id="a"))) == []


def test_what_has_a_record_needs_no_rules() -> None:
    """Each stage has its own."""
    rules = Rules({})
    first, second = judged(checkout("a", post=True), has=topic("a pre-test"), rules=rules)
    assert (first.verdict, second.verdict) == (Verdict.ANNOUNCED, Verdict.MISSING)
    assert second.merge_request == ABOUT
    assert rules.asked == ["a ready_to_report"]


def test_what_waits_is_not_missing() -> None:
    """The rules don't see such a checkout either."""
    rules = Rules({})
    (waiting,) = judged(checkout("a"), waiting=queues(a="delayed"), rules=rules)
    assert (waiting.verdict, waiting.reason) == (Verdict.WAITING, "delayed")
    assert not rules.asked


@pytest.mark.parametrize("reason", IgnoreReason)
def test_a_rule_that_looks_at_the_present_says_nothing_of_the_past(reason: IgnoreReason) -> None:
    """A merge request may have been merged since; a checkout was never another one's."""
    (it,) = judged(checkout("a"), rules=Rules({"a": Ignored(reason, ABOUT)}))
    is_of_now = reason in {"merge-request-merged", "superseded"}
    verdict = Verdict.IGNORED_NOW if is_of_now else Verdict.IGNORED
    assert it == Judged(Due("a", Stage.PRE_TEST), verdict, reason, merge_request=ABOUT)


def test_what_can_not_be_decided_says_why() -> None:
    """It does not count as missing, and the audit judges the others."""
    error = NotFound("datawarehouse: no such checkout: a")
    first, second = judged(checkout("a"), checkout("b"), rules=Rules({"a": error}))
    assert (first.verdict, first.error) == (Verdict.UNDECIDED, str(error))
    assert second.verdict is Verdict.MISSING


def test_a_service_that_is_down_is_not_waited_for_each_time() -> None:
    """After some in a row each gets a moment, until it is back."""
    down = {f"{number}": Unavailable("gitlab", "it is down") for number in range(30)}
    rules = Rules(down)
    found = judged(*(checkout(f"{number}") for number in range(50)), rules=rules)
    assert [it.verdict for it in found] == [Verdict.UNDECIDED] * 30 + [Verdict.MISSING] * 20
    assert rules.seconds[0] > 50
    assert max(rules.seconds[10:30]) < 5
    assert min(rules.seconds[40:]) > 50


def test_without_a_look_into_the_queues_nothing_is_called_missing() -> None:
    """The notification may be in there. Without RabbitMQ, the report has a note."""
    (it,) = judged(checkout("a"), waiting=queues("RabbitMQ is away"))
    assert (it.verdict, it.error) == (Verdict.UNDECIDED, "RabbitMQ is away")


def test_other_origins_are_not_ours() -> None:
    """Their messages would not exist."""
    other = Checkout(id="a", origin="elsewhere", misc=checkout("a").misc)
    assert judged(other) == []


def test_many_are_judged_in_their_order() -> None:
    """Several decisions run at a time."""
    checkouts = [checkout(f"{number}") for number in range(100)]
    found = judged(*checkouts, has=topic(*(f"{number} pre-test" for number in range(0, 100, 7))))
    assert [it.due.checkout_id for it in found] == [it.id for it in checkouts]


def test_what_was_missing_is_looked_for_once_more() -> None:
    """The notification may have been in flight."""
    announced: set[str] = set()
    judge = Judge(lambda it, _stage: it in announced, Waiting(), Rules({}).decide)
    first, second, third = judge.judge_all([checkout("a"), checkout("b"), checkout("c")])
    announced.add("a")
    judge.queued = queues(b="dead-letter")
    again = [judge.once_more(it) for it in (first, second, third)]
    assert [it.verdict for it in again] == ["announced", "waiting", "missing"]


def test_the_notification_is_as_the_warehouse_sends_it() -> None:
    """The notification has the list's facts, and the same event id in each audit."""
    due = Due("a", Stage.POST_TEST)
    misc = CheckoutMisc(retrigger=True)
    it = notification_of(due, Checkout(id="a", origin="redhat", valid=False, misc=misc))
    assert (it.status, it.retriggered, it.origin, it.valid) == (
        *("ready_to_report", True, "redhat", False),
    )
    events = {Due("a", stage).notification().event_id for stage in Stage}
    assert due.notification().event_id == it.event_id
    assert len(events) == 2
    assert it.event_id in events
