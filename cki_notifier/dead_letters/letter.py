"""A dead letter, and the selection of dead letters by an operator."""

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

#: The id's length, in bytes: 10,000 letters share one with a probability below 10^-6.
_ID_BYTES = 6
#: Texts from headers, which anybody may write, are cut at this length, in characters.
_LONGEST_TEXT = 1000
#: The reason of a letter without one.
NO_REASON = "unknown"
#: RabbitMQ's count of deliveries, on quorum queues only.
_DELIVERIES = "x-delivery-count"


class Letter(msgspec.Struct, frozen=True):
    """A dead letter that this process has in flight.

    Attributes:
        tag: the delivery tag.
        id: stable. Letters with the same body and time share it.
        checkout_id, status: from the body, None if it has none.
        reason: a :class:`DeadLetterReason`, RabbitMQ's own (``delivery_limit``), or ``unknown``.
        error: the last one.
        attempts: all, including those before retries by an operator; 0 for none.
        first_seen: when the daemon received the notification first, or RabbitMQ dead-lettered it.
        exchange, routing_key: those of the first delivery.
        looks: the number of earlier deliveries, 0 if RabbitMQ does not count them.
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
        """The sort key: the oldest first, unknown times last."""
        return self.first_seen is None, self.first_seen or _NEVER, self.id


#: Whether the time is unknown, the time, the id.
Order = tuple[bool, datetime, str]
_NEVER = datetime.max.replace(tzinfo=UTC)


def read_letter(tag: int, properties: BasicProperties, body: bytes) -> Letter:
    """Read a message of the dead-letter queue, whose content can be anything."""
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
    """The dead letters that an operator selects: by ``names``, by ``reason``, or all.

    Attributes:
        names: ids of letters or of checkouts; empty for any.
        reason: empty for any.
        limit: the most letters, the oldest first; 0 for no limit.
        chosen: the number of letters by id, from an earlier choice. Replaces the other fields.
    """

    names: frozenset[str] = frozenset()
    reason: str = ""
    limit: int = 0
    chosen: Mapping[str, int] | None = None

    def __contains__(self, letter: Letter) -> bool:
        """Tell whether a letter is selected."""
        if self.chosen is not None:
            return letter.id in self.chosen
        if self.names:
            return not self.names.isdisjoint(names_of(letter))
        return self.reason in {"", letter.reason}


def names_of(letter: Letter) -> set[str]:
    """Return the ids that select a letter."""
    return {letter.id} | ({letter.checkout_id} if letter.checkout_id else set())


def fresh_properties(letter: Letter) -> BasicProperties:
    """Return the properties of a retried letter's copy, which starts again.

    Headers keep how the notification came and the number of its tries, so the daemon knows a
    redelivery. They also keep the expiration and the user id, with which RabbitMQ would drop or
    refuse the copy.
    """
    way = {EXCHANGE: letter.exchange, ROUTING_KEY: letter.routing_key}
    return copied_properties(letter.properties, way | tries_of(letter.properties.headers or {}))


def letter_id(since: str, body: bytes) -> str:
    """Return the id of a letter.

    Args:
        since: its header's time of the first delivery.
        body: the letter's.
    """
    digest = hashlib.blake2b(since.encode(errors="replace") + b"\0", digest_size=_ID_BYTES)
    digest.update(body)
    return digest.hexdigest()


def _in_utc(time: datetime) -> datetime:
    return time if time.tzinfo else time.replace(tzinfo=UTC)  # from old releases of pika


def _text(value: Any) -> str:
    return value[:_LONGEST_TEXT] if isinstance(value, str) else ""
