"""Runs the rules for one checkout and sends its message, or explains one notification's body.

A run takes a minute at most: no queue keeps its notification for a retry.
"""

import sys
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from pathlib import Path

import msgspec

from cki_notifier.by_hand import send as by_hand
from cki_notifier.checkout.reference import MergeRequestName
from cki_notifier.configuration.settings import RabbitMQConfig
from cki_notifier.message.contract import encode
from cki_notifier.notification.errors import Invalid, NotFound, NotifierError
from cki_notifier.notification.models import Ignored, Notification, Sent
from cki_notifier.notification.parse import Identity, identify, parse
from cki_notifier.pipeline import Announcement, Pipeline
from cki_notifier.rules.explain import ExplainedReason, Explanation, Trail
from cki_notifier.sources.load import Loader
from cki_notifier.telemetry import streams
from cki_notifier.telemetry.terminal import columns, decision, show, show_message
from cki_notifier.workers.deadline import Deadline

#: The largest body, in bytes.
_LARGEST_BODY = 16 * 1024 * 1024

SENT, FAILED, IGNORED = 0, 1, 3
_STYLES = {"pass": "green", "stop": "yellow"}


class Form(StrEnum):
    """The output besides the decision itself."""

    MESSAGE = "the message"
    EXPLAINED = "the message, and what each rule saw, line by line"
    JSON = "all of it as one JSON object"


def event(status: str, checkout_id: str) -> Notification:
    """Return the notification that DataWarehouse would send.

    Args:
        status: one of the four.
        checkout_id: the KCIDB id or the iid.
    """
    # The event id is made of the body. The time makes each run a new event.
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
        pipeline: its publisher sends nothing if ``sends`` is False.
        notification: an :func:`event`.
        sends: whether to send the message, log the run and report it to the daemons.
        form: of the output.
        rabbitmq: to report the run to the daemons; None for no report.

    Returns:
        The exit code: 0 sent (dry run: decided and printed), 1 failed, 3 a rule ignored it.
    """
    code, decided = _handle(pipeline, notification, sends=sends, form=form)
    if isinstance(decided, NotFound):
        show(
            "check the checkout in DataWarehouse: --checkout-id takes a KCIDB id, an iid, the "
            "address of a checkout's page, or a merge request as project!123"
        )
    if sends:
        by_hand.tell_daemons_of([by_hand.told_of(notification, decided)], rabbitmq)
    return code


def explain(pipeline: Pipeline, body: bytes, form: Form) -> int:
    """Decide about a notification's body and show why; send nothing.

    Args:
        pipeline: its publisher sends nothing.
        body: of a real or invented notification.
        form: of the output.

    Returns:
        As :func:`run`. A malformed body gives 1.
    """
    try:
        notification = parse(body)
    except NotifierError as error:
        return _fail(form, Trail(), identify(body), error)
    return _handle(pipeline, notification, sends=False, form=form)[0]


def read_body(name: str) -> bytes:
    """Read a notification's body.

    Args:
        name: of a file; ``-`` for standard input.

    Raises:
        OSError: the file can't be read.
        ValueError: the body is larger than ``_LARGEST_BODY``.
    """
    if name == "-":
        if sys.stdin.isatty():
            show("reading the notification from standard input: end it with Ctrl-D")
        body = sys.stdin.buffer.read(_LARGEST_BODY + 1)
    else:
        with Path(name).open("rb") as file:
            body = file.read(_LARGEST_BODY + 1)
    if len(body) > _LARGEST_BODY:
        raise ValueError("the body is larger than the limit of 16 MiB")
    return body


def find(loader: Loader, name: MergeRequestName) -> str | None:
    """Return the id of a merge request's newest checkout, and show it.

    Returns:
        None, after showing why, if there is no recent one or a service does not answer.
    """
    deadline = Deadline(by_hand.LONGEST_SECONDS)
    try:
        checkout = by_hand.persist(lambda: loader.find(name, deadline), deadline)
    except NotifierError as error:
        show(f"{name.text}: {error}")
        return None
    if checkout is None:
        show(f"{name.text}: no recent checkout belongs to this merge request: give a checkout's id")
        return None
    show(f"{name.text}: the newest checkout is {checkout.id}")
    return checkout.id


def _handle(
    pipeline: Pipeline, notification: Notification, *, sends: bool, form: Form
) -> tuple[int, Announcement | Ignored | NotifierError]:
    """Decide, send, and show; return the exit code and what was decided."""
    deadline = Deadline(by_hand.LONGEST_SECONDS)
    trail = Trail(wanted=form != Form.MESSAGE)
    is_shown = True
    try:
        decided = by_hand.persist(
            lambda: pipeline.decide(notification, deadline, _fresh(trail)), deadline
        )
        outcome = decided if isinstance(decided, Ignored) else Sent(decided.stage)
        if not isinstance(decided, Ignored):
            if form != Form.JSON:
                is_shown = show_message(encode(decided.message))
            by_hand.send(pipeline, decided, notification, deadline)
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
    return FAILED


def _fresh(trail: Trail) -> Trail:
    """Empty the trail of an earlier try and return it."""
    trail.steps.clear()
    return trail


def _explain(
    form: Form,
    trail: Trail,
    identity: Identity,
    decided: Announcement | Ignored | NotifierError,
) -> bool:
    """Show the rules' steps if the form has them; return False if printing failed."""
    if form == Form.JSON:
        return show_message(msgspec.json.encode(_explanation(trail, identity, decided)))
    for line in columns(trail.rows(), sys.stderr, styles=_STYLES):
        streams.write(sys.stderr, line + "\n")
    return True


def _explanation(
    trail: Trail, identity: Identity, decided: Announcement | Ignored | NotifierError
) -> Explanation:
    begun = partial(
        Explanation,
        checkout_id=identity.checkout_id or "",
        status=identity.status or "",
        steps=tuple(trail.steps),
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
