"""The queues for what failed: the dead-letter queue, and those where a notification waits."""

from collections.abc import Iterator, Mapping

from cki_notifier.doctor.finding import Finding, ok, warning, worst
from cki_notifier.doctor.queue import absent, count, number, other, unlike_ours, unseen
from cki_notifier.rabbitmq.connection import ACCESS_REFUSED, Arguments, BlockingConnection, Refusal
from cki_notifier.rabbitmq.queues import dead_letter_queue, retry_arguments

_DEAD, _LETTERS = "rabbitmq dead-letter queue", "rabbitmq dead letters"
_DELAYS = "rabbitmq delay queues"


def findings(connection: BlockingConnection, queue: str) -> Iterator[Finding]:
    """Look at the queues beside the main one; raises what pika does when the connection is lost."""
    arguments = retry_arguments(queue)
    dead = dead_letter_queue(queue)
    yield from _dead_letters(connection, dead, arguments.pop(dead))
    yield _delays(connection, arguments)


def _dead_letters(
    connection: BlockingConnection, name: str, arguments: Arguments
) -> Iterator[Finding]:
    counts = count(connection, name)
    if isinstance(counts, Refusal):
        yield absent(connection, _DEAD, name, counts)
        return
    unlike = unlike_ours(connection, name, arguments)
    if unlike is None:
        yield ok(_DEAD, f"{name}: as the daemon makes it")
    elif unlike.code == ACCESS_REFUSED:
        yield unseen(_DEAD, name)
    else:
        yield warning(
            _DEAD,
            f"{name} is not what the daemon would make: {unlike.text}",
            "RabbitMQ 4 may drop what is looked at often: see docs/dead-letters.md",
        )
    if counts.messages:
        text = f"{number(counts.messages, 'dead letter')} in {name}"
        yield warning(_LETTERS, text, "see what they are: cki-notifier dead-letters list")
    else:
        yield ok(_LETTERS, f"none in {name}")


def _delays(connection: BlockingConnection, queues: Mapping[str, Arguments]) -> Finding:
    """Return the worst there is to say of the delay queues."""
    messages, findings = 0, []
    for name, arguments in queues.items():
        counts = count(connection, name)
        if isinstance(counts, Refusal):
            findings.append(absent(connection, _DELAYS, name, counts))
            continue
        messages += counts.messages
        unlike = unlike_ours(connection, name, arguments)
        if unlike is not None and unlike.code == ACCESS_REFUSED:
            findings.append(unseen(_DELAYS, name))
        elif unlike is not None:
            findings.append(other(_DELAYS, name, unlike))
    if findings:
        return worst(findings)
    return ok(_DELAYS, f"{len(queues)} of them; {number(messages, 'message')} waiting")
