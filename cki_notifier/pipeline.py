"""The whole way of a notification: parse, filter, load, route, build, publish."""

from datetime import UTC, datetime
from typing import Protocol

from msgspec import Struct

from cki_notifier.checkout.links import merge_request_url
from cki_notifier.kafka.publish import Record
from cki_notifier.message.build import build_message
from cki_notifier.message.contract import ReadyForTest
from cki_notifier.message.event import record_of
from cki_notifier.notification.models import Ignored, Notification, Outcome, Sent, Stage
from cki_notifier.notification.parse import parse
from cki_notifier.notification.reasons import IgnoreReason
from cki_notifier.rules.explain import SILENT, Trail
from cki_notifier.rules.filter import BEFORE_LOADING, ON_BUILDS, ON_CHECKOUT, ON_MERGE_REQUEST
from cki_notifier.rules.route import route, stage_by_flags, stage_by_status
from cki_notifier.rules.rule import first_match
from cki_notifier.sources.load import Loader
from cki_notifier.workers.deadline import Deadline


class Publishes(Protocol):
    """Whatever takes a record and returns when it is safe: Kafka, or one who only shows it."""

    def publish(self, record: Record, deadline: Deadline) -> None:
        """Return when the record is delivered; raise a NotifierError otherwise."""


class Announcement(Struct, frozen=True):
    """A message that is to be sent, and at which stage."""

    stage: Stage
    message: ReadyForTest


class Pipeline:
    """Decides for each notification whether outside testers hear of it, and tells them.

    Args:
        loader: asks the services.
        publisher: takes the records.
        source: the warehouse's address, by which consumers know where events come from.
    """

    def __init__(self, loader: Loader, publisher: Publishes, source: str) -> None:
        self._loader = loader
        self._publisher = publisher
        self._source = source

    @staticmethod
    def begin(body: bytes) -> tuple[Notification, Ignored | None]:
        """Parse a body and decide what needs nothing loaded; never waits.

        Returns:
            The notification, and what was decided, None when more has to be known.

        Raises:
            Malformed: the body is no notification.
        """
        notification = parse(body)
        reason = first_match(BEFORE_LOADING, notification, SILENT)
        return notification, Ignored(reason) if reason else None

    def handle(self, notification: Notification, deadline: Deadline) -> Outcome:
        """Take a notification all the way to Kafka's confirmation.

        Raises:
            NotifierError: its class says what is to be done with the notification.
        """
        decision = self.decide(notification, deadline)
        if isinstance(decision, Announcement):
            return self.announce(decision, notification, deadline)
        return decision

    def decide(
        self, notification: Notification, deadline: Deadline, trail: Trail = SILENT
    ) -> Announcement | Ignored:
        """Apply the rules, cheap ones first, and load between them what the next ones need.

        Args:
            notification: any.
            deadline: for everything together.
            trail: where each rule's explanation goes.

        Raises:
            NotifierError: as :meth:`handle`.
        """
        if reason := first_match(BEFORE_LOADING, notification, trail):
            return Ignored(reason)
        stage = stage_by_status(notification.status)
        loaded = self._loader.checkout(notification.checkout_id, stage, deadline)
        about = merge_request_url(loaded.checkout)
        if reason := first_match(ON_CHECKOUT, loaded.checkout, trail):
            return Ignored(reason, about)
        stage = stage or stage_by_flags(loaded.checkout)
        loaded = self._loader.rest(loaded, stage, deadline)
        if reason := first_match(ON_BUILDS, loaded, trail):
            return Ignored(reason, about)
        merge_request = self._loader.merge_request(loaded.checkout, deadline)
        if reason := first_match(ON_MERGE_REQUEST, (loaded, merge_request), trail):
            return Ignored(reason, about)
        routed = route(notification, loaded, stage, trail)
        if isinstance(routed, IgnoreReason):
            return Ignored(routed, about)
        merge_request = self._loader.with_issues(merge_request, deadline)
        message = build_message(loaded, merge_request, routed, datetime.now(UTC))
        return Announcement(routed, message)

    def announce(
        self, announcement: Announcement, notification: Notification, deadline: Deadline
    ) -> Sent:
        """Send the message and return when it is safe; raises as :meth:`handle`."""
        record = record_of(
            announcement.message,
            notification,
            announcement.stage,
            source=self._source,
            now=datetime.now(UTC),
        )
        self._publisher.publish(record, deadline)
        return Sent(announcement.stage, announcement.message.merge_request.merge_request_url)
