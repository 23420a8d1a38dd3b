"""Notifications as they are shown, and the addresses and commands that tell more of them.

No text has control characters, or any length; nothing is secret.
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

#: What stands for an id where there is none.
NAMELESS = "without an id"
#: Settings of the Kafka client that somebody else needs as well, and that tell nothing secret.
_PUBLIC_SETTINGS = ("security.protocol", "sasl.mechanism", "sasl.mechanisms")


class Notification(Struct, frozen=True, kw_only=True):
    """What is shown of every notification.

    Attributes:
        checkout_page: with us, relative to the main page.
        event_id: becomes ``ce_id``.
        attempt: which try it is, or was the last one, counted from 1.
    """

    checkout_id: str
    checkout_page: str
    status: str
    event_id: str
    attempt: int


class InHand(Notification, frozen=True, kw_only=True):
    """A notification that is not settled, and that RabbitMQ has handed to this process.

    Attributes:
        first_seen: when it was received the very first time, ISO 8601 in UTC.
        since: when it was handed out this time.
        does: what happens to it.
    """

    first_seen: str
    since: str
    does: str


class Waiting(Notification, frozen=True, kw_only=True):
    """A notification in a delay queue.

    Attributes:
        first_seen: when it was received the very first time, ISO 8601 in UTC.
        until: when it comes back.
        sentence: the reason in words.
        error: what failed.
    """

    first_seen: str
    until: str
    reason: str
    sentence: str
    error: str


class Row(Notification, frozen=True, kw_only=True):
    """An outcome; no address has another scheme than http(s).

    Attributes:
        number: counts the outcomes from 1 since the start of the process.
        time: ISO 8601 in UTC.
        checkout_url: at the warehouse; ``""`` when the id can't be linked.
        merge_request: its short name, else its address.
        merge_request_url: ``""`` when there is none, or it is not one of http(s).
        stage: of the message that was sent, ``""`` when none was.
        sentence: the reason in words.
        error: what failed, ``""`` when nothing did.
        partition, offset: of the record in the topic, None where none is known.
        next_try: ISO 8601 in UTC, None when there is none.
        letter: its id among the dead letters, ``""`` when it is not there.
        was_there: whether the message was in the topic already, and was not sent again.
        by: who sent it by hand, ``""`` for the daemon.
        note: the last of these in words, as far as there is something to say.
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
    """Return what is shown of an outcome."""
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
    """Return what is shown of a notification in hand."""
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
    """Return what is shown of a notification in a delay queue."""
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
        f"try {settled.identity.attempt}": settled.identity.attempt > 1,
        f"next try {result.next_try:%H:%M:%S} UTC" if result.next_try else "": result.next_try,
        "it was in the topic already": result.was_there,
        f"letter {printable(result.letter)}": result.letter,
    }
    return "; ".join(text for text, applies in said.items() if applies)


def iso(time: datetime) -> str:
    """Return a time as it is in our JSON: ISO 8601 in UTC, in whole seconds."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def shown(text: str | None) -> str:
    """Return a text, which may hold anything, as it is shown."""
    return printable(cut(text or ""))


def checkout_page(checkout_id: str) -> str:
    """Return the address of a checkout's own page with us; what has no id shares one."""
    return f"checkout?id={quote(cut(checkout_id), safe='', errors='replace')}"


def warehouse_page(config: Config, checkout_id: str) -> str:
    """Return a checkout's address at the warehouse, ``""`` where it can't be known."""
    if not _is_whole(checkout_id):
        return ""
    encoded = quote(checkout_id, safe="", errors="replace")
    return f"{config.datawarehouse.url}/kcidb/checkouts/{encoded}"


def _short(url: str) -> str:
    """Return a merge request's name as people say it, as ``kernel!12``; else the address."""
    try:
        link = merge_request_link(url)
    except ValueError:
        return url
    return f"{link.project.rpartition('/')[2]}!{link.number}"


def _http_only(url: str) -> str:
    """Return an address that may be followed, ``""`` for any other."""
    try:
        is_web = urlsplit(url).scheme in {"http", "https"}
    except ValueError:
        is_web = False
    return url if is_web and url.isprintable() and not url.endswith("…") else ""


def _is_whole(checkout_id: str) -> bool:
    """Tell whether there is an id, and it was not cut."""
    return checkout_id != "" and not checkout_id.endswith("…")


def command(*words: str) -> str:
    """Return a command to be copied into a shell; ``""`` when something in it can't be shown."""
    line = shlex.join(words)
    return line if line.isprintable() else ""


def dry_run(checkout_id: str) -> str:
    """Return the command that asks the rules about a checkout, ``""`` where it can't be named."""
    if not _is_whole(checkout_id):
        return ""
    return command("cki-notifier", f"--checkout-id={checkout_id}", "--dry-run")


def record_command(kafka: KafkaConfig | None, position: Position | None) -> str:
    """Return the command that shows a record of our topic, ``""`` where there is none."""
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
