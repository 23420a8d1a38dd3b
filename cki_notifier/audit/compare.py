"""Compares what was due with what was announced; what has no record goes through the rules."""

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

#: What a merge request has come to since; a rule that looks at it says nothing of the past.
_OF_NOW = frozenset({IgnoreReason.MERGE_REQUEST_MERGED, IgnoreReason.SUPERSEDED})
#: For each thread so many are decided about ahead of the one whose turn it is.
_AHEAD = 4
#: For one decision, in seconds; and so long when so many before it could not be made: a service is
#: down then, and who waits for it each time never comes to an end.
_SECONDS, _SHORT_SECONDS, _MANY = 60.0, 2.0, 5


def notification_of(due: Due, checkout: Checkout) -> Notification:
    """Return the notification that there should have been."""
    misc = checkout.misc or CheckoutMisc()
    return replace(
        due.notification(),
        retriggered=misc.retrigger,
        origin=checkout.origin,
        valid=checkout.valid,
        may_be_repeat=True,
    )


class Topic(Announcements):
    """What the topic says was announced since a moment."""

    def __init__(self, config: KafkaConfig, since: datetime) -> None:
        super().__init__(config)
        self._since = since

    def read_on(self, deadline: Deadline) -> None:
        """Read up to the end that it has now; errors as :meth:`Announcements.read`."""
        self.read(self._since, deadline)


class Judge:
    """Tells what became of what was due.

    Args:
        has: tells whether the topic has a record of a checkout's stage.
        queued: what waits in the queues.
        decide: what the rules say of a notification; raises a NotifierError when they can't.

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
        self._undecided = 0  # one after the other

    def judge_all(self, checkouts: Iterable[Checkout], threads: int = 2) -> Iterator[Judged]:
        """Judge all that our checkouts reached, in their order, so many at once."""
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
        """Look again at what was missing, which may have been on its way."""
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
