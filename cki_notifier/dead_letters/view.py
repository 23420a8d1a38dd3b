"""Dead letters as text and JSON, with control characters escaped."""

import base64
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import chain
from typing import Any, TextIO

import msgspec

from cki_notifier.dead_letters.letter import Letter
from cki_notifier.notification.reasons import DeadLetterReason
from cki_notifier.rabbitmq.connection import BasicProperties
from cki_notifier.telemetry.printable import cut, printable
from cki_notifier.telemetry.terminal import columns

_NONE = "-"
_HEADING = ("ID", "FIRST SEEN (UTC)", "TRIES", "REASON", "CHECKOUT", "ERROR")
_WIDTHS = (12, 19, 5, 17, 24)
#: The most of an error in a terminal's table, in characters; the details have all of it.
_LONGEST_ERROR = 200
#: AMQP's properties of a message, without its headers.
_PROPERTIES = (
    *("content_type", "content_encoding", "delivery_mode", "priority", "correlation_id"),
    *("reply_to", "expiration", "message_id", "timestamp", "type", "user_id", "app_id"),
    "cluster_id",
)


def table(rows: Iterable[Sequence[str]], stream: TextIO) -> Iterator[str]:
    """Yield the lines of a table of letters.

    Args:
        rows: from :func:`cells`.
        stream: to print them to.
    """
    if stream.isatty():
        rows = ((*cells, cut(error, _LONGEST_ERROR)) for *cells, error in rows)
    return columns(chain([_HEADING], rows), stream, widths=_WIDTHS)


def cells(letter: Letter) -> tuple[str, ...]:
    """Return a letter's row of the table."""
    return (
        letter.id,
        _moment(letter.first_seen),
        f"{letter.attempts or _NONE:>5}",
        letter.reason,
        letter.checkout_id or _NONE,
        letter.error or _NONE,
    )


def details(letter: Letter) -> Iterator[str]:
    """Yield all details of a letter by line, its body last."""
    fields = {
        "id": letter.id,
        "checkout": letter.checkout_id or _NONE,
        "status": letter.status or _NONE,
        "reason": explained(letter.reason),
        "error": letter.error or _NONE,
        "tries": str(letter.attempts or _NONE),
        "first seen": _moment(letter.first_seen),
        "exchange": letter.exchange or _NONE,
        "routing key": letter.routing_key or _NONE,
    }
    for name, text in fields.items():
        yield f"{name:<12} {printable(text)}"
    for name, value in _properties(letter.properties).items():
        yield f"{name:<12} {_json(value)}"
    for name, value in _headers(letter.properties).items():
        yield f"header       {printable(name)}: {_json(value)}"
    yield f"body         {len(letter.body):,} bytes"
    yield ""
    yield from body_lines(letter.body)


def explained(reason: str) -> str:
    """Return a reason with its sentence, if it is ours."""
    sentence = sentence_of(reason)
    return f"{reason}: {sentence}" if sentence else reason


def sentence_of(reason: str) -> str:
    """Return the sentence for one of our reasons, ``""`` for other reasons."""
    return next((it.sentence for it in DeadLetterReason if it == reason), "")


def as_json(letter: Letter, *, whole: bool) -> str:
    """Return a letter as a JSON object in one line of ASCII.

    Args:
        letter: the letter.
        whole: whether to add headers, properties and the body, as ``body`` (UTF-8) or
            ``body_base64``.
    """
    said: dict[str, Any] = {
        "id": letter.id,
        "checkout_id": letter.checkout_id,
        "status": letter.status,
        "reason": letter.reason,
        "error": letter.error or None,
        "attempts": letter.attempts,
        "first_seen": letter.first_seen.isoformat() if letter.first_seen else None,
        "exchange": letter.exchange or None,
        "routing_key": letter.routing_key or None,
        "bytes": len(letter.body),
    }
    if whole:
        said["properties"] = _properties(letter.properties)
        said["headers"] = _headers(letter.properties)
        try:
            said["body"] = letter.body.decode()
        except UnicodeDecodeError:
            said["body_base64"] = base64.b64encode(letter.body).decode()
    return _json(said)


def body_lines(body: bytes) -> Iterator[str]:
    """Yield a body's lines, escaped, and indented if it is JSON."""
    try:
        text = msgspec.json.format(body, indent=2).decode()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        text = body.decode(errors="backslashreplace")
    yield from map(printable, text.split("\n"))


def _properties(properties: BasicProperties) -> dict[str, Any]:
    values = {name: getattr(properties, name) for name in _PROPERTIES}
    return {name: _plain(value) for name, value in values.items() if value is not None}


def _headers(properties: BasicProperties) -> dict[str, Any]:
    plain = _plain(properties.headers or {})
    return plain if isinstance(plain, dict) else {}


def _plain(value: Any) -> Any:
    """Convert an AMQP value to JSON's types, other types to text."""
    if isinstance(value, Mapping):
        return {_text(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    is_known = value is None or isinstance(value, int | str)
    if is_known or (isinstance(value, float) and math.isfinite(value)):
        return value
    return value.isoformat() if isinstance(value, datetime) else _text(value)


def _text(value: Any) -> str:
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)


def _json(value: Any) -> str:
    """Return JSON in ASCII on one line, safe for a terminal."""
    return json.dumps(value)


def _moment(time: datetime | None) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S}" if time else _NONE
