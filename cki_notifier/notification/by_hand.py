"""Word from ``cki-notifier --checkout-id … --status …`` to the daemons: who sent what by hand.

Only the daemons are looked at, by Prometheus and by people. The word goes the way of that in
``taken``, and every release ignores it in the main queue.
"""

from datetime import datetime
from typing import Annotated, Literal

import msgspec

from cki_notifier.notification.taken import OBJECT_TYPE

#: No text in a word is longer, in characters.
MOST = 500
_Text = Annotated[str, msgspec.Meta(max_length=MOST)]
#: What became of a run.
OUTCOMES = ("sent", "ignored", "failed")


class ManualRun(msgspec.Struct, frozen=True, kw_only=True):
    """One run that was to send.

    Attributes:
        who: ``user@host``, as that machine says.
        when: it ended, with its zone.
        checkout_id, status: as they were asked for.
        reason: the code: of the stage that was sent, why it was ignored, or why it failed.
        event_id: the message's ``ce_id``.
    """

    who: _Text
    when: Annotated[datetime, msgspec.Meta(tz=True)]
    checkout_id: _Text
    status: _Text
    outcome: Literal["sent", "ignored", "failed"]
    reason: _Text
    event_id: _Text


class _Word(msgspec.Struct):
    run: ManualRun
    object_type: Literal["cki-notifier"] = "cki-notifier"
    status: Literal["manual-run"] = "manual-run"
    id: str = OBJECT_TYPE


def word_of_run(run: ManualRun) -> bytes:
    """Return the body that tells of a run."""
    return msgspec.json.encode(_Word(run))


def run_told_by(body: bytes) -> ManualRun | None:
    """Return the run that a body tells of, None where it tells of none.

    Anybody may say anything: a text that can't be shown to people as it is makes it no word.
    """
    try:
        run = msgspec.json.decode(body, type=_Word).run
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    texts = (run.who, run.checkout_id, run.status, run.reason, run.event_id)
    return run if all(map(str.isprintable, texts)) else None
