"""Reports from the commands to the daemons, whose metrics and status page show them.

They go through the main queue. Every release ignores them there as another type of object.
"""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from cki_notifier.notification.decoding import decoded

#: Not a type of DataWarehouse's.
OBJECT_TYPE = "cki-notifier"
#: Limits, because anybody can publish a report: dead letters, and characters of a text.
_MOST_TAKEN, MOST = 1_000_000, 500
_Text = Annotated[str, Meta(max_length=MOST)]
#: Of a run.
OUTCOMES = ("sent", "ignored", "failed")


class ManualRun(Struct, frozen=True, kw_only=True):
    """One run of ``cki-notifier --checkout-id … --status …`` that is meant to send.

    Attributes:
        who: ``user@host`` on that machine.
        when: its end, with a zone.
        checkout_id, status: as given.
        reason: the code of the outcome.
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
    """Return the report that ``cki-notifier dead-letters`` took out this many."""
    return msgspec.json.encode(_Taken(count=min(count, _MOST_TAKEN)))


def taken_by(body: bytes) -> int:
    """Return the number that a body reports as taken out; 0 for any other body."""
    word = decoded(body, _Taken)
    return word.count if word else 0


def word_of_run(run: ManualRun) -> bytes:
    """Return the report of a run."""
    return msgspec.json.encode(_Run(run=run))


def run_told_by(body: bytes) -> ManualRun | None:
    """Return the run that a body reports, None for any other body.

    A report with an unprintable text counts as none.
    """
    word = decoded(body, _Run)
    if word is None:
        return None
    run = word.run
    texts = (run.who, run.checkout_id, run.status, run.reason, run.event_id)
    return run if all(map(str.isprintable, texts)) else None
