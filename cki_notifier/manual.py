"""One checkout by hand, through the same rules; for a minute at most, as no queue waits for it."""

from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from cki_notifier.message.contract import encode
from cki_notifier.notification.errors import NotifierError, Unavailable
from cki_notifier.notification.models import Ignored, Notification, Sent
from cki_notifier.notification.parse import parse
from cki_notifier.pipeline import Announcement, Pipeline
from cki_notifier.rules.explain import ExplainedReason, Explanation, Trail
from cki_notifier.telemetry.terminal import decision, show, show_message
from cki_notifier.workers.deadline import Deadline

T = TypeVar("T")

#: For everything together, in seconds.
LONGEST_SECONDS = 60.0
#: The pause before another try, in seconds.
_PAUSE_SECONDS = 3.0

SENT, FAILED, IGNORED = 0, 1, 3


class Form(StrEnum):
    """What is shown of a decision, besides what it was."""

    MESSAGE = "the message"
    EXPLAINED = "the message, and what each rule saw, line by line"
    JSON = "all of it as one JSON object"


def run(pipeline: Pipeline, status: str, checkout_id: str, *, sends: bool, form: Form) -> int:
    """Decide and send; the message or JSON goes to standard output, all else to standard error.

    Args:
        pipeline: whose publisher sends, or sends nothing where ``sends`` is False.
        status: one of the four.
        checkout_id: the KCIDB id or the iid.
        sends: whether the message really goes out.
        form: what is shown.

    Returns:
        The exit code: 0 sent (or would be), 3 a rule ignored it, 1 it could not be sent, or, where
        nothing is sent, not be shown.
    """
    # Each run is an event of its own, so the time is part of the body the event's id is made of.
    body = {
        "timestamp": datetime.now(UTC).isoformat(),
        "status": status,
        "object_type": "checkout",
        "id": checkout_id,
    }
    notification = parse(msgspec.json.encode(body))
    deadline = Deadline(LONGEST_SECONDS)
    trail = Trail(wanted=form != Form.MESSAGE)
    is_shown = True

    try:
        decided = _persist(lambda: pipeline.decide(notification, deadline, _fresh(trail)), deadline)
        outcome = decided if isinstance(decided, Ignored) else Sent(decided.stage)
        if not isinstance(decided, Ignored):
            if form != Form.JSON:
                is_shown = show_message(encode(decided.message))
            _send(pipeline, decided, notification, deadline)
    except NotifierError as error:
        _explain(form, trail, notification, error)
        show(f"not sent: {error}")
        return FAILED
    is_shown &= _explain(form, trail, notification, decided)
    show(f"{checkout_id} {status}: {decision(outcome, sends=sends)}")
    if not (is_shown or sends):
        return FAILED
    return IGNORED if isinstance(outcome, Ignored) else SENT


def _send(
    pipeline: Pipeline, announcement: Announcement, notification: Notification, deadline: Deadline
) -> None:
    """Send until it is confirmed; what may be in the topic after a try is looked up first."""
    tries = 0

    def send() -> None:
        nonlocal tries
        tries += 1
        again = replace(notification, may_be_repeat=tries > 1)
        pipeline.announce(announcement, again, deadline)

    _persist(send, deadline)


def _persist(act: Callable[[], T], deadline: Deadline) -> T:
    """Try something until the deadline, as long as trying again may help."""
    while True:
        try:
            return act()
        except Unavailable as error:
            if not error.hiccup or not deadline.pause(_PAUSE_SECONDS):
                raise
            show(f"trying again: {error}")


def _fresh(trail: Trail) -> Trail:
    """Return the trail without what an earlier try left in it."""
    trail.steps.clear()
    return trail


def _explain(
    form: Form,
    trail: Trail,
    notification: Notification,
    decided: Announcement | Ignored | NotifierError,
) -> bool:
    """Show what led to a decision, where that is asked for; tell whether it could be shown."""
    if form == Form.JSON:
        return show_message(msgspec.json.encode(_explanation(trail, notification, decided)))
    for line in trail.lines():
        show(line)
    return True


def _explanation(
    trail: Trail, notification: Notification, decided: Announcement | Ignored | NotifierError
) -> Explanation:
    begun = partial(
        Explanation,
        checkout_id=notification.checkout_id,
        status=notification.status,
        steps=trail.explained(),
    )
    if isinstance(decided, Announcement):
        message = msgspec.Raw(encode(decided.message))
        return begun(outcome="sent", stage=decided.stage, message=message)
    missing = tuple(trail.missing())
    if isinstance(decided, Ignored):
        reason = ExplainedReason(decided.reason, decided.reason.sentence)
        return begun(outcome="ignored", reason=reason, not_looked_at=missing)
    return begun(outcome="failed", error=str(decided), not_looked_at=missing)
