"""How it is with each of those we talk to: for the metrics, the status page, and the log.

The log tells an outage as one story: a line with its cause when it begins, one every ten minutes
while it lasts, and one with its sum when it is over.
"""

import logging
import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

logger = logging.getLogger(__name__)

#: An outage that lasts is told of again so often.
_REMINDER = timedelta(minutes=10)
#: Of whom an outage delays nothing, and what it does instead.
_SUFFER = {"jira": "messages sent without issues"}


class Trouble(Struct, frozen=True):
    """What is wrong.

    Attributes:
        says: what was answered, or what became of the request.
        again: what is done about it, as ``it is asked about once a second``.
        refuses: whether it answers, and refuses us.
    """

    says: str
    again: str = ""
    refuses: bool = False


class State(Struct, frozen=True):
    """How it is with one of them.

    Attributes:
        since: when that began, in UTC.
        trouble: None while it does what is asked of it.
        affected: notifications that were delayed because of it since then; of Jira, messages that
            were sent without their issues.
    """

    since: datetime
    trouble: Trouble | None = None
    affected: int = 0


class _Story(Struct):
    """A state as it develops, and when the log was told of it last."""

    state: State
    told: datetime


def _now() -> datetime:
    return datetime.now(UTC)


class Connections(Collector):
    """Remembers how it is with each, by its name and, where there are several, its host.

    Used by all threads.

    Args:
        clock: returns the time in UTC.
    """

    def __init__(self, clock: Callable[[], datetime] = _now) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._stories: dict[tuple[str, str], _Story] = {}

    def works(self, dependency: str, host: str = "") -> None:
        """Note that one did what was asked of it; ``host`` tells those of one name apart."""
        self._set(dependency, host, None)

    def fails(self, dependency: str, trouble: Trouble, host: str = "") -> None:
        """Note that one did not do what was asked of it."""
        self._set(dependency, host, trouble)

    def _set(self, dependency: str, host: str, trouble: Trouble | None) -> None:
        """Note how it is, and tell the log what has changed."""
        with self._lock:
            story = self._stories.get((dependency, host))
            before = story.state if story else None
            if before and before.trouble == trouble is None:
                return
            now = self._clock()
            state = State(now, trouble)
            goes_on = trouble is not None and before is not None and before.trouble is not None
            if before and goes_on:
                state = replace(before, trouble=trouble)
            is_quiet = story is not None and goes_on and now - story.told < _REMINDER
            told = story.told if story and is_quiet else now
            self._stories[dependency, host] = _Story(state, told)
        if not (is_quiet or (before is None and trouble is None)):
            _tell(f"{dependency} {host}".rstrip(), before, state, now)

    def affects(self, dependency: str, host: str = "") -> bool:
        """Count who suffers from an outage; tell whether the log knows that there is one."""
        with self._lock:
            story = self._stories.get((dependency, host))
            if story is None or story.state.trouble is None:
                return False
            story.state = replace(story.state, affected=story.state.affected + 1)
            return True

    def forget(self, dependency: str, host: str = "") -> None:
        """Forget one that nobody asks any more."""
        with self._lock:
            self._stories.pop((dependency, host), None)

    def states(self, dependency: str) -> dict[str, State]:
        """Return how it is with a dependency's hosts; ``""`` is the one that has no other name."""
        with self._lock:
            return {
                host: story.state
                for (name, host), story in self._stories.items()
                if name == dependency
            }

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._stories.clear()

    def collect(self) -> Iterable[Metric]:
        """Yield the gauge."""
        gauge = GaugeMetricFamily(
            "cki_notifier_connected",
            "Whether there is a connection that works, 1 or 0. rabbitmq: the queue is consumed; "
            "kafka: it answers; others: how they answered last, missing until they are asked; "
            "gitlab: for each host; the others have no host.",
            labels=("dependency", "host"),
        )
        with self._lock:
            works = {key: story.state.trouble is None for key, story in self._stories.items()}
        for (dependency, host), it in works.items():
            labels = {"dependency": dependency} | ({"host": host} if host else {})
            gauge.samples.append(Sample(gauge.name, labels, float(it)))
        yield gauge


def _tell(name: str, before: State | None, it: State, now: datetime) -> None:
    """Write the next line of a story; its template names it, so that Sentry tells them apart."""
    trouble, name = it.trouble, name.replace("%", "%%")
    if before is None or before.trouble is None:
        if trouble is not None:
            text, again = f"{name}: {_what(trouble)}: %s%s", trouble.again and f"; {trouble.again}"
            logger.log(_level(trouble), text, trouble.says, again)
        return
    ago = lasted(now - before.since)
    sum_ = f"; {_SUFFER.get(name, 'notifications delayed')}: {before.affected:,}"
    if trouble is None:
        text = f"{name}: back after %s%s"
        logger.warning(text, ago, sum_)
    else:
        text = f"{name}: {_what(trouble)} for %s: %s%s"
        logger.log(_level(trouble), text, ago, trouble.says, sum_)


def _what(trouble: Trouble) -> str:
    return "refuses us" if trouble.refuses else "down"


def _level(trouble: Trouble) -> int:
    return logging.ERROR if trouble.refuses else logging.WARNING


def lasted(time: timedelta) -> str:
    """Say how long something took.

    >>> lasted(timedelta(seconds=9.44)), lasted(timedelta(minutes=75))
    ('9.4 s', '1 h 15 min')
    """
    seconds = time.total_seconds()
    if seconds < 10:  # noqa: PLR2004  # of 2 digits
        return f"{seconds:.1f} s"
    if seconds < 120:  # noqa: PLR2004  # two minutes
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    hours, left = divmod(minutes, 60)
    return f"{hours} h {left} min" if hours else f"{minutes} min"
