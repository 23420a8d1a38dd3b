"""A dead letter: its id, why and since when it is there, and which letters an operator means."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from cki_notifier.notification.parse import identify
from cki_notifier.rabbitmq.connection import BasicProperties
from cki_notifier.rabbitmq.republish import copied_properties
from cki_notifier.rabbitmq.retries import (
    ERROR,
    EXCHANGE,
    FIRST_SEEN,
    REASON,
    ROUTING_KEY,
    history_of,
    last_death,
    tries_of,
)

#: The id's length, in bytes: among 10,000 letters two of one id are less likely than 1 to 10^6.
_ID_BYTES = 6
#: A text somebody else may have written is cut at so many characters.
_LONGEST_TEXT = 1000
#: What stands for a reason where nobody says one.
NO_REASON = "unknown"
#: The broker's own count, on quorum queues alone.
_DELIVERIES = "x-delivery-count"


class Letter(msgspec.Struct, frozen=True):
    """A message of the dead-letter queue, held by us.

    Attributes:
        tag: the delivery tag to settle it by.
        id: the same each time it is looked at; letters that are alike in body and time share it.
        checkout_id, status: as far as the body tells.
        reason: a :class:`DeadLetterReason`, or the broker's own (``delivery_limit``), or
            ``unknown``.
        error: the last one.
        attempts: in all its life, also before it was put back; 0 when it was never tried.
        first_seen: when it was received first, or, where only the broker knows, dead-lettered.
        exchange, routing_key: how it came the first time.
        looks: how often the broker has handed it out before, 0 when it does not count.
    """

    tag: int
    id: str
    checkout_id: str | None
    status: str | None
    reason: str
    error: str
    attempts: int
    first_seen: datetime | None
    exchange: str
    routing_key: str
    looks: int
    body: bytes
    properties: BasicProperties

    @property
    def order(self) -> "Order":
        """Where it belongs among others: the oldest first, those of an unknown time last."""
        return self.first_seen is None, self.first_seen or _NEVER, self.id


#: Whether nobody knows the time; the time; the id.
Order = tuple[bool, datetime, str]
_NEVER = datetime.max.replace(tzinfo=UTC)


def read_letter(tag: int, properties: BasicProperties, body: bytes) -> Letter:
    """Read a message of the dead-letter queue, which may hold anything."""
    headers = properties.headers or {}
    now = datetime.now(UTC)
    history = history_of(headers, exchange="", routing_key="", now=now)
    identity = identify(body)
    death = last_death(headers)
    died = death.get("time")
    seen = history.first_seen if history.first_seen != now else None
    looks = headers.get(_DELIVERIES)
    return Letter(
        tag=tag,
        id=letter_id(str(headers.get(FIRST_SEEN) or died or ""), body),
        checkout_id=identity.checkout_id,
        status=identity.status,
        reason=_text(headers.get(REASON)) or _text(death.get("reason")) or NO_REASON,
        error=_text(headers.get(ERROR)),
        attempts=history.tries,
        first_seen=seen or (_in_utc(died) if isinstance(died, datetime) else None),
        exchange=history.exchange or _text(death.get("exchange")),
        routing_key=history.routing_key,
        looks=int(looks) if isinstance(looks, int) else 0,
        body=body,
        properties=properties,
    )


class Selection(msgspec.Struct, frozen=True):
    """Which letters an operator means: those of ``names``, or those of ``reason``, or all.

    Attributes:
        names: ids of letters or of checkouts; empty for any.
        reason: empty for any.
        limit: no more than so many, the oldest; 0 for any number.
        chosen: how many letters of which id, if they were chosen already; all else is then ignored.
    """

    names: frozenset[str] = frozenset()
    reason: str = ""
    limit: int = 0
    chosen: Mapping[str, int] | None = None

    def __contains__(self, letter: Letter) -> bool:
        """Tell whether a letter is meant."""
        if self.chosen is not None:
            return letter.id in self.chosen
        if self.names:
            return not self.names.isdisjoint(names_of(letter))
        return self.reason in {"", letter.reason}


def names_of(letter: Letter) -> set[str]:
    """Return what an operator may call a letter."""
    return {letter.id} | ({letter.checkout_id} if letter.checkout_id else set())


def fresh_properties(letter: Letter) -> BasicProperties:
    """Return the properties of a letter that is put back: as it came, to be tried anew.

    How it came the first time is in its headers, by which it is known to have been here before, and
    how often it was tried; and so are the expiration and the user id it came with: put back in
    force, the one would drop it, the other have it refused.
    """
    way = {EXCHANGE: letter.exchange, ROUTING_KEY: letter.routing_key}
    return copied_properties(letter.properties, way | tries_of(letter.properties.headers or {}))


def letter_id(since: str, body: bytes) -> str:
    """Return the id of a letter.

    Args:
        since: when it was received first, as its header says.
        body: its own.
    """
    digest = hashlib.blake2b(since.encode(errors="replace") + b"\0", digest_size=_ID_BYTES)
    digest.update(body)
    return digest.hexdigest()


def _in_utc(time: datetime) -> datetime:
    return time if time.tzinfo else time.replace(tzinfo=UTC)  # as old releases of pika leave it


def _text(value: Any) -> str:
    return value[:_LONGEST_TEXT] if isinstance(value, str) else ""
