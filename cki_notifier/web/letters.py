"""Dead letters to be looked at: read when somebody asks for them, and kept for a minute."""

import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Protocol

from msgspec import Struct

from cki_notifier.notification.errors import Unavailable

#: What was read holds for so long, and why it could not be read, in seconds. Each look counts as a
#: delivery for RabbitMQ.
_KEPT_SECONDS, _FAILED_SECONDS = 60.0, 10.0


class Letter(Protocol):
    """A dead letter; any text in it may be a stranger's."""

    @property
    def id(self) -> str:
        """Its id."""

    @property
    def checkout_id(self) -> str | None:
        """The checkout, as far as the body tells."""

    @property
    def status(self) -> str | None:
        """The status, as far as the body tells."""

    @property
    def reason(self) -> str:
        """The code of why it is there."""

    @property
    def sentence(self) -> str:
        """The reason in words, ``""`` where it is none of ours."""

    @property
    def error(self) -> str:
        """The last one."""

    @property
    def attempts(self) -> int:
        """How often it was tried."""

    @property
    def first_seen(self) -> datetime | None:
        """When it was received first."""

    @property
    def exchange(self) -> str:
        """How it came the first time."""

    @property
    def routing_key(self) -> str:
        """How it came the first time."""

    @property
    def bytes(self) -> int:
        """Of the body."""

    @property
    def body(self) -> str:
        """The beginning of the body, as text."""


class Reading(Protocol):
    """What was read of the dead-letter queue."""

    @property
    def letters(self) -> Sequence[Letter]:
        """Some of them."""

    @property
    def count(self) -> int:
        """How many there are."""

    @property
    def seen(self) -> int:
        """How many were looked at, of which these are the oldest."""


#: Reads letters, within some 10 s; raises :class:`Unavailable`.
Read = Callable[[], Reading]


class Look(Struct, frozen=True):
    """What there is to see.

    Attributes:
        as_of: when they were read, None when they were not.
        reading: None when they could not be read, or never were.
        trouble: why not, ``""`` when they were.
    """

    as_of: datetime | None = None
    reading: Reading | None = None
    trouble: str = ""


_BEING_READ = Look(trouble="they are being read just now; load this page again in some seconds")


class Letters:
    """Reads them, one reader at a time; whoever comes meanwhile waits for nobody.

    There are those that were read before, or word that they are being read.

    Args:
        read: reads them; None where they can't be read from here.
    """

    def __init__(self, read: Read | None) -> None:
        self._read = read
        self._reading = threading.Lock()
        self._look = Look(trouble="nobody has looked yet")
        self._kept_until = 0.0

    def look(self) -> Look:
        """Return them, as they were read within the last minute where that is possible."""
        if self._read is None:
            return Look(trouble="they are not read here")
        if time.monotonic() < self._kept_until:
            return self._look
        if not self._reading.acquire(blocking=False):
            return self._look if self._look.reading else _BEING_READ
        try:
            self._look, seconds = self._ask(self._read)
            self._kept_until = time.monotonic() + seconds
            return self._look
        finally:
            self._reading.release()

    def _ask(self, read: Read) -> tuple[Look, float]:
        try:
            reading = read()
        except Unavailable as error:
            return Look(trouble=str(error)), _FAILED_SECONDS
        return Look(datetime.now(UTC), reading), _KEPT_SECONDS
