"""Gathers what the status page shows; ``/outcomes.json`` is exactly this."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from msgspec import Struct

from cki_notifier import __version__
from cki_notifier.configuration.settings import Config
from cki_notifier.telemetry import metrics
from cki_notifier.telemetry.outcomes import Outcomes
from cki_notifier.telemetry.unsettled import Unsettled
from cki_notifier.web.health import Health
from cki_notifier.web.links import Links
from cki_notifier.web.neighbours import Connection, Neighbours
from cki_notifier.web.problems import Problem
from cki_notifier.web.rows import InHand, Row, Waiting, in_hand_of, iso, row_of, waiting_of
from cki_notifier.web.verdict import Moment, Verdict, problems_of, verdict_of

#: Of what is not settled, so many of each kind are shown.
MOST_SHOWN = 50


class Process(Struct, frozen=True):
    """What the process is.

    Attributes:
        environment: ``""`` when none is set.
        sends: whether messages are sent, or only shown.
        started: when, ISO 8601 in UTC; another value is another process.
    """

    version: str
    environment: str
    sends: bool
    started: str


class Snapshot(Struct, frozen=True):
    """How it all is at one moment.

    Attributes:
        now: ISO 8601 in UTC.
        verdict: whether all is well.
        problems: what is not, what is worst coming first.
        in_flight: how many are being handled, at most ``in_flight_limit``.
        in_hand: what was handed to this process and is not settled, what was first seen first
            coming first; the first 50 of ``in_hand_count``.
        delayed: what this process has put into a delay queue, what comes back first coming first;
            the first 50 of ``delayed_count``.
        waiting: messages by queue (``main``, ``delay``, ``dead-letter``); without what is unknown.
        last_sent: ISO 8601 in UTC, None when no message was sent since the start.
    """

    now: str
    process: Process
    verdict: Verdict
    problems: list[Problem]
    connections: list[Connection]
    in_flight: int
    in_flight_limit: int
    in_hand_count: int
    in_hand: list[InHand]
    delayed_count: int
    delayed: list[Waiting]
    waiting: Mapping[str, int]
    last_sent: str | None
    outcomes: list[Row]

    @property
    def unknown_delayed(self) -> int:
        """How many are in the delay queues that this process has not put there, or not lately."""
        return max(0, self.waiting.get("delay", 0) - self.delayed_count)


class Status:
    """Knows how it all is.

    Args:
        config: of the process.
        health: of the process.
        outcomes: the last ones.
        unsettled: what nothing became yet.
        counts: how much waits by queue, without what is not known.
    """

    def __init__(
        self,
        config: Config,
        health: Health,
        outcomes: Outcomes,
        unsettled: Unsettled,
        counts: Callable[[], Mapping[str, int]],
    ) -> None:
        self._health = health
        self._neighbours = Neighbours(config, health)
        self._outcomes = outcomes
        self._unsettled = unsettled
        self._counts = counts
        self._limit = config.in_flight
        self._links = Links(config)
        started = outcomes.since.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self.process = Process(__version__, config.environment, config.sends, started)

    def now(self, after: int = 0) -> Snapshot:
        """Return how it is now, with the outcomes whose number is above ``after``."""
        now = datetime.now(UTC)
        kept, last_sent = self._outcomes.newest(), self._outcomes.last_sent
        moment = Moment(
            now=now,
            lives=self._health.lives,
            neighbours=self._neighbours.look(),
            waiting=self._counts(),
            in_hand=self._unsettled.in_hand(),
            delayed=self._unsettled.delayed(),
            idle_seconds=self._outcomes.idle_seconds,
            has_settled=bool(kept),
        )
        problems = problems_of(moment)
        return Snapshot(
            now=iso(now),
            process=self.process,
            verdict=verdict_of(moment, problems),
            problems=problems,
            connections=[it.connection for it in moment.neighbours],
            in_flight=_in_flight(),
            in_flight_limit=self._limit,
            in_hand_count=len(moment.in_hand),
            in_hand=[in_hand_of(it, now) for it in moment.in_hand[:MOST_SHOWN]],
            delayed_count=len(moment.delayed),
            delayed=[waiting_of(it) for it in moment.delayed[:MOST_SHOWN]],
            waiting=moment.waiting,
            last_sent=iso(last_sent) if last_sent else None,
            outcomes=[row_of(self._links, it) for it in kept if it.number > after],
        )


def _in_flight() -> int:
    (metric,) = metrics.in_flight.collect()
    return int(metric.samples[0].value)
