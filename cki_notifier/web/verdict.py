"""Whether all is well: the one place that decides it, over everything that is known."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from msgspec import Struct

from cki_notifier.notification.reasons import sentence
from cki_notifier.telemetry.unsettled import Delayed, Held
from cki_notifier.web.neighbours import Neighbour, Problem, runbook
from cki_notifier.web.rows import NAMELESS, iso, shown

#: Nothing is settled for so long, though there is something to settle.
_STANDSTILL_SECONDS = 120.0
#: After that a notification that was delayed is late.
_LATE = timedelta(hours=1)


class Verdict(Struct, frozen=True):
    """Whether all is well.

    Attributes:
        state: ``fine``, ``problem``, or ``unknown``: not connected yet, or standing by.
        says: the same in a word or two.
    """

    state: str
    says: str


class Moment(Struct, frozen=True, kw_only=True):
    """All that is known at one moment.

    Attributes:
        lives: whether the loop that talks to RabbitMQ goes round.
        waiting: messages by queue, without what is unknown.
        idle_seconds: for how long nothing was settled, since the start at most.
        has_settled: whether anything was, since the start.
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
    """Return what is wrong, what is worst coming first."""
    theirs = [it.problem for it in moment.neighbours if it.problem]
    return [*_hung(moment), *theirs, *_standstill(moment), *_dead_letters(moment), *_late(moment)]


def verdict_of(moment: Moment, problems: Sequence[Problem]) -> Verdict:
    """Return whether all is well."""
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
            says="The loop that talks to RabbitMQ hangs",
            means="Nothing is settled, whatever else is said here.",
            do="Save the log, and restart the process: what it holds goes back to the queue.",
            runbook=runbook("NotConsuming"),
        )


def _standstill(moment: Moment) -> Iterator[Problem]:
    if not _is_consumed(moment):
        return  # which is a problem of its own, and then nothing is in hand any more
    held = [it.seconds for it in moment.in_hand]
    seconds = min(moment.idle_seconds, max(held, default=0.0))
    is_passed_over = _is_passed_over(moment) and moment.has_settled
    if seconds < _STANDSTILL_SECONDS and not is_passed_over:
        return
    waiting = moment.waiting.get("main", 0)
    if held:
        does = [it.does for it in moment.in_hand]
        usual = max(dict.fromkeys(does), key=does.count)
        says = f"Nothing was settled, though {len(held):,} in hand"
        means = f"{does.count(usual):,} of them: {shown(usual)}."
        do = "Mend what they wait for; all goes on by itself then."
    else:
        says = f"Nothing was settled, though {waiting:,} wait in the queue"
        means = "RabbitMQ hands none of them to this process."
        do = "See who else consumes the queue: another replica may have it, and its page tells."
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
            means="Nobody is told of these kernels until somebody acts.",
            do="See why on the page of dead letters, mend the cause, and put them back: "
            "cki-notifier dead-letters list",
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
        means=f"The oldest is {who}. They are dead-lettered when the time for trying is over.",
        do="Mend the cause; each is tried again once an hour.",
        runbook=runbook("DelayedForHours"),
    )


def _is_consumed(moment: Moment) -> bool:
    return all(
        it.connection.state == "up" for it in moment.neighbours if it.connection.id == "rabbitmq"
    )


def _is_passed_over(moment: Moment) -> bool:
    """Tell whether RabbitMQ has something in the queue, and hands this process none of it."""
    return (
        _is_consumed(moment)
        and not moment.in_hand
        and moment.waiting.get("main", 0) > 0
        and moment.idle_seconds >= _STANDSTILL_SECONDS
    )
