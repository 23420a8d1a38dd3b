"""Parses the body that RabbitMQ delivers into a notification.

The body decides, never the routing key. Unknown fields may hold anything.

An event is identified by its body and the AMQP properties ``message_id`` and ``timestamp``. A body
without a time and without these properties is ambiguous: two merge requests that leave draft can
have the same body. It never counts as a repeat, and gets a new id each time.
"""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

import msgspec
from msgspec import Raw

from cki_notifier.notification.decoding import decode, decoded
from cki_notifier.notification.errors import Malformed
from cki_notifier.notification.models import Notification

#: A missing field.
_NULL = Raw(b"null")


# Raw fields may hold anything, such as a number beyond any type. A value of the wanted type counts;
# any other is as good as missing.
class _ObjectMisc(msgspec.Struct):
    retrigger: Raw = _NULL


class _Object(msgspec.Struct):
    id: Raw = _NULL
    origin: Raw = _NULL
    valid: Raw = _NULL
    misc: Raw = _NULL


class _Misc(msgspec.Struct):
    checkout_outcome_changed: Raw = _NULL


class _Body(msgspec.Struct):
    object_type: str
    status: str
    id: Raw = _NULL
    timestamp: Raw = _NULL
    object: _Object | None = None
    misc: _Misc | None = None


class _Glimpse(msgspec.Struct):
    id: Raw = _NULL
    status: Raw = _NULL
    object: Raw = _NULL


class Envelope(msgspec.Struct, frozen=True):
    """A delivery's properties.

    Attributes:
        message_id, timestamp: the AMQP properties, of any type; None without.
        may_be_repeat: whether the notification may have been handled before.
    """

    message_id: Any = None
    timestamp: Any = None
    may_be_repeat: bool = False


class Identity(msgspec.Struct, frozen=True, gc=False):
    """The checkout and event of a body, as far as they can be read without checks.

    Attributes:
        checkout_id: keeps one checkout's notifications in order; None without.
        status: for the log; None without.
        event_id: becomes ``ce_id``, if it leads to a message.
        attempt: counted from 1.
    """

    checkout_id: str | None = None
    status: str | None = None
    event_id: str = ""
    attempt: int = 1


#: For a body without a delivery.
NO_ENVELOPE: Final = Envelope()


def parse(body: bytes, envelope: Envelope = NO_ENVELOPE) -> Notification:
    """Decode and check a notification's body.

    Args:
        body: as delivered.
        envelope: the delivery's properties.

    Raises:
        Malformed: it is not JSON in UTF-8, not an object, has no id, no status or object type that
            is a string, or an ``object`` or ``misc`` that is neither an object nor null.
    """
    try:
        # The decoder skips unknown strings without looking into them, so UTF-8 is checked first.
        body.decode("utf-8")
        raw = decode(body, _Body)
    except UnicodeDecodeError as error:
        raise Malformed(f"the body is not UTF-8: {error}") from error
    except msgspec.ValidationError as error:
        raise Malformed(f"the body is not a valid notification: {error}") from error
    except msgspec.DecodeError as error:
        raise Malformed(f"the body is not JSON: {error}") from error
    except RecursionError as error:
        raise Malformed("the body is nested too deeply") from error
    about = raw.object or _Object()
    identifier = _identifier(raw.id, about.id)
    if identifier is None:
        raise Malformed("the body has no id: neither `id` nor `object.id` is a non-empty string")
    about_misc = decoded(about.misc, _ObjectMisc) or _ObjectMisc()
    misc = raw.misc or _Misc()
    timestamp = decoded(raw.timestamp, str)
    is_distinct = _moment(timestamp) is not None or bool(envelope.message_id or envelope.timestamp)
    return Notification(
        event_id=event_id(body, envelope) if is_distinct else str(uuid4()),
        checkout_id=identifier,
        object_type=raw.object_type,
        status=raw.status,
        retriggered=decoded(about_misc.retrigger, bool),
        origin=decoded(about.origin, str),
        valid=decoded(about.valid, bool),
        outcome_changed=decoded(misc.checkout_outcome_changed, bool) is True,
        occurred_at=(occurred_at := _time(timestamp)),
        existed_at=_earliest(occurred_at, _epoch(envelope.timestamp)),
        may_be_repeat=envelope.may_be_repeat and is_distinct,
    )


def identify(body: bytes, envelope: Envelope = NO_ENVELOPE) -> Identity:
    """Peek at a body, which may be anything. Raises nothing."""
    event = event_id(body, envelope)
    glimpse = decoded(body, _Glimpse) or _Glimpse()
    about = decoded(glimpse.object, _Object) or _Object()
    return Identity(_identifier(glimpse.id, about.id), decoded(glimpse.status, str), event)


def event_id(body: bytes, envelope: Envelope = NO_ENVELOPE) -> str:
    """Return a UUID that is the same for the same event."""
    digest = hashlib.blake2b(body, digest_size=16)
    for name in ("message_id", "timestamp"):
        if told := getattr(envelope, name):
            digest.update(f"\0{name}={told}".encode(errors="replace"))  # no JSON holds a null
    return str(UUID(bytes=digest.digest()))


def _identifier(*candidates: Raw) -> str | None:
    return next((text for it in candidates if (text := decoded(it, str))), None)


def _moment(text: str | None) -> datetime | None:
    """Return the time in a text, with or without a zone; None for none."""
    try:
        return datetime.fromisoformat(text or "")
    except ValueError:
        return None


def _time(text: str | None) -> datetime | None:
    """Return a time that RFC 3339 can express: with a zone, in whole minutes."""
    time = _moment(text)
    offset = time.utcoffset() if time else None
    return None if offset is None or offset % timedelta(minutes=1) else time


def _epoch(seconds: Any) -> datetime | None:
    """Return the time of AMQP's ``timestamp``, None for an invalid one."""
    try:
        return datetime.fromtimestamp(seconds, UTC) if seconds else None
    except (TypeError, ValueError, OverflowError, OSError):
        return None


def _earliest(*times: datetime | None) -> datetime | None:
    """Return the earliest time that is not in the future, None for none."""
    now = datetime.now(UTC)
    return min((it for it in times if it is not None and it <= now), default=None)
