"""From the bytes RabbitMQ hands out to a notification.

The body decides, never the routing key. Unknown fields are ignored, whatever they hold.
"""

import hashlib
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from cki_notifier.errors import Malformed
from cki_notifier.models import Notification


class _Object(msgspec.Struct):
    """The notification's own object: where a field is not of its type, it says nothing."""

    id: Any = None
    origin: Any = None
    valid: Any = None
    misc: Any = None


class _Misc(msgspec.Struct):
    checkout_outcome_changed: Any = None


class _Body(msgspec.Struct):
    object_type: str
    status: str
    id: Any = None
    timestamp: Any = None
    object: _Object | None = None
    misc: _Misc | None = None


class _Glimpse(msgspec.Struct):
    id: Any = None
    status: Any = None
    object: Any = None


class Identity(msgspec.Struct, frozen=True):
    """Whom a body is about, as far as that can be seen without checking it.

    Attributes:
        checkout_id: keeps one checkout's notifications in order; None when there is none.
        status: for the log; None when there is none.
    """

    checkout_id: str | None = None
    status: str | None = None


_BODY = msgspec.json.Decoder(_Body)
_GLIMPSE = msgspec.json.Decoder(_Glimpse)


def parse(body: bytes) -> Notification:
    """Decode and check a notification's body.

    Raises:
        Malformed: it is not JSON in UTF-8, not an object, has no id, no status or object type that
            is a string, or an ``object`` or ``misc`` that is neither an object nor null.
    """
    try:
        # The decoder skips unknown strings without looking into them, so UTF-8 is checked first.
        raw = _BODY.decode(body.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise Malformed(f"the body is not UTF-8: {error}") from error
    except msgspec.ValidationError as error:
        raise Malformed(f"the body is no notification: {error}") from error
    except msgspec.DecodeError as error:
        raise Malformed(f"the body is not JSON: {error}") from error
    except RecursionError as error:
        raise Malformed("the body is nested too deeply to be read") from error
    identifier = _identifier(raw.id, raw.object.id if raw.object else None)
    if identifier is None:
        raise Malformed("the body has no id: neither `id` nor `object.id` is a non-empty string")
    about = raw.object or _Object()
    about_misc = about.misc if isinstance(about.misc, dict) else {}
    return Notification(
        event_id=event_id(body),
        checkout_id=identifier,
        object_type=raw.object_type,
        status=raw.status,
        retriggered=_boolean(about_misc.get("retrigger")),
        origin=about.origin if isinstance(about.origin, str) else None,
        valid=_boolean(about.valid),
        outcome_changed=raw.misc is not None and raw.misc.checkout_outcome_changed is True,
        occurred_at=_time(raw.timestamp),
    )


def identify(body: bytes) -> Identity:
    """Peek at a body, which may be anything; nothing is raised."""
    try:
        glimpse = _GLIMPSE.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Identity()
    about = glimpse.object.get("id") if isinstance(glimpse.object, dict) else None
    status = glimpse.status if isinstance(glimpse.status, str) else None
    return Identity(_identifier(glimpse.id, about), status)


def event_id(body: bytes) -> str:
    """Give the same body the same id, in the form of a UUID: two equal bodies are one event."""
    return str(UUID(bytes=hashlib.blake2b(body, digest_size=16).digest()))


def _identifier(*candidates: Any) -> str | None:
    return next((it for it in candidates if isinstance(it, str) and it), None)


def _boolean(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _time(value: Any) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        time = datetime.fromisoformat(value)
    except ValueError:
        return None
    return time if time.tzinfo else None
