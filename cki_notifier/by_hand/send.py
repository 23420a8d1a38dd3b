"""Sends messages by hand: with retries for a while, a log line, and a report to the daemons."""

import logging
import os
import pwd
import socket
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Literal, TypeVar

from msgspec.structs import replace

from cki_notifier.configuration.settings import RabbitMQConfig
from cki_notifier.notification.command_words import MOST, ManualRun, word_of_run
from cki_notifier.notification.errors import Invalid, NotFound, NotifierError, Unavailable
from cki_notifier.notification.models import Ignored, Notification, Sent
from cki_notifier.notification.reasons import DelayReason
from cki_notifier.pipeline import Announcement, Pipeline
from cki_notifier.rabbitmq.words import tell_daemons
from cki_notifier.telemetry.printable import printable
from cki_notifier.telemetry.terminal import show
from cki_notifier.workers.deadline import Deadline
from cki_notifier.workers.threads import beside

logger = logging.getLogger(__name__)

T = TypeVar("T")

#: For all work on one message, in seconds.
LONGEST_SECONDS = 60.0
#: The pause before a retry, in seconds.
_PAUSE_SECONDS = 3.0
#: For the report of the first run to the daemons, and of each further one, in seconds.
_TELL_SECONDS, _TELL_EACH_SECONDS = 5.0, 0.05


def send(
    pipeline: Pipeline, announcement: Announcement, notification: Notification, deadline: Deadline
) -> Sent:
    """Send until Kafka confirms; before a retry, look up the message in the topic.

    Raises:
        NotifierError: as :meth:`cki_notifier.pipeline.Pipeline.announce`.
    """
    tries = 0

    def announce() -> Sent:
        nonlocal tries
        tries += 1
        again = replace(notification, may_be_repeat=tries > 1)
        return pipeline.announce(announcement, again, deadline)

    return persist(announce, deadline)


def persist(act: Callable[[], T], deadline: Deadline) -> T:
    """Try something until the deadline, as long as retrying may help."""
    while True:
        try:
            return act()
        except Unavailable as error:
            if not error.hiccup or not deadline.pause(_PAUSE_SECONDS):
                raise
            show(f"retrying: {error}")


def told_of(
    notification: Notification, decided: Announcement | Ignored | NotifierError
) -> ManualRun:
    """Log who sent which message; return the report for the daemons."""
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
        "manual run by %s: checkout=%s status=%s outcome=%s reason=%s event=%s",
        *(run.who, run.checkout_id, run.status, outcome, reason, run.event_id),
        extra=fields | {"reason": reason},
    )
    return run


def tell_daemons_of(runs: Sequence[ManualRun], rabbitmq: RabbitMQConfig | None) -> None:
    """Report runs to the daemons, which count them; give up after a few seconds.

    Args:
        runs: any number, on one connection.
        rabbitmq: of the daemons; None for no report.
    """
    if rabbitmq is None or not runs:
        return
    told = 0

    def words() -> Iterator[bytes]:
        nonlocal told
        for run in runs:
            yield word_of_run(run)
            told += 1

    telling = beside("manual run", lambda: tell_daemons(rabbitmq, words(), "manual run"))
    try:
        telling.result(_TELL_SECONDS + _TELL_EACH_SECONDS * (len(runs) - 1))
    except (Unavailable, TimeoutError) as error:
        missing = "this run" if len(runs) == 1 else f"{len(runs) - told:,} of {len(runs):,} runs"
        show(f"cki_notifier_manual_runs_total lacks {missing}: {str(error) or 'no answer in time'}")


def _told(
    decided: Announcement | Ignored | NotifierError,
) -> tuple[Literal["sent", "ignored", "failed"], str]:
    """Return a run's outcome and the code of its reason."""
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
