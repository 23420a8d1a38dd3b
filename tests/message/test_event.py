"""The Kafka record: key, value, and the CloudEvents attributes in its headers."""

from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cki_notifier.kafka.publish import Record
from cki_notifier.message.build import build_message
from cki_notifier.message.contract import encode
from cki_notifier.message.event import record_of
from cki_notifier.notification.models import Stage
from cki_notifier.notification.parse import Envelope, parse
from tests import factories
from tests.factories.contract import NOW
from tests.properties import PATIENT

SOURCE = "https://datawarehouse.example.com"
MESSAGE = build_message(factories.loaded(), None, Stage.PRE_TEST, NOW)
OCCURRED = datetime(2026, 11, 20, 12, 30, 0, 123456, tzinfo=timezone(timedelta(hours=1)))


def record(stage: Stage = Stage.PRE_TEST, occurred_at: datetime | None = OCCURRED) -> Record:
    """Return the record of a message."""
    notification = factories.notification(checkout_id="81724", occurred_at=occurred_at)
    return record_of(MESSAGE, notification, stage, source=SOURCE, now=NOW)


def test_the_key_is_the_checkouts_own_id() -> None:
    """It is the KCIDB id even if a manual run asked by the iid."""
    assert record().key == factories.CHECKOUT_ID
    assert record().value == encode(MESSAGE)


@pytest.mark.parametrize(
    ("stage", "kind"),
    [
        (Stage.PRE_TEST, "org.cki-project.ready-for-test.pre"),
        (Stage.POST_TEST, "org.cki-project.ready-for-test.post"),
    ],
)
def test_headers_are_cloudevents_attributes_in_binary_mode(stage: Stage, kind: str) -> None:
    """No other attributes exist, and none is empty."""
    assert record(stage).headers == {
        "content-type": "application/json",
        "ce_specversion": "1.0",
        "ce_id": factories.notification().event_id,
        "ce_source": SOURCE,
        "ce_type": kind,
        "ce_subject": factories.CHECKOUT_ID,
        "ce_time": "2026-11-20T12:30:00.123456+01:00",
    }


def test_a_notification_without_a_time_occurred_now() -> None:
    """The attribute is always present."""
    assert record(occurred_at=None).headers["ce_time"] == "2026-11-20T12:30:01+00:00"


def test_the_same_notification_has_the_same_id_at_any_time() -> None:
    """Consumers drop duplicates by it, so only the notification's own time goes into it."""
    body = b'{"id": "redhat:1", "status": "unknown", "object_type": "checkout"}'
    named = Envelope(message_id="1")
    first = record_of(MESSAGE, parse(body, named), Stage.PRE_TEST, source=SOURCE, now=NOW)
    later = datetime.now(UTC)
    again = record_of(MESSAGE, parse(body, named), Stage.POST_TEST, source=SOURCE, now=later)

    assert first.headers["ce_id"] == again.headers["ce_id"]
    assert first.headers["ce_time"] != again.headers["ce_time"]


@PATIENT
@given(st.datetimes(timezones=st.timezones()).map(datetime.isoformat) | st.text())
def test_the_time_is_always_one_of_rfc_3339(timestamp: str) -> None:
    """CloudEvents requires that format. The notification's own time may have any."""
    body = {"id": "1", "status": "unknown", "object_type": "checkout", "timestamp": timestamp}
    notification = parse(msgspec.json.encode(body))
    told = record_of(MESSAGE, notification, Stage.PRE_TEST, source=SOURCE, now=NOW)

    assert msgspec.convert(told.headers["ce_time"], datetime).tzinfo is not None
