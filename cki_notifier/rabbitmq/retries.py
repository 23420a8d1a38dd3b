"""Decides what happens to a failed notification, from the class of its error.

The daemon delays or dead-letters the notification, and acknowledges it once RabbitMQ has confirmed
the copy.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import Struct

from cki_notifier.notification.errors import Invalid, NotFound, NotifierError, Unavailable
from cki_notifier.notification.reasons import DeadLetterReason, DelayReason
from cki_notifier.rabbitmq.queues import DELAYS, dead_letter_queue, delay_queue

REASON = "x-cki-reason"
ERROR = "x-cki-error"
ATTEMPTS = "x-cki-attempts"
HELD = "x-cki-held"
FIRST_SEEN = "x-cki-first-seen"
EXCHANGE = "x-cki-exchange"
ROUTING_KEY = "x-cki-routing-key"
#: The attempts before the last retry of the dead letter, all in all. ``ATTEMPTS`` counts those
#: since then, and alone decides what happens next.
TRIES_BEFORE = "x-cki-tries-before"
#: The history in the headers. A retried dead letter starts without it.
PAST = (REASON, ERROR, ATTEMPTS, HELD, FIRST_SEEN)

#: Prefixes of headers from us, or from RabbitMQ when it dead-lettered or requeued the message.
_TELLING = ("x-cki-", "x-death", "x-first-death-", "x-delivery-count", "x-acquired-count")
#: An object that is still unknown after these delays does not exist, in seconds.
_NOT_FOUND_DELAYS = DELAYS[:4]
#: The delays of a notification that was only held back, in seconds; the last one repeats.
_HELD_DELAYS = DELAYS[:2]
#: The longest error text in a header, in characters.
_LONGEST_ERROR = 1000
#: A count above this is not ours, and AMQP could not carry the next one.
_MOST_ATTEMPTS = 1_000_000


class History(Struct, frozen=True):
    """The history of a notification.

    Attributes:
        attempts: failed or held back, since its first delivery or its last retry as a dead letter.
        held: how many of these were only held back, as by a service that is down.
        before: attempts before its last retry as a dead letter.
        first_seen: time of the first delivery, in UTC.
        exchange, routing_key: of the first delivery.
    """

    attempts: int
    first_seen: datetime
    exchange: str
    routing_key: str
    held: int = 0
    before: int = 0

    @property
    def tries(self) -> int:
        """All attempts so far."""
        return self.before + self.attempts


class Destination(Struct, frozen=True):
    """The queue for a copy of a failed notification, and the reason.

    Attributes:
        queue: a retry queue or the dead-letter queue.
        reason: a :class:`DeadLetterReason`, or a :class:`DelayReason`.
        headers: to add to the copy's own.
        delay: the seconds until it comes back; 0 for a dead letter.
    """

    queue: str
    reason: str
    headers: dict[str, Any]
    delay: int = 0

    @property
    def is_final(self) -> bool:
        """Whether it becomes a dead letter."""
        return not self.delay

    @property
    def outcome(self) -> str:
        """The outcome of this attempt: ``dead-lettered`` or ``delayed``."""
        return "dead-lettered" if self.is_final else "delayed"


def history_of(
    headers: Mapping[str, Any] | None, *, exchange: str, routing_key: str, now: datetime
) -> History:
    """Read the history from a delivery's headers; a delivery without any is new.

    Headers of a wrong type or out of range count as missing.
    """
    headers = headers or {}
    attempts, origin, key = (headers.get(name) for name in (ATTEMPTS, EXCHANGE, ROUTING_KEY))
    return History(
        attempts=_count(attempts),
        held=min(_count(headers.get(HELD)), _count(attempts)),
        before=_count(headers.get(TRIES_BEFORE)),
        first_seen=min(_time(headers.get(FIRST_SEEN)) or now, now),
        exchange=origin if isinstance(origin, str) else exchange,
        routing_key=key if isinstance(key, str) else routing_key,
    )


def may_be_repeat(headers: Mapping[str, Any] | None, *, redelivered: bool) -> bool:
    """Return whether a delivery may be a repeat of an earlier one.

    Args:
        headers: of the delivery. Headers from us or from RabbitMQ are a sign: the notification
            comes from a retry queue or from the dead letters, moved by any tool.
        redelivered: RabbitMQ's flag.
    """
    return redelivered or any(name.startswith(_TELLING) for name in headers or ())


def unburied(headers: Mapping[str, Any] | None, queue: str) -> Mapping[str, Any]:
    """Return a delivery's headers, without the history if it was moved from the dead letters.

    A shovel, for example, keeps all headers. A copy that comes back from a retry queue has no
    reason, and its last death was there.

    Args:
        headers: of the delivery.
        queue: the main queue's name; RabbitMQ itself dead-letters from it at the delivery limit.
    """
    headers = headers or {}
    died_in = last_death(headers).get("queue")
    if REASON not in headers and died_in not in (queue, dead_letter_queue(queue)):
        return headers
    return {name: value for name, value in headers.items() if name not in PAST} | tries_of(headers)


def tries_of(headers: Mapping[str, Any]) -> dict[str, int]:
    """Return the header that keeps the attempts of a retried dead letter; none without attempts."""
    tries = _count(headers.get(TRIES_BEFORE)) + _count(headers.get(ATTEMPTS))
    return {TRIES_BEFORE: min(tries, _MOST_ATTEMPTS)} if tries else {}


def last_death(headers: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return RabbitMQ's entry for the last time that it dead-lettered the message."""
    deaths = headers.get("x-death")
    first = deaths[0] if isinstance(deaths, list) and deaths else None
    return first if isinstance(first, dict) else {}


