"""The whole way of a notification: parse, filter, load, route, build, publish.

A possible repeat starts with a lookup in the topic, and has another one just before publishing.
"""

import random
from datetime import UTC, datetime
from typing import Protocol

from msgspec import Struct

from cki_notifier.checkout.links import merge_request_url
from cki_notifier.kafka.publish import Record
from cki_notifier.message.build import build_message
from cki_notifier.message.contract import ReadyForTest
from cki_notifier.message.event import record_of, stage_of
from cki_notifier.notification.models import (
    Ignored,
    Notification,
    Outcome,
    Position,
    Sent,
    Stage,
)
from cki_notifier.notification.parse import NO_ENVELOPE, Envelope, parse
from cki_notifier.notification.reasons import IgnoreReason
from cki_notifier.rules.explain import SILENT, Trail
from cki_notifier.rules.filter import BEFORE_LOADING, ON_BUILDS, ON_CHECKOUT, ON_MERGE_REQUEST
from cki_notifier.rules.route import route, stage_by_flags, stage_by_status
from cki_notifier.rules.rule import first_match
from cki_notifier.sources.load import Loader
from cki_notifier.workers.deadline import Deadline

#: The time after which a message handed to Kafka is in the topic, in seconds, while Kafka answers.
#: Jitter of up to as much keeps two processes with copies of a notification from looking at once.
_ARRIVAL_SECONDS = 1.0


class Publishes(Protocol):
    """Takes a record and returns when it is safe: Kafka, or a dry run that only shows it."""

    def publish(self, record: Record, deadline: Deadline) -> Position | None:
        """Return the position of the delivered record, None in a dry run.

        Raises:
            NotifierError: the record is not known to be delivered.
        """


class Remembers(Protocol):
    """Knows which events were published: the topic."""

    def find(self, event_id: str, existed_at: datetime | None, deadline: Deadline) -> str | None:
        """Return the type of a published event, None for another one.

        Raises:
            NotifierError: the answer is unknown.
        """


class Announcement(Struct, frozen=True):
    """A message to publish, and its stage."""

    stage: Stage
    message: ReadyForTest


class Pipeline:
    """Decides for each notification whether it becomes a message, and publishes that.

    Args:
        loader: requests documents from the services.
        publisher: takes the records.
        source: DataWarehouse's address, the source of the events.
        ledger: knows the published events; None in a dry run.
    """

    def __init__(
        self, loader: Loader, publisher: Publishes, source: str, ledger: Remembers | None = None
    ) -> None:
        self._loader = loader
        self._publisher = publisher
        self._source = source
        self._ledger = ledger

    @staticmethod
    def begin(
        body: bytes, envelope: Envelope = NO_ENVELOPE, trail: Trail = SILENT
    ) -> tuple[Notification, Ignored | None]:
        """Parse a body and apply the rules that need no request; never waits.

        Args:
            body: as received.
            envelope: its AMQP properties.
            trail: gets the rules' explanations if the notification is ignored.

        Returns:
            The notification, and the decision, None if it needs requests.

        Raises:
            Malformed: the body is no notification.
        """
        notification = parse(body, envelope)
        if reason := first_match(BEFORE_LOADING, notification, SILENT):
            first_match(BEFORE_LOADING, notification, trail)
        return notification, Ignored(reason) if reason else None

    def handle(
        self, notification: Notification, deadline: Deadline, trail: Trail = SILENT
    ) -> Outcome:
        """Take a notification all the way to Kafka's confirmation.

        Args:
            notification: any.
            deadline: for everything together.
            trail: gets the rules' explanations.

        Raises:
            NotifierError: its class decides what happens to the notification.
        """
        if sent := self._sent_before(notification, deadline):
            return sent
        decision = self.decide(notification, deadline, trail)
        if isinstance(decision, Announcement):
            return self.announce(decision, notification, deadline)
        return decision

    def decide(
        self, notification: Notification, deadline: Deadline, trail: Trail = SILENT
    ) -> Announcement | Ignored:
        """Apply the rules, cheap ones first, and load the documents for the next ones in between.

        Args:
            notification: any.
            deadline: for everything together.
            trail: gets the rules' explanations.

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
        """Publish the message and return when Kafka confirmed it; raises as :meth:`handle`."""
        if notification.may_be_repeat:
            deadline.pause(_ARRIVAL_SECONDS * random.uniform(1, 2))  # noqa: S311  # jitter
            if sent := self._sent_before(notification, deadline):
                return sent
        record = record_of(
            announcement.message,
            notification,
            announcement.stage,
            source=self._source,
            now=datetime.now(UTC),
        )
        position = self._publisher.publish(record, deadline)
        merge_request = announcement.message.merge_request.merge_request_url
        return Sent(announcement.stage, merge_request, position=position, message=record.value)

    def _sent_before(self, notification: Notification, deadline: Deadline) -> Sent | None:
        """Look up the message of a possible repeat in the topic."""
        if self._ledger is None or not notification.may_be_repeat:
            return None
        found = self._ledger.find(notification.event_id, notification.existed_at, deadline)
        return None if found is None else Sent(stage_of(found), was_there=True)
