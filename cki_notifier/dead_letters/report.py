"""What is said of a walk: how many letters there are, what is missing, what became of them."""

from collections.abc import Iterator

from cki_notifier.dead_letters.walk import Walk
from cki_notifier.telemetry.printable import printable

#: The deed of a walk that takes nothing away.
SHOWN = "shown"
#: So many different reasons are counted up; ours are fewer, but anybody may write a header.
_MOST_REASONS = 9


def overview(walk: Walk) -> str:
    """Say how many letters there are, and why."""
    if not walk.exists:
        return f"no dead letters: the queue {walk.queue} does not exist yet"
    if not walk.count:
        return f"no dead letters in {walk.queue}"
    shown = f", {walk.done:,} {walk.deed}" if walk.done != walk.count else ""
    reasons = walk.reasons.most_common(_MOST_REASONS)
    text = ", ".join(f"{count:,} {printable(reason)}" for reason, count in reasons)
    return f"{letters(walk.count)} in {walk.queue}{shown}{': ' if text else ''}{text}"


def unmatched(walk: Walk, reason: str) -> Iterator[str]:
    """Say, line by line, what was asked for and is not there.

    Args:
        walk: one that came to its end.
        reason: the one asked for, empty for none.
    """
    for name in sorted(walk.missing):
        yield f"no dead letter has the id or checkout id {printable(name)}"
    if not walk.done and reason:
        yield f"no dead letter has the reason {printable(reason)}"
    if not walk.done:
        yield overview(walk)


def broken_off(walk: Walk) -> str:
    """Say what a walk did that did not come to its end."""
    if walk.deed == SHOWN:
        return "the queue is unchanged"
    return f"{letters(walk.done)} {walk.deed}, the others stay in the queue"


def worn(walk: Walk) -> str:
    """Warn of letters that were looked at so often that the broker may drop them."""
    return (
        f"warning: letters in {walk.queue} were delivered ten times or more. RabbitMQ 4.0 and "
        "later may drop them after 20 deliveries: see docs/dead-letters.md"
    )


def letters(count: int) -> str:
    """Return a number of letters in words."""
    return "1 dead letter" if count == 1 else f"{count:,} dead letters"