def destination_of(
    error: Exception, history: History, *, queue: str, retry_for: timedelta, now: datetime
) -> Destination:
    """Decide where a failed notification goes.

    Args:
        error: the failure. Any other than a NotifierError is a bug, which a new release may fix,
            so the notification is retried as if a service were unavailable.
        history: before this failure.
        queue: the main queue's name.
        retry_for: the time for retries.
        now: in UTC.
    """
    is_held = isinstance(error, Unavailable) and error.held
    attempts, held = history.attempts + 1, history.held + is_held
    failures = attempts - held
    time_is_over = now - history.first_seen >= retry_for
    reason = _reason(error, failures, time_is_over=time_is_over)
    headers: dict[str, Any] = {
        ERROR: _encodable(str(error)[:_LONGEST_ERROR]),
        ATTEMPTS: attempts,
        FIRST_SEEN: history.first_seen.isoformat(),
        EXCHANGE: history.exchange,
        ROUTING_KEY: history.routing_key,
    }
    headers |= {HELD: held} if held else {}
    headers |= {TRIES_BEFORE: history.before} if history.before else {}
    if isinstance(reason, DeadLetterReason):
        return Destination(dead_letter_queue(queue), reason, headers | {REASON: reason.value})
    delay = _HELD_DELAYS[min(held, 2) - 1] if is_held else DELAYS[min(failures, len(DELAYS)) - 1]
    return Destination(delay_queue(queue, delay), reason, headers, delay)


def detours(destination: Destination, queue: str) -> list[Destination]:
    """Return the retry queues for a copy that its own queue refuses, the best first.

    The notification comes back from there for a new decision, so nothing is lost.

    Args:
        destination: with the queue that refuses the copy.
        queue: the main queue's name.
    """
    attempts = destination.headers[ATTEMPTS]
    wanted = DELAYS[min(attempts, len(DELAYS)) - 1]
    longer_first = sorted(DELAYS, key=lambda seconds: (seconds < wanted, seconds))
    headers = {name: it for name, it in destination.headers.items() if name != REASON}
    return [
        Destination(name, DelayReason.UNAVAILABLE, headers, seconds)
        for seconds in longer_first
        if (name := delay_queue(queue, seconds)) != destination.queue
    ]


def _reason(
    error: Exception, failures: int, *, time_is_over: bool
) -> DeadLetterReason | DelayReason:
    """Return the reason of the dead letter, or of the delay."""
    if isinstance(error, Invalid):
        return error.reason
    if isinstance(error, NotFound):
        is_over = time_is_over or failures > len(_NOT_FOUND_DELAYS)
        return DeadLetterReason.NOT_FOUND if is_over else DelayReason.NOT_FOUND
    if time_is_over:
        return DeadLetterReason.RETRIES_EXHAUSTED
    return DelayReason.UNAVAILABLE if isinstance(error, NotifierError) else DelayReason.BUG


def _count(value: Any) -> int:
    is_count = isinstance(value, int) and not isinstance(value, bool)
    return int(value) if is_count and 0 < value <= _MOST_ATTEMPTS else 0


def _time(value: Any) -> datetime | None:
    try:
        time = datetime.fromisoformat(value)
        return time.astimezone(UTC) if time.tzinfo else None
    except (TypeError, ValueError, OverflowError):
        return None


def _encodable(text: str) -> str:
    """Replace lone surrogates, which UTF-8 and so a header can't hold."""
    return text.encode(errors="replace").decode()
