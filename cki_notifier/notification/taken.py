"""Word from ``cki-notifier dead-letters`` to the daemons: so many letters were taken out.

Prometheus sees the daemons alone, and would miss those letters. The word goes through the main
queue; every release ignores it there as one about another type of object.
"""

from typing import Annotated, Literal

import msgspec

#: What no object of the warehouse's is.
OBJECT_TYPE = "cki-notifier"
#: Anybody may say anything; no dead-letter queue of ours is larger.
_MOST = 1_000_000


class _Word(msgspec.Struct):
    count: Annotated[int, msgspec.Meta(ge=1, le=_MOST)]
    object_type: Literal["cki-notifier"] = "cki-notifier"
    status: Literal["dead-letters-taken"] = "dead-letters-taken"
    id: str = OBJECT_TYPE


def word_of(count: int) -> bytes:
    """Return the body that says that so many were taken out."""
    return msgspec.json.encode(_Word(min(count, _MOST)))


def taken_by(body: bytes) -> int:
    """Return how many were taken out, as a body says; 0 where it says nothing of the kind."""
    try:
        return msgspec.json.decode(body, type=_Word).count
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return 0
