"""Reads dead letters for the status page, and takes none.

Each look counts as a delivery. A queue that drops letters after many deliveries is not read: people
who reload a page must not lose letters.
"""

import threading
import time

from cki_notifier.configuration.settings import RabbitMQConfig
from cki_notifier.dead_letters.letter import Letter
from cki_notifier.dead_letters.view import sentence_of
from cki_notifier.dead_letters.visit import Visit, visit
from cki_notifier.dead_letters.walk import Choice
from cki_notifier.notification.errors import Unavailable
from cki_notifier.web.letters import Letter as ShownLetter
from cki_notifier.web.letters import Reading
from cki_notifier.workers.threads import beside

#: The most of a body that is kept, in bytes.
_MOST_BODY = 16 * 1024
#: The most that is read, in letters and in bytes.
_MOST_LETTERS, _MOST_BYTES = 10_000, 64 * 1024 * 1024
#: A guard against programs that reload the page, even if RabbitMQ drops nothing.
_MOST_LOOKS = 10_000
_COMMAND = "run cki-notifier dead-letters list instead"

_reading = threading.Lock()


def read_letters(config: RabbitMQConfig, most: int, seconds: float = 10.0) -> Reading:
    """Read the oldest dead letters and give them back, from any thread, one call at a time.

    Args:
        config: of RabbitMQ.
        most: the most letters to return.
        seconds: for the whole call. Later letters are left out.

    Raises:
        Unavailable: RabbitMQ does not answer, the queue may drop letters, or another call runs.
    """
    if not _reading.acquire(blocking=False):
        raise Unavailable(
            "rabbitmq", "another request is reading the dead letters: retry in some seconds"
        )

    def read() -> Reading:
        try:
            return _read(config, most, time.monotonic() + seconds)
        finally:
            _reading.release()

    try:
        reading = beside("dead letters", read)
    except RuntimeError:
        _reading.release()
        raise Unavailable(
            "rabbitmq", "the process has no thread left to read dead letters"
        ) from None
    try:
        return reading.result(seconds)
    except TimeoutError:
        raise Unavailable("rabbitmq", f"no answer within {seconds:.0f} s") from None


def _read(config: RabbitMQConfig, most: int, end: float) -> Reading:
    choice = Choice[ShownLetter](most)
    seen = size = 0
    with visit(config) as visiting:
        if visiting.wears_out():
            text = f"{visiting.queue} may drop letters after many deliveries, and each look is one"
            raise Unavailable("rabbitmq", f"{text}: {_COMMAND}")
        for letter in visiting.letters():
            _check(visiting, letter)
            choice.add(letter, _shown)
            seen, size = seen + 1, size + len(letter.body)
            if seen >= _MOST_LETTERS or size > _MOST_BYTES or time.monotonic() > end - 1:
                break
        return Reading(tuple(choice.kept()), visiting.count, seen)


def _check(visiting: Visit, letter: Letter) -> None:
    if letter.looks >= _MOST_LOOKS:
        text = f"letters in {visiting.queue} were delivered {letter.looks:,} times"
        raise Unavailable("rabbitmq", f"{text}: {_COMMAND}")


def _shown(letter: Letter) -> ShownLetter:
    return ShownLetter(
        id=letter.id,
        checkout_id=letter.checkout_id,
        status=letter.status,
        reason=letter.reason,
        sentence=sentence_of(letter.reason),
        error=letter.error,
        attempts=letter.attempts,
        first_seen=letter.first_seen,
        exchange=letter.exchange,
        routing_key=letter.routing_key,
        bytes=len(letter.body),
        body=letter.body[:_MOST_BODY].decode(errors="backslashreplace"),
    )
