"""Bodies, good and bad, and the notifications that come of them."""

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from cki_notifier.notification.errors import Malformed
from cki_notifier.notification.models import Notification
from cki_notifier.notification.parse import (
    NO_ENVELOPE,
    Envelope,
    Identity,
    event_id,
    identify,
    parse,
)
from tests.properties import PATIENT
from tools.stand_ins import documents

THIN = {"id": "redhat:1", "status": "unknown", "object_type": "checkout"}
#: Valid JSON that no type of ours can hold, or that is easily mistaken for something else.
ODD_VALUES = (
    "null",
    "1e999999",
    "9" * 5000,
    "-0.0",
    '"\\ud83d\\ude00 \\u0000"',
    "[" * 500 + "]" * 500,
    '{"id": 1, "id": [], "": {}}',
)

#: The properties of a body with a message id.
NAMED = Envelope(message_id="1")
TIME = "2026-11-20T10:15:00+00:00"

NO_STRINGS: tuple[object, ...] = (documents.MISSING, None, 7, 1.5, True, ["a"], {"id": "a"})
NO_OBJECTS: tuple[object, ...] = ("", 1, False, [], [{}])

#: Any JSON value, and objects with our fields among others.
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
OBJECTS = JSON | st.fixed_dictionaries({}, optional={"id": st.text() | JSON, "misc": JSON})
BODIES = JSON | st.fixed_dictionaries(
    {"status": st.text() | JSON, "object_type": st.text()},
    optional={
        "id": st.text() | JSON,
        "object": OBJECTS,
        "misc": JSON,
        "timestamp": st.text() | JSON,
        "new": JSON,
    },
)


def body(**changes: object) -> bytes:
    """Return a thin body with changes."""
    return json.dumps(documents.changed(THIN, changes)).encode()


def raw(text: str) -> bytes:
    """Return a thin body with some more JSON text at its end."""
    return f"{json.dumps(THIN)[:-1]}, {text}}}".encode()


def shortened(value: object) -> str:
    """Return what a long parameter is called in a test's name."""
    return repr(value)[:40]


def test_a_full_body_gives_all_that_the_rules_read() -> None:
    """Ids, status, what the object says of itself, the misc and the time are taken over."""
    full = documents.notification(
        documents.checkout("redhat:1", origin="other", valid=False, misc={"retrigger": True}),
        "checkout_issueoccurrences_changed",
        misc={"checkout_outcome_changed": True},
        timestamp="2026-11-20T12:30:00.123456+00:00",
    )
    encoded = json.dumps(full).encode()

    assert parse(encoded) == Notification(
        event_id=event_id(encoded),
        checkout_id="redhat:1",
        object_type="checkout",
        status="checkout_issueoccurrences_changed",
        retriggered=True,
        origin="other",
        valid=False,
        outcome_changed=True,
        occurred_at=datetime(2026, 11, 20, 12, 30, 0, 123456, UTC),
        existed_at=datetime(2026, 11, 20, 12, 30, 0, 123456, UTC),
    )


@pytest.mark.parametrize(
    "changes", [{}, {"object": None, "iid": None, "timestamp": None, "misc": None}]
)
def test_a_body_may_carry_the_id_only(changes: dict[str, None]) -> None:
    """Missing and null fields say nothing."""
    encoded = body(**changes)

    assert parse(encoded, NAMED) == Notification(
        event_id=event_id(encoded, NAMED),
        checkout_id="redhat:1",
        object_type="checkout",
        status="unknown",
    )


@pytest.mark.parametrize("own_id", ["", *NO_STRINGS])
def test_the_id_may_be_the_objects(own_id: object) -> None:
    """An id that is no string with something in it gives way to the object's."""
    assert parse(body(id=own_id, object={"id": "redhat:2"})).checkout_id == "redhat:2"


def test_the_id_comes_before_the_objects() -> None:
    """Of two ids the notification's own counts."""
    assert parse(body(object={"id": "redhat:2"})).checkout_id == "redhat:1"


