"""One checkout by hand, through the same rules; for a minute at most, as no queue waits for it.

And any body of a notification, to see what would become of it.
"""

import logging
import os
import pwd
import socket
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar

import msgspec
from msgspec.structs import replace

from cki_notifier.checkout.reference import MergeRequestName
from cki_notifier.configuration.settings import RabbitMQConfig
from cki_notifier.message.contract import encode
from cki_notifier.notification.by_hand import MOST, ManualRun, word_of_run
from cki_notifier.notification.errors import Invalid, NotFound, NotifierError, Unavailable
from cki_notifier.notification.models import Ignored, Notification, Sent
from cki_notifier.notification.parse import Identity, identify, parse
from cki_notifier.notification.reasons import DelayReason
from cki_notifier.pipeline import Announcement, Pipeline
from cki_notifier.rabbitmq.words import tell_daemons
from cki_notifier.rules.explain import ExplainedReason, Explanation, Trail
from cki_notifier.sources.load import Loader
from cki_notifier.telemetry.printable import printable
from cki_notifier.telemetry.terminal import decision, show, show_message
from cki_notifier.workers.deadline import Deadline

logger = logging.getLogger(__name__)

T = TypeVar("T")

#: For everything together, in seconds.
LONGEST_SECONDS = 60.0
#: The pause before another try, in seconds.
_PAUSE_SECONDS = 3.0
#: For telling the daemons, in seconds.
_TELL_SECONDS = 5.0
#: No notification is larger, in bytes.
_LARGEST_BODY = 16 * 1024 * 1024

SENT, FAILED, IGNORED = 0, 1, 3


class Form(StrEnum):
    """What is shown of a decision, besides what it was."""

    MESSAGE = "the message"
    EXPLAINED = "the message, and what each rule saw, line by line"
    JSON = "all of it as one JSON object"


def event(status: str, checkout_id: str) -> Notification:
    """Return the notification that there would be.

    Args:
        status: one of the four.
        checkout_id: the KCIDB id or the iid.
    """
    # Each run is an event of its own, so the time is part of the body the event's id is made of.
    body = {
        "timestamp": datetime.now(UTC).isoformat(),
        "status": status,
        "object_type": "checkout",
        "id": checkout_id,
    }
    return parse(msgspec.json.encode(body))


def run(
    pipeline: Pipeline,
    notification: Notification,
    *,
    sends: bool,
    form: Form,
    rabbitmq: RabbitMQConfig | None = None,
) -> int:
    """Decide and send; the message or JSON goes to standard output, all else to standard error.

    Args:
        pipeline: whose publisher sends, or sends nothing where ``sends`` is False.
        notification: an :func:`event`.
        sends: whether the message really goes out; then it is logged, and the daemons are told.
        form: what is shown.
        rabbitmq: where the daemons are told; None for nowhere.

    Returns:
        The exit code: 0 sent (or would be), 3 a rule ignored it, 1 it could not be sent, or, where
        nothing is sent, not be shown.
    """
    code, decided = _handle(pipeline, notification, sends=sends, form=form)
    if sends:
        _tell_of(notification, decided, rabbitmq)
    return code


def explain(pipeline: Pipeline, body: bytes, form: Form) -> int:
    """Decide about any notification's body and show why; nothing is sent.

    Args:
        pipeline: whose publisher sends nothing.
        body: as it came, or was made up.
        form: what is shown.

    Returns:
        As :func:`run`; 1 for a body that is malformed, too.
    """
    try:
        notification = parse(body)
    except NotifierError as error:
        return _fail(form, Trail(), identify(body), error)
    return _handle(pipeline, notification, sends=False, form=form)[0]


def read_body(name: str) -> bytes:
    """Return a notification's body.

    Args:
        name: of a file; ``-`` for standard input.

    Raises:
        OSError: it can't be read.
        ValueError: it is larger than any notification.
    """
    if name == "-":
        if sys.stdin.isatty():
            show("reading a notification from standard input; Ctrl-D ends it")
        body = sys.stdin.buffer.read(_LARGEST_BODY + 1)
    else:
        with Path(name).open("rb") as file:
            body = file.read(_LARGEST_BODY + 1)
    if len(body) > _LARGEST_BODY:
        raise ValueError("it is larger than 16 MiB, as no notification is")
    return body


def find(loader: Loader, name: MergeRequestName) -> str | None:
    """Return the id of a merge request's newest checkout, and say which it is.

    Returns:
        None when there is none, or it can't be had; it is said why.
    """
    deadline = Deadline(LONGEST_SECONDS)
    try:
        checkout = _persist(lambda: loader.find(name, deadline), deadline)
    except NotifierError as error:
        show(f"{name.text}: {error}")
        return None
    if checkout is None:
        show(f"{name.text}: none of the newest checkouts is of this merge request; give its id")
        return None
    show(f"{name.text}: its newest checkout is {checkout.id}")
    return checkout.id


