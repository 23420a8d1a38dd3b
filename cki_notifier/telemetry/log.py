"""Logging: ours at the level asked for, everybody else's quiet; to standard error, a line each."""

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
#: Fields of all lines about a notification, as far as they are known, in their order.
FIELDS = (
    *("checkout", "status", "outcome", "reason", "duration", "event", "attempt"),
    *("partition", "offset", "next_try", "letter", "was_there"),
)
#: Tells of an outage, which is no single notification's affair, whoever happens to notice it.
_STORIES = "cki_notifier.telemetry.connections"
#: The notification that is handled while a line is logged.
_handled: ContextVar[Identity | None] = ContextVar("handled", default=None)

#: What of a record is always fit to be told.
_CERTAIN = ("name", "levelno", "levelname", "created", "msecs")
#: Bodies and services may hold any amount of text: more of one is not logged, in characters.
_LONGEST = 10_000


@contextmanager
def about(identity: Identity) -> Iterator[None]:
    """Have all lines that this thread logs meanwhile tell which notification they are about."""
    token = _handled.set(identity)
    try:
        yield
    finally:
        _handled.reset(token)


def settled(identity: Identity, result: Result, seconds: float) -> None:
    """Log the one line of a notification that is settled.

    Args:
        identity: which it is.
        result: what became of it.
        seconds: how long that took.
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
    """A line for a person, in which everything is visible, so that nobody forges another one."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's line, and below it, indented, the traceback of a bug."""
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
    """An object a line: time, level, logger, message, a notification's fields, traceback."""

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
        return json.dumps(line, default=str)  # in ASCII, so that nothing in it ends the line


class _Handler(logging.Handler):
    """Writes lines to standard error; nothing that goes wrong with one concerns who logs it."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record's line."""
        identity = _handled.get()
        if identity is not None and record.name != _STORIES:
            record.checkout, record.status = identity.checkout_id, identity.status
            record.event, record.attempt = identity.event_id, identity.attempt
        try:
            streams.write(sys.stderr, self._line(record) + "\n")
        except (MemoryError, ValueError):  # there is no room, or no stream any more
            metrics.log_lines_dropped.inc()

    def _line(self, record: logging.LogRecord) -> str:
        try:
            return self.format(record)
        except Exception:  # noqa: BLE001  # by whatever is to be told of
            less = {name: record.__dict__[name] for name in _CERTAIN}
            text = f"this can't be told in full: {record.msg!r}"
            return self.format(logging.makeLogRecord(less | {"msg": text}))


def set_up(level: str, form: str) -> None:
    """Set up logging for this process.

    Args:
        level: the least level of our own loggers; others are heard from ERROR on.
        form: ``text`` or ``json``.
    """
    formatter = JSONFormatter() if form == "json" else TextFormatter()
    formatter.converter = time.gmtime
    handler = _Handler()
    handler.setFormatter(formatter)
    # Also keeps those quiet who set their own logger's level.
    handler.addFilter(lambda it: it.levelno >= logging.ERROR or it.name.partition(".")[0] == ROOT)
    logging.basicConfig(level=logging.ERROR, handlers=[handler], force=True)
    logging.getLogger(ROOT).setLevel(level)
    # These report every connection they lose, each time they try; we tell of it once ourselves.
    logging.getLogger("pika").setLevel(logging.CRITICAL)
    logging.getLogger("librdkafka").setLevel(logging.CRITICAL + 1)  # even what is fatal it tells us


def _cut(value: T) -> T | str:
    """Cut a text in its middle, as a traceback tells most at its end; nothing else is changed."""
    if not isinstance(value, str) or len(value) <= _LONGEST:
        return value
    half = _LONGEST // 2
    return f"{value[:half]} … {len(value) - 2 * half} characters … {value[-half:]}"