@pytest.mark.parametrize(
    "malformed",
    [
        b"",
        b"not JSON",
        b"{",
        body() + b"}",
        b"\xef\xbb\xbf\xef\xbb\xbf" + body(),
        body().decode().encode("utf-16"),
        raw('"new": -NaN'),
        raw('"status": NaN'),
        raw('"misc": Infinity'),
        b'{"id": "redhat:1", "status": "unknown", "object_type": "checkout\xff"}',
        raw('"new": "?"').replace(b"?", b"\xff"),
        raw('"?": null').replace(b"?", b"\xed\xa0\x80"),
        b"null",
        b'"text"',
        b"[]",
        json.dumps([THIN]).encode(),
        b"[" * 10_000,
        raw(f'"new": {"[" * 10_000}{"]" * 10_000}'),
        raw(f'"object": {{"misc": {"[" * 10_000}{"]" * 10_000}}}'),
        *(body(status=value) for value in NO_STRINGS),
        *(body(object_type=value) for value in NO_STRINGS),
        *(body(object=value) for value in NO_OBJECTS),
        *(body(misc=value) for value in NO_OBJECTS),
        body(id=documents.MISSING),
        body(id=documents.MISSING, object=None),
        *(
            body(id=None, object=documents.changed({}, {"id": value}))
            for value in ("", *NO_STRINGS)
        ),
    ],
    ids=shortened,
)
def test_a_malformed_body_is_told_as_such(malformed: bytes) -> None:
    """It is no notification, and its error says so."""
    with pytest.raises(Malformed, match=r"the body (is|has) "):
        parse(malformed)


@pytest.mark.parametrize("value", ODD_VALUES, ids=shortened)
@pytest.mark.parametrize(
    "place",
    ['"new": ?', '"misc": {"new": ?}', '"object": {"new": ?}', '"object": {"misc": {"new": ?}}'],
)
def test_unknown_fields_may_hold_anything(place: str, value: str) -> None:
    """No value of a field we do not read keeps a notification from being read."""
    assert parse(raw(place.replace("?", value))).checkout_id == "redhat:1"


@pytest.mark.parametrize("value", [*ODD_VALUES, '"true"', "1", "[true]"], ids=shortened)
@pytest.mark.parametrize(
    "place",
    [
        '"timestamp": ?, "misc": {"checkout_outcome_changed": ?}',
        '"object": {"id": ?, "origin": [?], "valid": ?, "misc": {"retrigger": ?}}',
        '"object": {"misc": [?]}',
    ],
)
def test_a_field_of_another_type_says_nothing(place: str, value: str) -> None:
    """A field of a wrong type counts as missing."""
    encoded = raw(place.replace("?", value))

    assert parse(encoded, NAMED) == Notification(
        event_id=event_id(encoded, NAMED),
        checkout_id="redhat:1",
        object_type="checkout",
        status="unknown",
    )


@pytest.mark.parametrize("value", [False, None, "true", 1, [True], {"": True}, documents.MISSING])
def test_only_true_means_that_the_outcome_changed(value: object) -> None:
    """The JSON `true` counts and nothing that is like it."""
    assert parse(body(misc={"checkout_outcome_changed": True})).outcome_changed is True
    misc = documents.changed({}, {"checkout_outcome_changed": value})
    assert parse(body(misc=misc)).outcome_changed is False


@pytest.mark.parametrize(
    "place",
    ['"new": ?', '"?": 1', '"misc": {"new": [?]}', '"object": {"misc": {"new": ?}}'],
)
def test_half_a_character_in_an_unknown_field_costs_nothing(place: str) -> None:
    """It says nothing, and the event's id is still that of the bytes as they came."""
    encoded = raw(place.replace('"?"', "?").replace("?", r'"\ud800"'))
    assert parse(encoded).checkout_id == "redhat:1"
    assert parse(encoded, NAMED).event_id == event_id(encoded, NAMED)
    assert identify(encoded, NAMED) == Identity("redhat:1", "unknown", event_id(encoded, NAMED))


@pytest.mark.parametrize("place", ['"id": ?', '"id": null, "object": {"id": ?}'])
def test_half_a_character_in_an_id_is_a_replacement_character(place: str) -> None:
    """Every read field can be encoded again."""
    encoded = raw(place.replace("?", r'"redhat:\udfff"') + r', "status": "a\ud83d"')
    assert identify(encoded) == Identity("redhat:\ufffd", "a\ufffd", event_id(encoded))
    notification = parse(encoded)
    assert (notification.checkout_id, notification.status) == ("redhat:\ufffd", "a\ufffd")


