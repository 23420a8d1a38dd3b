"""Dead letters as the status page is given them."""

from datetime import datetime

from msgspec import Struct


class Letter(Struct, frozen=True, kw_only=True):
    """A dead letter; see :class:`cki_notifier.web.letters.Letter`."""

    id: str
    checkout_id: str | None
    reason: str
    status: str | None = None
    sentence: str = ""
    error: str = ""
    attempts: int = 0
    first_seen: datetime | None = None
    exchange: str = ""
    routing_key: str = ""
    bytes: int = 0
    body: str = ""


class Reading(Struct, frozen=True):
    """What was read; see :class:`cki_notifier.web.letters.Reading`."""

    letters: tuple[Letter, ...]
    count: int
    seen: int
