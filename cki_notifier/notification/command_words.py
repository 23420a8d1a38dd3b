"""Word from the commands to the daemons, which alone Prometheus and people look at.

It goes through the main queue. Every release ignores it there as one about another type of object.
"""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from cki_notifier.notification.decoding import decoded

#: What no object of the warehouse's is.
OBJECT_TYPE = "cki-notifier"
#: Anybody may say anything: no dead-letter queue of ours is larger, no text longer, in characters.
_MOST_TAKEN, MOST = 1_000_000, 500
_Text = Annotated[str, Meta(max_length=MOST)]
#: What became of a run.
OUTCOMES = ("sent", "ignored", "failed")


class ManualRun(Struct, frozen=True, kw_only=True):
    """One run of ``cki-notifier --checkout-id … --status …`` that was to send.

    Attributes:
        who: ``user@host``, as that machine says.
        when: it ended, with its zone.
        checkout_id, status: as they were asked for.
        reason: the code: of the stage that was sent, why it was ignored, or why it failed.
        event_id: the message's ``ce_id``.
    """

    who: _Text
    when: Annotated[datetime, Meta(tz=True)]
    checkout_id: _Text
    status: _Text
    outcome: Literal["sent", "ignored", "failed"]
    reason: _Text
    event_id: _Text


class _Word(Struct, kw_only=True):
    object_type: Literal["cki-notifier"] = "cki-notifier"
    id: str = OBJECT_TYPE


class _Taken(_Word, tag_field="status", tag="dead-letters-taken"):
    count: Annotated[int, Meta(ge=1, le=_MOST_TAKEN)]


class _Run(_Word, tag_field="status", tag="manual-run"):
    run: ManualRun


def word_of(count: int) -> bytes:
    """Return the body that says that ``cki-notifier dead-letters`` took out so many."""
    return msgspec.json.encode(_Taken(count=min(count, _MOST_TAKEN)))


def taken_by(body: bytes) -> int:
    """Return how many were taken out, as a body says; 0 where it says nothing of the kind."""
    word = decoded(body, _Taken)
    return word.count if word else 0


def word_of_run(run: ManualRun) -> bytes:
    """Return the body that tells of a run."""
    return msgspec.json.encode(_Run(run=run))


def run_told_by(body: bytes) -> ManualRun | None:
    """Return the run that a body tells of, None where it tells of none.

    A text that can't be shown to people as it is makes it no word.
    """
    word = decoded(body, _Run)
    if word is None:
        return None
    run = word.run
    texts = (run.who, run.checkout_id, run.status, run.reason, run.event_id)
    return run if all(map(str.isprintable, texts)) else None