def test_the_objects_misc_is_not_the_notifications() -> None:
    """A flag inside the object does not say that the outcome changed."""
    encoded = body(object={"misc": {"checkout_outcome_changed": True}}, checkout_outcome_changed=1)

    assert parse(encoded).outcome_changed is False


@pytest.mark.parametrize(
    ("timestamp", "expected"),
    [
        ("2026-11-20T10:15:00+00:00", datetime(2026, 11, 20, 10, 15, tzinfo=UTC)),
        ("2026-11-20T10:15:00Z", datetime(2026, 11, 20, 10, 15, tzinfo=UTC)),
        ("2026-11-20T05:15:00.5-05:00", datetime(2026, 11, 20, 10, 15, 0, 500000, tzinfo=UTC)),
    ],
)
def test_a_time_with_a_zone_counts(timestamp: str, expected: datetime) -> None:
    """It is when the event occurred."""
    assert parse(body(timestamp=timestamp)).occurred_at == expected


@pytest.mark.parametrize(
    "timestamp",
    [1795169700, "", "2026-11-20T10:15:00", "2026-11-31T10:15:00Z", "2026-11-20T10:15:00+05:30:15"],
)
def test_any_other_time_is_as_good_as_missing(timestamp: object) -> None:
    """Other texts, times without a zone, and times beyond RFC 3339 are left out."""
    assert parse(body(timestamp=timestamp)).occurred_at is None


@pytest.mark.parametrize(
    ("timestamp", "envelope"),
    [
        (TIME, NO_ENVELOPE),
        ("2026-11-20T10:15:00", NO_ENVELOPE),
        (None, NAMED),
        (None, Envelope(timestamp=1795169700)),
        (None, Envelope("1", 1795169700)),
        (TIME, Envelope("1", 1795169700)),
        (None, Envelope(b"\xff")),
    ],
)
def test_the_same_body_with_the_same_properties_is_the_same_event(
    timestamp: str | None, envelope: Envelope
) -> None:
    """Equal ones have equal ids, which are UUIDs; another body, name or time makes another."""
    encoded = body(timestamp=timestamp)
    first = parse(encoded, envelope)
    others = (
        parse(body(timestamp=timestamp, iid=2), envelope),
        parse(encoded, Envelope("2", envelope.timestamp)),
        parse(encoded, Envelope(envelope.message_id, 1795169701)),
    )

    assert first.event_id == parse(encoded, envelope).event_id == event_id(encoded, envelope)
    assert first.event_id not in {other.event_id for other in others}
    assert str(UUID(first.event_id)) == first.event_id


def test_a_name_is_no_time() -> None:
    """The two properties are not confused."""
    assert parse(body(), Envelope("5")).event_id != parse(body(), Envelope(None, 5)).event_id


@pytest.mark.parametrize(
    "timestamp", [documents.MISSING, None, "", "soon", 0, True, ["2026-11-20T10:15:00Z"]]
)
@pytest.mark.parametrize("envelope", [NO_ENVELOPE, Envelope("", 0), Envelope(None, None)])
def test_what_nothing_tells_from_another_event_is_never_a_repeat(
    timestamp: object, envelope: Envelope
) -> None:
    """Without a time and a name it has a new id each time, however it comes."""
    encoded = body(timestamp=timestamp)
    again = msgspec.structs.replace(envelope, may_be_repeat=True)
    first, second = parse(encoded, envelope), parse(encoded, again)

    assert first.event_id != second.event_id
    assert str(UUID(second.event_id)) == second.event_id
    assert not second.may_be_repeat


def test_what_is_told_from_other_events_may_be_a_repeat() -> None:
    """When the envelope says so."""
    encoded = body(timestamp=TIME)
    assert parse(encoded, Envelope(may_be_repeat=True)).may_be_repeat
    assert parse(body(), Envelope("1", may_be_repeat=True)).may_be_repeat
    assert not parse(encoded, NAMED).may_be_repeat


