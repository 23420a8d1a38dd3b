"""Notifications as the pages show them, with links and commands to the details.

All texts are printable and bounded in length, and hold no secrets.
"""

import shlex
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlsplit

from msgspec import Struct

from cki_notifier.checkout.links import merge_request_link
from cki_notifier.configuration.settings import Config, KafkaConfig
from cki_notifier.notification.models import Position
from cki_notifier.notification.reasons import sentence
from cki_notifier.telemetry.outcomes import Entry
from cki_notifier.telemetry.printable import cut, printable
from cki_notifier.telemetry.unsettled import Delayed, Held

#: The text in place of a missing id.
NAMELESS = "without an id"
#: Settings that any Kafka client needs, and that hold no secret.
_PUBLIC_SETTINGS = ("security.protocol", "sasl.mechanism", "sasl.mechanisms")


class Notification(Struct, frozen=True, kw_only=True):
    """The fields of every notification.

    Attributes:
        checkout_page: our page of the checkout, relative to the status page.
        event_id: becomes ``ce_id``.
        attempt: the present or last attempt, counted from 1.
    """

    checkout_id: str
    checkout_page: str
    status: str
    event_id: str
    attempt: int


class InHand(Notification, frozen=True, kw_only=True):
    """A notification in flight in this process.

    Attributes:
        first_seen: when it was first received, ISO 8601 in UTC.
        since: when RabbitMQ delivered it this time.
        does: its present state, as ``waits: gitlab is busy``.
    """

    first_seen: str
    since: str
    does: str


class Waiting(Notification, frozen=True, kw_only=True):
    """A notification in a retry queue.

    Attributes:
        first_seen: when it was first received, ISO 8601 in UTC.
        until: when it returns to the main queue.
        sentence: the reason in words.
        error: of the last attempt.
    """

    first_seen: str
    until: str
    reason: str
    sentence: str
    error: str


class Row(Notification, frozen=True, kw_only=True):
    """An outcome. All its addresses are http(s).

    Attributes:
        number: counts the outcomes from 1 since the start of the process.
        time: ISO 8601 in UTC.
        checkout_url: in DataWarehouse; ``""`` when the id can't be linked.
        merge_request: its short name, else its address.
        merge_request_url: ``""`` if there is none, or it is not http(s).
        stage: of the message sent, ``""`` for none.
        sentence: the reason in words.
        error: ``""`` for none.
        partition, offset: of the record in the topic, None if unknown.
        next_try: the next attempt, ISO 8601 in UTC, None for none.
        letter: the dead letter's id, ``""`` for none.
        was_there: whether the message was already in the topic, and not sent again.
        by: who sent it by hand, ``""`` for the daemon.
        note: attempt, next attempt, dead letter and sender in words.
    """

    number: int
    time: str
    checkout_url: str
    merge_request: str
    merge_request_url: str
    outcome: str
    reason: str
    stage: str
    sentence: str
    error: str
    seconds: float
    partition: int | None
    offset: int | None
    next_try: str | None
    letter: str
    was_there: bool
    by: str
    note: str


def row_of(config: Config, settled: Entry) -> Row:
    """Return an outcome as the pages show it."""
    result, identity = settled.result, settled.identity
    position = result.position
    checkout_id = identity.checkout_id or ""
    return Row(
        number=settled.number,
        time=iso(settled.time),
        checkout_id=printable(checkout_id),
        checkout_url=warehouse_page(config, checkout_id),
        checkout_page=checkout_page(checkout_id),
        merge_request=printable(_short(result.merge_request)),
        merge_request_url=_http_only(result.merge_request),
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
        by=shown(result.by),
        note=_note(settled),
    )


def in_hand_of(held: Held, now: datetime) -> InHand:
    """Return a notification in flight as the pages show it."""
    return InHand(
        checkout_id=shown(held.identity.checkout_id),
        checkout_page=checkout_page(held.identity.checkout_id or ""),
        status=shown(held.identity.status),
        event_id=printable(held.identity.event_id),
        attempt=held.identity.attempt,
        first_seen=iso(held.first_seen),
        since=iso(now - timedelta(seconds=held.seconds)),
        does=shown(held.does),
    )


