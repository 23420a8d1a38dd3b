"""The state of each connection, for the metrics, the status page and the log.

The log reports an outage with its cause at its start, and then every ten minutes. At the end it
reports the number of delayed notifications.
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

#: How often the log repeats an outage.
_REMINDER = timedelta(minutes=10)
#: A failure this soon after the end of an outage is logged only if it lasts longer.
_FLAP = timedelta(seconds=10)
#: Services whose outage delays no notifications, with its consequence instead.
_SUFFER = {"jira": "messages sent without issues"}


class Trouble(Struct, frozen=True):
    """The reason of an outage.

    Attributes:
        says: the answer or the error.
        again: how the process retries, in a clause.
        refuses: whether the service answers, and refuses access.
    """

    says: str
    again: str = ""
    refuses: bool = False


class State(Struct, frozen=True):
    """The state of one connection.

    Attributes:
        since: when the state began, in UTC.
        trouble: None while the connection works.
        affected: notifications delayed by the outage; for Jira, messages sent without issues.
    """

    since: datetime
    trouble: Trouble | None = None
    affected: int = 0


class _Story(Struct):
    """A state, with its place in the log.

    Attributes:
        quiet_until: the log reports no trouble before this time.
        is_told: whether the log has reported this trouble.
    """

    state: State
    quiet_until: datetime
    is_told: bool = False


class Connections(Collector):
    """Remembers the state of each connection, by name and, where there are several, by host.

    Any thread may use it.

    Args:
        clock: returns the time in UTC.
    """

    def __init__(self, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._stories: dict[tuple[str, str], _Story] = {}

    def works(self, dependency: str, host: str = "") -> None:
        """Note a success. ``host`` distinguishes connections of one name."""
        self._set(dependency, host, None)

    def fails(self, dependency: str, trouble: Trouble, host: str = "") -> None:
        """Note a failure."""
        self._set(dependency, host, trouble)

    def _set(self, dependency: str, host: str, trouble: Trouble | None) -> None:
        """Note a state, and log a change."""
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
        """Count a notification that an outage affects; return False if there is no outage."""
        with self._lock:
            story = self._stories.get((dependency, host))
            if story is None or story.state.trouble is None:
                return False
            story.state = replace(story.state, affected=story.state.affected + 1)
            return True

    def forget(self, dependency: str, host: str = "") -> None:
        """Forget a connection that is no longer used."""
        with self._lock:
            self._stories.pop((dependency, host), None)

    def states(self, dependency: str) -> dict[str, State]:
        """Return the states of a dependency by host; ``""`` is the only one without a host."""
        with self._lock:
            return {
                host: story.state
                for (name, host), story in self._stories.items()
                if name == dependency
            }

    def clear(self) -> None:
        """Forget all connections."""
        with self._lock:
            self._stories.clear()

    def collect(self) -> Iterable[Metric]:
        """Yield the gauge."""
        gauge = GaugeMetricFamily(
            "cki_notifier_connected",
            "1 while the connection works, else 0. rabbitmq: the process consumes the queue. "
            "kafka: Kafka answers. Others: the last request; missing before the first. Only gitlab "
            "has the label host.",
            labels=("dependency", "host"),
        )
        with self._lock:
            for (dependency, host), story in self._stories.items():
                labels = {"dependency": dependency} | ({"host": host} if host else {})
                works = float(story.state.trouble is None)
                gauge.samples.append(Sample(gauge.name, labels, works))
        yield gauge


def _tell(name: str, before: State, trouble: Trouble | None, now: datetime) -> None:
    """Log a change. The template contains the name, so that Sentry separates the connections."""
    name, ago = name.replace("%", "%%"), lasted(now - before.since)
    sum_ = f"; {_SUFFER.get(name, 'notifications delayed')}: {before.affected:,}"
    if trouble is None:
        text = f"{name}: back after %s%s"
        logger.warning(text, ago, sum_)
        return
    level, what = (
        (logging.ERROR, "refuses access") if trouble.refuses else (logging.WARNING, "down")
    )
    if before.trouble is None:
        text, again = f"{name}: {what}: %s%s", trouble.again and f"; {trouble.again}"
        logger.log(level, text, trouble.says, again)
    else:
        text = f"{name}: {what} for %s: %s%s"
        logger.log(level, text, ago, trouble.says, sum_)


def lasted(time: timedelta) -> str:
    """Return a duration in words.

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