def _handle(
    pipeline: Pipeline, notification: Notification, *, sends: bool, form: Form
) -> tuple[int, Announcement | Ignored | NotifierError]:
    """Decide, send, and show; return the exit code and what was decided."""
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
        identity = Identity(notification.checkout_id, notification.status)
        return _fail(form, trail, identity, error), error
    identity = Identity(notification.checkout_id, notification.status)
    is_shown &= _explain(form, trail, identity, decided)
    show(f"{identity.checkout_id} {identity.status}: {decision(outcome, sends=sends)}")
    if not (is_shown or sends):
        return FAILED, decided
    return IGNORED if isinstance(outcome, Ignored) else SENT, decided


def _fail(form: Form, trail: Trail, identity: Identity, error: NotifierError) -> int:
    _explain(form, trail, identity, error)
    reason = f" ({error.reason})" if isinstance(error, Invalid) else ""
    show(f"not sent{reason}: {error}")
    if isinstance(error, NotFound):
        show(
            "see whether the warehouse knows it: --checkout-id takes an id, an iid, the address of "
            "a checkout's page there, or a merge request as project!123"
        )
    return FAILED


def _tell_of(
    notification: Notification,
    decided: Announcement | Ignored | NotifierError,
    rabbitmq: RabbitMQConfig | None,
) -> None:
    """Log who sent what, and tell the daemons, as long as that takes no time."""
    outcome, reason = _told(decided)
    run = ManualRun(
        who=_cut(f"{_user()}@{socket.gethostname()}"),
        when=datetime.now(UTC),
        checkout_id=_cut(notification.checkout_id),
        status=notification.status,
        outcome=outcome,
        reason=reason,
        event_id=notification.event_id,
    )
    fields = {"checkout": run.checkout_id, "status": run.status, "outcome": outcome}
    logger.warning(
        "by hand, by %s: checkout=%s status=%s outcome=%s reason=%s event=%s",
        *(run.who, run.checkout_id, run.status, outcome, reason, run.event_id),
        extra=fields | {"reason": reason},
    )
    if rabbitmq is None:
        return
    failures = ["no answer in time"]
    thread = threading.Thread(target=_tell, args=(rabbitmq, run, failures), daemon=True)
    thread.start()
    thread.join(_TELL_SECONDS)
    if failures:
        show(f"the daemons don't know of this run: {failures[-1]}")


def _tell(config: RabbitMQConfig, run: ManualRun, failures: list[str]) -> None:
    try:
        tell_daemons(config, word_of_run(run), "manual run")
        failures.clear()
    except Unavailable as error:
        failures.append(str(error))


def _told(
    decided: Announcement | Ignored | NotifierError,
) -> tuple[Literal["sent", "ignored", "failed"], str]:
    """Return what became of a run, and the code of the reason."""
    if isinstance(decided, Announcement):
        return "sent", decided.stage.value
    if isinstance(decided, Ignored):
        return "ignored", decided.reason.value
    if isinstance(decided, Invalid):
        return "failed", decided.reason.value
    is_absent = isinstance(decided, NotFound)
    return "failed", (DelayReason.NOT_FOUND if is_absent else DelayReason.UNAVAILABLE).value


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # in a container
        return str(os.getuid())


def _cut(text: str) -> str:
    return printable(text)[:MOST]


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
    identity: Identity,
    decided: Announcement | Ignored | NotifierError,
) -> bool:
    """Show what led to a decision, where that is asked for; tell whether it could be shown."""
    if form == Form.JSON:
        return show_message(msgspec.json.encode(_explanation(trail, identity, decided)))
    for line in trail.lines():
        show(line)
    return True


def _explanation(
    trail: Trail, identity: Identity, decided: Announcement | Ignored | NotifierError
) -> Explanation:
    begun = partial(
        Explanation,
        checkout_id=identity.checkout_id or "",
        status=identity.status or "",
        steps=trail.explained(),
    )
    if isinstance(decided, Announcement):
        message = msgspec.Raw(encode(decided.message))
        return begun(outcome="sent", stage=decided.stage, message=message)
    missing = tuple(trail.missing())
    if isinstance(decided, Ignored):
        reason = ExplainedReason(decided.reason, decided.reason.sentence)
        return begun(outcome="ignored", reason=reason, not_looked_at=missing)
    failed = partial(begun, outcome="failed", error=str(decided), not_looked_at=missing)
    if isinstance(decided, Invalid):
        return failed(reason=ExplainedReason(decided.reason, decided.reason.sentence))
    return failed()
