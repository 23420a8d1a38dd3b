"""The verdict and the problems. No other module decides them."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from msgspec import Struct

from cki_notifier.notification.reasons import sentence
from cki_notifier.telemetry.unsettled import Delayed, Held
from cki_notifier.web.neighbours import Neighbour, Problem, runbook
from cki_notifier.web.rows import NAMELESS, iso, shown

#: A standstill: no outcome for this long, though notifications are there to be processed.
_STANDSTILL_SECONDS = 120.0
#: The age from which a delayed notification is a problem.
_LATE = timedelta(hours=1)


class Verdict(Struct, frozen=True):
    """Whether all is well.

    Attributes:
        state: ``fine``, ``problem``, or ``unknown`` (not connected yet, or standing by).
        says: the state in a word or two.
    """

    state: str
    says: str


class Moment(Struct, frozen=True, kw_only=True):
    """The facts at one moment.

    Attributes:
        lives: whether the RabbitMQ consumer's loop runs.
        waiting: messages by queue; unknown queues are missing.
        idle_seconds: since the last outcome, or since the start if there is none.
        has_settled: whether there was an outcome since the start.
    """

    now: datetime
    lives: bool
    neighbours: Sequence[Neighbour]
    waiting: Mapping[str, int]
    in_hand: Sequence[Held]
    delayed: Sequence[Delayed]
    idle_seconds: float
    has_settled: bool


def problems_of(moment: Moment) -> list[Problem]:
    """Return the problems, the worst first."""
    theirs = [it.problem for it in moment.neighbours if it.problem]
    return [*_hung(moment), *theirs, *_standstill(moment), *_dead_letters(moment), *_late(moment)]


def verdict_of(moment: Moment, problems: Sequence[Problem]) -> Verdict:
    """Return the verdict."""
    if problems:
        says = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        return Verdict("problem", says)
    if not _is_consumed(moment):
        return Verdict("unknown", "starting")
    if _is_passed_over(moment) and not moment.has_settled:
        return Verdict("unknown", "standing by")
    return Verdict("fine", "working")


def _hung(moment: Moment) -> Iterator[Problem]:
    if not moment.lives:
        yield Problem(
            id="loop",
            says="The RabbitMQ consumer hangs",
            means="This process finishes no notification, even if the rest of this page looks "
            "fine.",
            do="Save the log and restart the process. RabbitMQ then redelivers the notifications "
            "in flight.",
            runbook=runbook("NotConsuming"),
        )


def _standstill(moment: Moment) -> Iterator[Problem]:
    if not _is_consumed(moment):
        return  # a problem of its own, and then no notification is in flight
    held = [it.seconds for it in moment.in_hand]
    seconds = min(moment.idle_seconds, max(held, default=0.0))
    is_passed_over = _is_passed_over(moment) and moment.has_settled
    if seconds < _STANDSTILL_SECONDS and not is_passed_over:
        return
    waiting = moment.waiting.get("main", 0)
    if held:
        does = [it.does for it in moment.in_hand]
        usual = max(dict.fromkeys(does), key=does.count)
        says = f"No outcomes, with {len(held):,} in flight"
        means = f"{does.count(usual):,} of them: {shown(usual)}.".replace(": waits:", " wait:", 1)
        do = "Fix this cause. The process then continues by itself."
    else:
        says = f"No outcomes, with {waiting:,} in the main queue"
        means = "RabbitMQ delivers none of them to this process."
        do = "Look for another consumer of the queue. If it is a replica, see its status page."
    yield Problem(
        id="standstill",
        says=says,
        since=iso(moment.now - timedelta(seconds=seconds if held else moment.idle_seconds)),
        means=means,
        do=do,
        runbook=runbook("NotConsuming"),
    )


def _dead_letters(moment: Moment) -> Iterator[Problem]:
    if count := moment.waiting.get("dead-letter", 0):
        yield Problem(
            id="dead-letters",
            says="1 dead letter" if count == 1 else f"{count:,} dead letters",
            means="The labs get no message about these kernels until you retry the dead letters.",
            do="Read the reasons on the page Dead letters, fix the cause, then retry or discard "
            "them. To list them: cki-notifier dead-letters list",
            runbook=runbook("DeadLettersWaiting"),
        )


def _late(moment: Moment) -> Iterator[Problem]:
    late = [it for it in moment.delayed if moment.now - it.first_seen > _LATE]
    if not late:
        return
    oldest = min(late, key=lambda it: it.first_seen)
    who = shown(oldest.identity.checkout_id) or f"one {NAMELESS}"
    why = oldest.result.error or sentence(oldest.result.outcome, oldest.result.reason)
    yield Problem(
        id="delayed",
        says=f"{len(late):,} delayed for more than an hour",
        since=iso(oldest.first_seen),
        answered=shown(why),
        means=f"The oldest is {who}. After CKI_NOTIFIER_RETRY_HOURS they become dead letters.",
        do="Fix the cause. Until then, each is retried at least once an hour.",
        runbook=runbook("DelayedForHours"),
    )


def _is_consumed(moment: Moment) -> bool:
    return all(
        it.connection.state == "up" for it in moment.neighbours if it.connection.id == "rabbitmq"
    )


def _is_passed_over(moment: Moment) -> bool:
    """Tell whether notifications wait, and RabbitMQ delivers none to this process."""
    return (
        _is_consumed(moment)
        and not moment.in_hand
        and moment.waiting.get("main", 0) > 0
        and moment.idle_seconds >= _STANDSTILL_SECONDS
    )
