"""The sentences about a walk: its letters, missing ids, and result."""

from collections.abc import Iterator

from cki_notifier.dead_letters.walk import Walk
from cki_notifier.telemetry.printable import printable

#: The deed of a walk that only reads.
SHOWN = "shown"
#: The most reasons in a sentence: ours are fewer, but anybody may write a header.
_MOST_REASONS = 9


def overview(walk: Walk) -> str:
    """Return the number of letters, by reason."""
    if not walk.exists:
        return f"no dead letters: the queue {walk.queue} does not exist yet"
    if not walk.count:
        return f"no dead letters in {walk.queue}"
    shown = f"; {walk.done:,} {walk.deed}" if walk.done != walk.count else ""
    reasons = walk.reasons.most_common(_MOST_REASONS)
    text = ", ".join(f"{count:,} {printable(reason)}" for reason, count in reasons)
    return f"{letters(walk.count)} in {walk.queue}{': ' if text else ''}{text}{shown}"


def unmatched(walk: Walk, reason: str) -> Iterator[str]:
    """Yield a line for each selected id or reason without a letter.

    Args:
        walk: a complete one.
        reason: the selected one, empty for none.
    """
    for name in sorted(walk.missing):
        yield f"no dead letter has the id or checkout id {printable(name)}"
    if not walk.done and reason:
        yield f"no dead letter has the reason {printable(reason)}"
    if not walk.done:
        yield overview(walk)


def broken_off(walk: Walk) -> str:
    """Describe the result of a walk that ended early."""
    if walk.deed == SHOWN:
        return "the queue is unchanged"
    return f"{letters(walk.done)} {walk.deed}, the others stay in the queue"


def worn(walk: Walk) -> str:
    """Warn that RabbitMQ may drop letters after more deliveries."""
    return (
        f"warning: letters in {walk.queue} were delivered ten times or more. RabbitMQ 4.0 and "
        "later may drop them after 20 deliveries: see docs/dead-letters.md"
    )


def letters(count: int) -> str:
    """Return a number with its noun."""
    return "1 dead letter" if count == 1 else f"{count:,} dead letters"
