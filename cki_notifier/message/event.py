"""The Kafka record of a message: key, value, and CloudEvents attributes as headers.

Source: CloudEvents 1.0, Kafka protocol binding, binary content mode.
"""

from datetime import datetime

from cki_notifier.kafka.publish import Record
from cki_notifier.message.contract import ReadyForTest, encode
from cki_notifier.notification.models import EVENT_TYPES, Notification, Stage

_STAGES = {type_: stage for stage, type_ in EVENT_TYPES.items()}


def stage_of(type_: str) -> Stage:
    """Return the stage of an event's type; post-test for an unknown one."""
    return _STAGES.get(type_, Stage.POST_TEST)


def record_of(
    message: ReadyForTest, notification: Notification, stage: Stage, *, source: str, now: datetime
) -> Record:
    """Make the record of a message.

    Args:
        message: the value.
        notification: provides the event id, by which consumers drop duplicates, and the time.
        stage: determines the event's type.
        source: DataWarehouse's URL.
        now: the time if the notification has none.
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