def waiting_of(delayed: Delayed) -> Waiting:
    """Return a notification in a retry queue as the pages show it."""
    identity, result = delayed.identity, delayed.result
    return Waiting(
        checkout_id=shown(identity.checkout_id),
        checkout_page=checkout_page(identity.checkout_id or ""),
        status=shown(identity.status),
        event_id=printable(identity.event_id),
        attempt=identity.attempt,
        first_seen=iso(delayed.first_seen),
        until=iso(delayed.until),
        reason=result.reason,
        sentence=sentence(result.outcome, result.reason),
        error=shown(result.error),
    )


def _note(settled: Entry) -> str:
    result = settled.result
    said = {
        f"by hand by {shown(result.by)}": result.by,
        f"attempt {settled.identity.attempt}": settled.identity.attempt > 1,
        f"next attempt {result.next_try:%H:%M:%S} UTC" if result.next_try else "": result.next_try,
        "already in the topic": result.was_there,
        f"dead letter {printable(result.letter)}": result.letter,
    }
    return "; ".join(text for text, applies in said.items() if applies)


def iso(time: datetime) -> str:
    """Return a time as our JSON has it: ISO 8601 in UTC, in whole seconds."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def shown(text: str | None) -> str:
    """Return any text printable and cut to a bounded length."""
    return printable(cut(text or ""))


def checkout_page(checkout_id: str) -> str:
    """Return the address of our page of a checkout. Notifications without an id share one."""
    return f"checkout?id={quote(cut(checkout_id), safe='', errors='replace')}"


def warehouse_page(config: Config, checkout_id: str) -> str:
    """Return a checkout's address in DataWarehouse, ``""`` if the id is missing or cut."""
    if not _is_whole(checkout_id):
        return ""
    encoded = quote(checkout_id, safe="", errors="replace")
    return f"{config.datawarehouse.url}/kcidb/checkouts/{encoded}"


def _short(url: str) -> str:
    """Return a merge request's short name, as ``kernel!12``; else the address."""
    try:
        link = merge_request_link(url)
    except ValueError:
        return url
    return f"{link.project.rpartition('/')[2]}!{link.number}"


def _http_only(url: str) -> str:
    """Return an address that is safe to link, ``""`` for any other."""
    try:
        is_web = urlsplit(url).scheme in {"http", "https"}
    except ValueError:
        is_web = False
    return url if is_web and url.isprintable() and not url.endswith("…") else ""


def _is_whole(checkout_id: str) -> bool:
    """Tell whether there is an id that was not cut."""
    return checkout_id != "" and not checkout_id.endswith("…")


def command(*words: str) -> str:
    """Return a command to copy into a shell; ``""`` if a part of it is not printable."""
    line = shlex.join(words)
    return line if line.isprintable() else ""


def dry_run(checkout_id: str) -> str:
    """Return the command for a dry run of a checkout, ``""`` if the id is missing or cut."""
    if not _is_whole(checkout_id):
        return ""
    return command("cki-notifier", f"--checkout-id={checkout_id}", "--dry-run")


def record_command(kafka: KafkaConfig | None, position: Position | None) -> str:
    """Return the command that shows a record of the topic, ``""`` if there is none."""
    if position is None or kafka is None:
        return ""
    settings: Mapping[str, object] = kafka.settings
    public = [f"{name}={settings[name]}" for name in _PUBLIC_SETTINGS if name in settings]
    return command(
        *("kcat", "-C", "-e", "-b", str(settings["bootstrap.servers"])),
        *(word for setting in public for word in ("-X", setting)),
        *("-t", kafka.topic, "-p", str(position.partition), "-o", str(position.offset)),
        *("-c", "1", "-f", r"%k\n%h\n%s\n"),
    )
