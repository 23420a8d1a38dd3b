"""What happens to a notification that failed: the one place that decides, from the error's class.

Whatever has an outcome (sent or ignored) is acknowledged. What failed is delayed or dead-lettered,
and acknowledged only once the broker confirmed its copy there. Source: the design's "Trying again".
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
#: The tries before the notification was put back from the dead letters, however often it was. What
#: is done next is decided by those since then, ``ATTEMPTS``, as by a release that knows no others.
TRIES_BEFORE = "x-cki-tries-before"
#: What tells of the tries so far; a dead letter that is put back begins anew, without these.
PAST = (REASON, ERROR, ATTEMPTS, HELD, FIRST_SEEN)

#: What begins so was put in by us, or by the broker when it dead-lettered or gave back a message.
_TELLING = ("x-cki-", "x-death", "x-first-death-", "x-delivery-count", "x-acquired-count")
#: An object that still can't be read after these delays does not exist, in seconds.
_NOT_FOUND_DELAYS = DELAYS[:4]
#: What was only held back is tried again so soon, and at most so late, in seconds.
_HELD_DELAYS = DELAYS[:2]
#: A header is no place for more of an error's text than this, in characters.
_LONGEST_ERROR = 1000
#: A count above this is not ours, and AMQP could not carry the next one.
_MOST_ATTEMPTS = 1_000_000


class History(Struct, frozen=True):
    """What a notification went through before.

    Attributes:
        attempts: how often it was tried and failed, or held back, since it came or was put back.
        held: how many of these it was only held back, as by a service that is down.
        before: how often before it was put back from the dead letters.
        first_seen: when it was first received, in UTC.
        exchange, routing_key: how it came the first time.
    """

    attempts: int
    first_seen: datetime
    exchange: str
    routing_key: str
    held: int = 0
    before: int = 0

    @property
    def tries(self) -> int:
        """How often it was tried in all its life."""
        return self.before + self.attempts


class Destination(Struct, frozen=True):
    """Where a copy of a failed notification goes, and why.

    Attributes:
        queue: a delay queue or the dead-letter queue.
        reason: a :class:`DeadLetterReason`, or a :class:`DelayReason`.
        headers: to be added to the copy's own.
        delay: the seconds after which it comes back; 0 when it is dead-lettered.
    """

    queue: str
    reason: str
    headers: dict[str, Any]
    delay: int = 0

    @property
    def is_final(self) -> bool:
        """Whether it is dead-lettered."""
        return not self.delay

    @property
    def outcome(self) -> str:
        """What becomes of the notification, in a word."""
        return "dead-lettered" if self.is_final else "delayed"


def history_of(
    headers: Mapping[str, Any] | None, *, exchange: str, routing_key: str, now: datetime
) -> History:
    """Read the history out of a delivery's headers; one that has none is new.

    Headers that can't be ours, of a wrong type or out of range, count as missing.
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
    """Tell whether a delivery may have been handled before.

    Args:
        headers: of the delivery. Those that we, or the broker, put in tell of an earlier one: it
            comes from a delay queue, or was put back from the dead letters, by whatever means.
        redelivered: whether the broker says that it has handed the delivery out before.
    """
    return redelivered or any(name.startswith(_TELLING) for name in headers or ())


def unburied(headers: Mapping[str, Any] | None, queue: str) -> Mapping[str, Any]:
    """Return a delivery's headers, begun anew where somebody moved it from the dead letters.

    A shovel, say, which keeps all headers. The copies of ours that come back from the delay queues
    have no reason, and died there last.

    Args:
        headers: of the delivery.
        queue: the main queue's name, where RabbitMQ itself gives up what is handed out too often.
    """
    headers = headers or {}
    died_in = last_death(headers).get("queue")
    if REASON not in headers and died_in not in (queue, dead_letter_queue(queue)):
        return headers
    return {name: value for name, value in headers.items() if name not in PAST} | tries_of(headers)


def tries_of(headers: Mapping[str, Any]) -> dict[str, int]:
    """Return the header that keeps a dead letter's tries when it is put back; none without any."""
    tries = _count(headers.get(TRIES_BEFORE)) + _count(headers.get(ATTEMPTS))
    return {TRIES_BEFORE: min(tries, _MOST_ATTEMPTS)} if tries else {}


def last_death(headers: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what the broker says of the last time it dead-lettered the message itself."""
    deaths = headers.get("x-death")
    first = deaths[0] if isinstance(deaths, list) and deaths else None
    return first if isinstance(first, dict) else {}


def destination_of(
    error: Exception, history: History, *, queue: str, retry_for: timedelta, now: datetime
) -> Destination:
    """Decide where a notification goes that failed.

    Args:
        error: why; one that is no NotifierError is a bug of ours, which a release may mend, so it
            is treated as what can't be had now.
        history: before this failure.
        queue: the main queue's name.
        retry_for: for how long it is tried again.
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
    """Return where a copy can wait instead when its queue does not take it, the best first.

    From a delay queue it comes back and is decided about again, so that nothing is lost by that.

    Args:
        destination: whose queue does not take it.
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
    """Return why it is dead-lettered, or why it is tried again."""
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
    """Replace what UTF-8, and so a header, can't hold: lone surrogates."""
    return text.encode(errors="replace").decode()
