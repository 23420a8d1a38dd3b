"""What became of notifications, as it is shown: no text has control characters, or any length."""

from datetime import UTC, datetime, timedelta

from msgspec import Struct

from cki_notifier.notification.reasons import sentence
from cki_notifier.telemetry.outcomes import Entry
from cki_notifier.telemetry.printable import printable
from cki_notifier.telemetry.unsettled import Delayed, Held
from cki_notifier.web.links import Links, checkout_page, cut, http_only, short


class Row(Struct, frozen=True, kw_only=True):
    """An outcome as it is shown; no address has another scheme than http(s).

    Attributes:
        number: counts the outcomes from 1 since the start of the process.
        time: ISO 8601 in UTC.
        checkout_url: at the warehouse; ``""`` when the id can't be linked.
        checkout_page: with us, relative to the main page.
        merge_request: its short name, else its address.
        merge_request_url: ``""`` when there is none, or it is not one of http(s).
        stage: of the message that was sent, ``""`` when none was.
        sentence: the reason in words.
        error: what failed, ``""`` when nothing did.
        event_id: becomes ``ce_id``.
        attempt: which try it was, counted from 1.
        partition, offset: of the record in the topic, None where none is known.
        next_try: ISO 8601 in UTC, None when there is none.
        letter: its id among the dead letters, ``""`` when it is not there.
        was_there: whether the message was in the topic already, and was not sent again.
        by: who sent it by hand, ``""`` for the daemon.
        note: the last of these in words, as far as there is something to say.
    """

    number: int
    time: str
    checkout_id: str
    checkout_url: str
    checkout_page: str
    merge_request: str
    merge_request_url: str
    status: str
    outcome: str
    reason: str
    stage: str
    sentence: str
    error: str
    seconds: float
    event_id: str
    attempt: int
    partition: int | None
    offset: int | None
    next_try: str | None
    letter: str
    was_there: bool
    by: str
    note: str


class InHand(Struct, frozen=True, kw_only=True):
    """A notification that is not settled, and that RabbitMQ has handed to this process.

    Attributes:
        first_seen: when it was received the very first time, ISO 8601 in UTC.
        since: when it was handed out this time.
        does: what happens to it.
    """

    checkout_id: str
    checkout_page: str
    status: str
    event_id: str
    attempt: int
    first_seen: str
    since: str
    does: str


class Waiting(Struct, frozen=True, kw_only=True):
    """A notification in a delay queue.

    Attributes:
        attempt: which try failed last, counted from 1.
        first_seen: when it was received the very first time, ISO 8601 in UTC.
        until: when it comes back.
    """

    checkout_id: str
    checkout_page: str
    status: str
    event_id: str
    attempt: int
    first_seen: str
    until: str
    reason: str
    sentence: str
    error: str


def row_of(links: Links, settled: Entry) -> Row:
    """Return what is shown of an outcome."""
    result, identity = settled.result, settled.identity
    position = result.position
    checkout_id = identity.checkout_id or ""
    return Row(
        number=settled.number,
        time=iso(settled.time),
        checkout_id=printable(checkout_id),
        checkout_url=links.checkout(checkout_id),
        checkout_page=checkout_page(checkout_id),
        merge_request=printable(short(result.merge_request)),
        merge_request_url=http_only(result.merge_request),
        status=printable(identity.status or ""),
        outcome=result.outcome,
        reason=result.reason,
        stage=result.reason if result.outcome == "sent" else "",
        sentence=sentence(result.outcome, result.reason),
        error=printable(result.error),
        seconds=round(settled.seconds, 3),
        event_id=printable(identity.event_id),
        attempt=identity.attempt,
        partition=position.partition if position else None,
        offset=position.offset if position else None,
        next_try=iso(result.next_try) if result.next_try else None,
        letter=printable(result.letter),
        was_there=result.was_there,
        by=printable(cut(result.by)),
        note=_note(settled),
    )


def in_hand_of(held: Held, now: datetime) -> InHand:
    """Return what is shown of a notification in hand."""
    return InHand(
        checkout_id=_id(held.identity.checkout_id),
        checkout_page=checkout_page(held.identity.checkout_id or ""),
        status=_id(held.identity.status),
        event_id=printable(held.identity.event_id),
        attempt=held.identity.attempt,
        first_seen=iso(held.first_seen),
        since=iso(now - timedelta(seconds=held.seconds)),
        does=printable(cut(held.does)),
    )


def waiting_of(delayed: Delayed) -> Waiting:
    """Return what is shown of a notification in a delay queue."""
    result = delayed.result
    return Waiting(
        checkout_id=_id(delayed.identity.checkout_id),
        checkout_page=checkout_page(delayed.identity.checkout_id or ""),
        status=_id(delayed.identity.status),
        event_id=printable(delayed.identity.event_id),
        attempt=delayed.identity.attempt,
        first_seen=iso(delayed.first_seen),
        until=iso(delayed.until),
        reason=result.reason,
        sentence=sentence(result.outcome, result.reason),
        error=printable(cut(result.error)),
    )


def iso(time: datetime) -> str:
    """Return a time as it is in our JSON: ISO 8601 in UTC, in whole seconds."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _id(text: str | None) -> str:
    return printable(cut(text or ""))


def _note(settled: Entry) -> str:
    result = settled.result
    said = {
        f"by hand by {printable(cut(result.by))}": result.by,
        f"try {settled.identity.attempt}": settled.identity.attempt > 1,
        f"next try {result.next_try:%H:%M:%S} UTC" if result.next_try else "": result.next_try,
        "it was in the topic already": result.was_there,
        f"letter {printable(result.letter)}": result.letter,
    }
    return "; ".join(text for text, applies in said.items() if applies)
