"""Logging to standard error, a line per event: ours at the configured level, others from ERROR."""

import json
import logging
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from cki_notifier.notification.parse import Identity
from cki_notifier.telemetry import metrics, streams
from cki_notifier.telemetry.outcomes import Result
from cki_notifier.telemetry.printable import printable

logger = logging.getLogger(__name__)

T = TypeVar("T")

#: The parent of all our loggers.
ROOT = "cki_notifier"
#: Fields of the lines about a notification, as far as known, in this order.
FIELDS = (
    *("checkout", "status", "outcome", "reason", "duration", "event", "attempt"),
    *("partition", "offset", "next_try", "letter", "was_there"),
)
#: Logs outages. These lines belong to no notification, although one happens to reveal the outage.
_STORIES = "cki_notifier.telemetry.connections"
#: The notification that the present thread processes.
_handled: ContextVar[Identity | None] = ContextVar("handled", default=None)

#: The fields of a record that can always be formatted.
_CERTAIN = ("name", "levelno", "levelname", "created", "msecs")
#: The longest text logged, in characters. Bodies and answers may be longer.
_LONGEST = 10_000


@contextmanager
def about(identity: Identity) -> Iterator[None]:
    """Add a notification's fields to all lines that this thread logs in the context."""
    token = _handled.set(identity)
    try:
        yield
    finally:
        _handled.reset(token)


def settled(identity: Identity, result: Result, seconds: float) -> None:
    """Log the line with a notification's outcome.

    Args:
        identity: of the notification.
        result: its outcome.
        seconds: its duration.
    """
    if not logger.isEnabledFor(logging.INFO):
        return
    position = result.position
    fields = {
        "checkout": identity.checkout_id,
        "status": identity.status,
        "outcome": result.outcome,
        "reason": result.reason,
        "duration": f"{seconds:.3f}",
        "event": identity.event_id,
        "attempt": identity.attempt,
        "partition": position.partition if position else None,
        "offset": position.offset if position else None,
        "next_try": result.next_try.isoformat(timespec="seconds") if result.next_try else None,
        "letter": result.letter or None,
        "was_there": result.was_there or None,
    }
    told = {name: it for name, it in fields.items() if it is not None or name in FIELDS[:2]}
    text = " ".join(f"{name}={it}" for name, it in told.items())
    logger.info("%s", text, extra=told | {"duration": round(seconds, 3)})


class TextFormatter(logging.Formatter):
    """A line for people. Control characters are escaped, so that no text can forge a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's line, followed by an indented traceback if there is one."""
        when = self.formatTime(record, "%Y-%m-%dT%H:%M:%S")
        message = record.getMessage()
        if "event" in record.__dict__:
            name = record.__dict__["checkout"] or "a notification without an id"
            message = message if name in message else f"{name}: {message}"
        message = printable(_cut(message))
        line = f"{when}.{int(record.msecs):03d} {record.levelname:<7} {record.name}: {message}"
        if record.exc_info:
            below = _cut(self.formatException(record.exc_info)).split("\n")
            line += "".join(f"\n  {printable(text)}" for text in below)
        return line


class JSONFormatter(logging.Formatter):
    """One JSON object per line: time, level, logger, message, notification fields, traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's line."""
        line = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S") + f".{int(record.msecs):03d}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": _cut(record.getMessage()),
        }
        line |= {name: _cut(record.__dict__[name]) for name in FIELDS if name in record.__dict__}
        if record.exc_info:
            line["traceback"] = _cut("".join(traceback.format_exception(*record.exc_info)))
        return json.dumps(line, default=str)  # in ASCII, so that no character ends the line


class _Handler(logging.Handler):
    """Writes lines to standard error. A failure never reaches the caller."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record's line."""
        identity = _handled.get()
        if identity is not None and record.name != _STORIES:
            record.checkout, record.status = identity.checkout_id, identity.status
            record.event, record.attempt = identity.event_id, identity.attempt
        try:
            streams.write(sys.stderr, self._line(record) + "\n")
        except (MemoryError, ValueError):  # no memory, or the stream is closed
            metrics.log_lines_dropped.inc()

    def _line(self, record: logging.LogRecord) -> str:
        try:
            return self.format(record)
        except Exception:  # noqa: BLE001  # any argument may fail to format
            less = {name: record.__dict__[name] for name in _CERTAIN}
            text = f"this message can't be formatted: {record.msg!r}"
            return self.format(logging.makeLogRecord(less | {"msg": text}))


def set_up(level: str, form: str) -> None:
    """Set up logging for this process.

    Args:
        level: of our own loggers; others log from ERROR on.
        form: ``text`` or ``json``.
    """
    formatter = JSONFormatter() if form == "json" else TextFormatter()
    formatter.converter = time.gmtime
    handler = _Handler()
    handler.setFormatter(formatter)
    # Also for loggers that set a level of their own.
    handler.addFilter(lambda it: it.levelno >= logging.ERROR or it.name.partition(".")[0] == ROOT)
    logging.basicConfig(level=logging.ERROR, handlers=[handler], force=True)
    logging.getLogger(ROOT).setLevel(level)
    # These log each failed attempt to connect; we log each outage once.
    logging.getLogger("pika").setLevel(logging.CRITICAL)
    logging.getLogger("librdkafka").setLevel(logging.CRITICAL + 1)  # we get its fatal errors too


def _cut(value: T) -> T | str:
    """Cut a long text in its middle, because a traceback says most at its end."""
    if not isinstance(value, str) or len(value) <= _LONGEST:
        return value
    half = _LONGEST // 2
    return f"{value[:half]} … {len(value) - 2 * half} characters … {value[-half:]}"
