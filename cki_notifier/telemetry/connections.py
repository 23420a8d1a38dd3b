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
#: What fails again so soon after it came back is told of only when it still fails after that.
_FLAP = timedelta(seconds=10)
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
    """A state as it develops.

    Attributes:
        quiet_until: the log is told of no trouble before.
        is_told: whether the log was told of this trouble.
    """

    state: State
    quiet_until: datetime
    is_told: bool = False


class Connections(Collector):
    """Remembers how it is with each, by its name and, where there are several, its host.

    Used by all threads.

    Args:
        clock: returns the time in UTC.
    """

    def __init__(self, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
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
            now = self._clock()
            story = self._stories.setdefault((dependency, host), _Story(State(now), now))
            before = story.state
            if before.trouble == trouble is None:
                return
            begins = None in (before.trouble, trouble)
            story.state = State(now, trouble) if begins else replace(before, trouble=trouble)
            tells = now >= story.quiet_until if trouble else story.is_told
            if tells:
                story.is_told = trouble is not None
                story.quiet_until = now + (_REMINDER if trouble else _FLAP)
        if tells:
            _tell(f"{dependency} {host}".rstrip(), before, trouble, now)

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
            for (dependency, host), story in self._stories.items():
                labels = {"dependency": dependency} | ({"host": host} if host else {})
                works = float(story.state.trouble is None)
                gauge.samples.append(Sample(gauge.name, labels, works))
        yield gauge


def _tell(name: str, before: State, trouble: Trouble | None, now: datetime) -> None:
    """Write the next line of a story; its template names it, so that Sentry tells them apart."""
    name, ago = name.replace("%", "%%"), lasted(now - before.since)
    sum_ = f"; {_SUFFER.get(name, 'notifications delayed')}: {before.affected:,}"
    if trouble is None:
        text = f"{name}: back after %s%s"
        logger.warning(text, ago, sum_)
        return
    level, what = (logging.ERROR, "refuses us") if trouble.refuses else (logging.WARNING, "down")
    if before.trouble is None:
        text, again = f"{name}: {what}: %s%s", trouble.again and f"; {trouble.again}"
        logger.log(level, text, trouble.says, again)
    else:
        text = f"{name}: {what} for %s: %s%s"
        logger.log(level, text, ago, trouble.says, sum_)


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
