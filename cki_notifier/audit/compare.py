"""Compares the stages that were due with the topic, the queues and the rules."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime

from msgspec.structs import replace

from cki_notifier.audit.queues import Waiting
from cki_notifier.audit.stages import Due, Judged, Verdict, reached
from cki_notifier.checkout.documents import Checkout, CheckoutMisc
from cki_notifier.configuration.settings import KafkaConfig
from cki_notifier.kafka.announcements import Announcements
from cki_notifier.notification.errors import NotifierError
from cki_notifier.notification.models import Ignored, Notification, Stage
from cki_notifier.notification.reasons import IgnoreReason
from cki_notifier.pipeline import Announcement
from cki_notifier.rules.filter import ORIGIN
from cki_notifier.workers.deadline import Deadline

#: Rules about a merge request's present state, which may have been different at the time.
_OF_NOW = frozenset({IgnoreReason.MERGE_REQUEST_MERGED, IgnoreReason.SUPERSEDED})
#: Decisions that each thread makes ahead of the next result.
_AHEAD = 4
#: For one decision, in seconds. After ``_MANY`` failures in a row a service is down, and each
#: decision gets only ``_SHORT_SECONDS``, or the audit would never end.
_SECONDS, _SHORT_SECONDS, _MANY = 60.0, 2.0, 5


def notification_of(due: Due, checkout: Checkout) -> Notification:
    """Return the notification that DataWarehouse should have sent."""
    misc = checkout.misc or CheckoutMisc()
    return replace(
        due.notification(),
        retriggered=misc.retrigger,
        origin=checkout.origin,
        valid=checkout.valid,
        may_be_repeat=True,
    )


class Topic(Announcements):
    """The messages in the topic since a time."""

    def __init__(self, config: KafkaConfig, since: datetime) -> None:
        super().__init__(config)
        self._since = since

    def read_on(self, deadline: Deadline) -> None:
        """Read up to the topic's present end; errors as :meth:`Announcements.read`."""
        self.read(self._since, deadline)


class Judge:
    """Decides about each stage that was due.

    Args:
        has: tells whether the topic has a message of a checkout's stage.
        queued: the notifications in the queues.
        decide: applies the rules; raises a NotifierError if a service fails.

    Attributes:
        queued: the same.
    """

    def __init__(
        self,
        has: Callable[[str, Stage], bool],
        queued: Waiting,
        decide: Callable[[Notification, Deadline], Announcement | Ignored],
    ) -> None:
        self._has = has
        self.queued = queued
        self._decides = decide
        self._undecided = 0  # in a row

    def judge_all(self, checkouts: Iterable[Checkout], threads: int = 2) -> Iterator[Judged]:
        """Judge all stages of our checkouts, in their order, with some threads."""
        with ThreadPoolExecutor(threads, thread_name_prefix="audit") as pool:
            ahead: deque[Future[Judged]] = deque()
            try:
                for checkout in checkouts:
                    if checkout.origin != ORIGIN:
                        continue
                    for due in reached(checkout):
                        ahead.append(self._begin(pool, due, checkout))
                        if len(ahead) > _AHEAD * threads:
                            yield ahead.popleft().result()
                while ahead:
                    yield ahead.popleft().result()
            finally:
                for future in ahead:
                    future.cancel()

    def once_more(self, judged: Judged) -> Judged:
        """Judge a missing message again, which may have been in flight."""
        return self._without_rules(judged.due) or judged

    def _begin(self, pool: ThreadPoolExecutor, due: Due, checkout: Checkout) -> "Future[Judged]":
        if judged := self._without_rules(due):
            future: Future[Judged] = Future()
            future.set_result(judged)
            return future
        return pool.submit(self._decide, due, checkout)

    def _without_rules(self, due: Due) -> Judged | None:
        if self._has(due.checkout_id, due.stage):
            return Judged(due, Verdict.ANNOUNCED)
        where = self.queued.where(due)
        return Judged(due, Verdict.WAITING, where) if where else None

    def _decide(self, due: Due, checkout: Checkout) -> Judged:
        deadline = Deadline(_SECONDS if self._undecided < _MANY else _SHORT_SECONDS)
        try:
            decision = self._decides(notification_of(due, checkout), deadline)
        except NotifierError as error:
            self._undecided += 1
            return Judged(due, Verdict.UNDECIDED, error=str(error))
        self._undecided = 0
        if isinstance(decision, Ignored):
            is_of_now = decision.reason in _OF_NOW
            verdict = Verdict.IGNORED_NOW if is_of_now else Verdict.IGNORED
            return Judged(due, verdict, decision.reason, merge_request=decision.merge_request)
        about = decision.message.merge_request.merge_request_url
        if trouble := self.queued.trouble:
            return Judged(due, Verdict.UNDECIDED, error=trouble, merge_request=about)
        return Judged(due, Verdict.MISSING, merge_request=about)