@pytest.mark.parametrize(
    ("timestamp", "epoch", "expected"),
    [
        (TIME, None, datetime(2026, 11, 20, 10, 15, tzinfo=UTC)),
        (TIME, 1795169699, datetime(2026, 11, 20, 10, 14, 59, tzinfo=UTC)),
        (TIME, 1795169701, datetime(2026, 11, 20, 10, 15, tzinfo=UTC)),
        (None, 1795169700, datetime(2026, 11, 20, 10, 15, tzinfo=UTC)),
        (TIME, 2**63, datetime(2026, 11, 20, 10, 15, tzinfo=UTC)),
        (TIME, "soon", datetime(2026, 11, 20, 10, 15, tzinfo=UTC)),
        ("2999-01-01T00:00:00Z", 1795169700, datetime(2026, 11, 20, 10, 15, tzinfo=UTC)),
        ("2999-01-01T00:00:00Z", None, None),
        ("2026-11-20T10:15:00", None, None),
        (None, None, None),
        ("0001-01-01T00:00:00+14:00", 5, datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14)))),
    ],
)
def test_it_existed_at_the_earliest_time_it_tells(
    timestamp: str | None, epoch: Any, expected: datetime | None
) -> None:
    """Of its own and the property's; one that is yet to come, or has no zone, tells nothing."""
    found = parse(body(timestamp=timestamp), Envelope("1", epoch)).existed_at
    assert found == expected


@pytest.mark.parametrize(
    ("glimpsed", "expected"),
    [
        (body(), Identity("redhat:1", "unknown")),
        (body(id=None, object={"id": "redhat:2"}), Identity("redhat:2", "unknown")),
        (body(id=None, object=[]), Identity(None, "unknown")),
        (body(status=1, object={"misc": 1}, misc=1), Identity("redhat:1", None)),
        (raw('"object": {"misc": {"new": 1e999}}'), Identity("redhat:1", "unknown")),
        (b'{"id": "redhat:1"}', Identity("redhat:1", None)),
        (b'{"id": "\xff", "status": "unknown"}', Identity(None, "unknown")),
        (b"[]", Identity()),
        (b"\xff", Identity()),
        (raw(f'"new": {"[" * 10_000}{"]" * 10_000}'), Identity()),
    ],
    ids=shortened,
)
def test_a_glimpse_tells_what_can_be_seen(glimpsed: bytes, expected: Identity) -> None:
    """Even a malformed body may name its checkout."""
    assert identify(glimpsed) == replace(expected, event_id=event_id(glimpsed))


@PATIENT
@given(st.binary() | st.text().map(str.encode))
def test_any_bytes_are_malformed_or_a_notification(anything: bytes) -> None:
    """Nothing else comes of bytes, and a glimpse at them never fails."""
    assert isinstance(identify(anything), Identity)
    with suppress(Malformed):
        assert isinstance(parse(anything), Notification)


@PATIENT
@given(BODIES)
@example({**THIN, "object": {"id": "redhat:2", "origin": 1, "valid": "", "misc": 1}})
def test_any_json_is_a_notification_when_its_few_fields_are_right(value: Any) -> None:
    """A few fields decide whether it is one, and it is about the id that the rules name."""
    ids = []
    if isinstance(value, dict):
        about = value.get("object")
        ids = [value.get("id"), about.get("id") if isinstance(about, dict) else None]
    ids = [it for it in ids if isinstance(it, str) and it]
    right = (
        ids
        and all(isinstance(value.get(name), str) for name in ("status", "object_type"))
        and all(isinstance(value.get(name), dict | None) for name in ("object", "misc"))
    )
    encoded = json.dumps(value).encode()
    if right:
        assert parse(encoded).checkout_id == identify(encoded).checkout_id == ids[0]
    else:
        with pytest.raises(Malformed):
            parse(encoded)


@pytest.mark.parametrize(
    "more",
    [
        '"new": NaN',
        '"new": [1, {"x": -Infinity}]',
        '"new": 1e999',
        r'"new": "\ud83d NaN"',
        r'"timestamp": "\ud83d"',
        '"timestamp": NaN',
        '"iid": Infinity',
        '"misc": {"checkout_outcome_changed": NaN, "x": NaN}',
        '"object": {"valid": NaN, "origin": -Infinity, "misc": NaN, "id": NaN}',
    ],
)
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_what_python_reads_and_nobody_here_does_is_no_fault(more: str, mark: bytes) -> None:
    """A number that is none says nothing, nor does a byte order mark."""
    notification = parse(mark + raw(more), NAMED)
    assert notification.checkout_id == "redhat:1"
    assert (notification.valid, notification.origin) == (None, None)
    assert notification.outcome_changed is False
    assert identify(mark + raw(more)).checkout_id == "redhat:1"
