"""The Kafka record of a message: key, value, and CloudEvents attributes as headers.

Source: CloudEvents 1.0, Kafka protocol binding, binary content mode.
"""

from datetime import datetime

from cki_notifier.kafka.publish import Record
from cki_notifier.message.contract import ReadyForTest, encode
from cki_notifier.notification.models import EVENT_TYPES, Notification, Stage

_STAGES = {type_: stage for stage, type_ in EVENT_TYPES.items()}


def stage_of(type_: str) -> Stage:
    """Return the stage that an event's type tells of."""
    return _STAGES.get(type_, Stage.POST_TEST)


def record_of(
    message: ReadyForTest, notification: Notification, stage: Stage, *, source: str, now: datetime
) -> Record:
    """Make a record of a message.

    Args:
        message: the value.
        notification: gives the id, by which consumers can drop repeats, and the time it occurred.
        stage: gives the event's type.
        source: the warehouse's address.
        now: stands in for the time of a notification that has none.
    """
    return Record(
        key=message.checkout_id,
        value=encode(message),
        headers={
            "content-type": "application/json",
            "ce_specversion": "1.0",
            "ce_id": notification.event_id,
            "ce_source": source,
            "ce_type": EVENT_TYPES[stage],
            "ce_subject": message.checkout_id,
            "ce_time": (notification.occurred_at or now).isoformat(),
        },
    )
