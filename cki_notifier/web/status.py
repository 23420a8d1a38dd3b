"""The status page and its data, which ``/outcomes.json`` shows to programs."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from urllib.parse import unquote

from msgspec import Struct

from cki_notifier import __version__
from cki_notifier.configuration.settings import Config
from cki_notifier.telemetry import metrics
from cki_notifier.telemetry.outcomes import Outcomes
from cki_notifier.telemetry.unsettled import Unsettled
from cki_notifier.web.health import Health
from cki_notifier.web.markup import (
    Markup,
    Process,
    age,
    asset,
    fill,
    join,
    some,
)
from cki_notifier.web.neighbours import Connection, Problem, look
from cki_notifier.web.request import Request, has_all
from cki_notifier.web.rows import (
    NAMELESS,
    InHand,
    Row,
    Waiting,
    in_hand_of,
    iso,
    row_of,
    waiting_of,
)
from cki_notifier.web.verdict import Moment, Verdict, problems_of, verdict_of

#: The most of each kind shown at once.
MOST_SHOWN = 50
#: All outcomes.
_OUTCOMES = {"sent", "ignored", "delayed", "dead-lettered"}
_CONNECTION = (
    '<li id="connection-{it.id}" data-state="{it.state}"><span class="name">{it.name}</span> '
    '<span class="says">{it.says}</span> <span class="about">{it.about}</span></li>'
)
_PROBLEM = (
    '<li id="problem-{it.id}"><p><strong>{it.says}</strong> {since}</p>'
    '<p class="answered">{it.answered}</p>'
    '<p>{it.means} {it.do} <a class="runbook" href="{it.runbook}">Runbook</a></p></li>'
)


class Known(Struct, frozen=True):
    """The state that the pages show.

    Attributes:
        outcomes: the last ones.
        unsettled: the notifications without an outcome.
        counts: returns messages by queue; unknown queues are missing.
    """

    config: Config
    health: Health
    outcomes: Outcomes
    unsettled: Unsettled
    counts: Callable[[], Mapping[str, int]]

    @property
    def process(self) -> Process:
        """The process's version, place and start."""
        started = self.outcomes.since.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return Process(__version__, self.config.environment, self.config.sends, started)


class Snapshot(Struct, frozen=True):
    """The state at one moment.

    Attributes:
        now: ISO 8601 in UTC.
        verdict: whether the process works.
        problems: the worst first.
        in_flight: the number being processed, at most ``in_flight_limit``.
        in_hand: delivered to this process and without an outcome, the oldest first; 50 at most,
            of ``in_hand_count``.
        delayed: put into a retry queue by this process, the next to return first; 50 at most,
            of ``delayed_count``.
        waiting: messages by queue (``main``, ``delay``, ``dead-letter``); unknown ones are missing.
        last_sent: ISO 8601 in UTC, None if no message was sent since the start.
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


def snapshot(known: Known, after: float = math.inf) -> Snapshot:
    """Return the present state, with the outcomes whose number is above ``after``."""
    now = datetime.now(UTC)
    kept, last_sent = known.outcomes.newest(), known.outcomes.last_sent
    moment = Moment(
        now=now,
        lives=known.health.lives,
        neighbours=list(look(known.config, known.health)),
        waiting=known.counts(),
        in_hand=known.unsettled.in_hand(),
        delayed=known.unsettled.delayed(),
        idle_seconds=known.outcomes.idle_seconds,
        has_settled=bool(kept),
    )
    problems = problems_of(moment)
    (in_flight,) = metrics.in_flight.collect()
    return Snapshot(
        now=iso(now),
        process=known.process,
        verdict=verdict_of(moment, problems),
        problems=problems,
        connections=[it.connection for it in moment.neighbours],
        in_flight=int(in_flight.samples[0].value),
        in_flight_limit=known.config.in_flight,
        in_hand_count=len(moment.in_hand),
        in_hand=[in_hand_of(it, now) for it in moment.in_hand[:MOST_SHOWN]],
        delayed_count=len(moment.delayed),
        delayed=[waiting_of(it) for it in moment.delayed[:MOST_SHOWN]],
        waiting=moment.waiting,
        last_sent=iso(last_sent) if last_sent else None,
        outcomes=[row_of(known.config, it) for it in kept if it.number > after],
    )


def status_page(known: Known, request: Request) -> Markup:
    """Return the page.

    Args:
        known: the state to show.
        request: ``q`` searches, ``outcome`` (any number of them) filters. ``before`` shows the
            outcomes with lower numbers.
    """
    status, kept = snapshot(known), known.outcomes.newest()
    now = datetime.fromisoformat(status.now)
    wanted = set(request.values("outcome")) & _OUTCOMES or _OUTCOMES
    words = request.words()
    found = [it for it in kept if not words or has_all(_texts(row_of(known.config, it)), words)]
    chosen = [it for it in found if it.result.outcome in wanted]
    before = request.number("before") or math.inf
    start = next((at for at, it in enumerate(chosen) if it.number < before), 0)
    part = chosen[start : start + MOST_SHOWN]
    end = start + len(part)
    newer = chosen[start - MOST_SHOWN - 1].number if start > MOST_SHOWN else 0
    says = f"{start + 1} to {end} of {len(chosen)} shown"
    body = fill(
        asset("page.html"),
        status=status,
        as_of=status.now[11:19],
        problems=join(map(_problem, status.problems)),
        connections=join(fill(_CONNECTION, it=it) for it in status.connections),
        waiting={name: status.waiting.get(name) for name in ("main", "delay", "dead-letter")},
        alarm=str(bool(status.waiting.get("dead-letter"))).lower(),
        last_sent=age(status.last_sent, now) if status.last_sent else "none yet",
        counts=Counter(it.result.outcome for it in found),
        says=says if len(part) < len(chosen) else f"{end} of {len(kept)} shown",
        none="" if part else "No outcome matches." if kept else "No outcomes yet.",
        rows=join(_row(row_of(known.config, it), now) for it in part),
        newer=_turn(request, newer if start else None),
        older=_turn(request, part[-1].number if end < len(chosen) else None),
    )
    title = f"(!) cki-notifier: {status.verdict.says}" if status.problems else "cki-notifier"
    script = Markup('<script type="module" src="page.js"></script>\n')
    return fill(asset("frame.html"), title=title, script=script, body=body)


def _texts(row: Row) -> Iterable[str]:
    """Return the texts of a row that a search looks at."""
    addresses = (unquote(row.checkout_url), unquote(row.merge_request_url))
    about = (row.checkout_id, row.merge_request, row.status, row.reason, row.error)
    return (*about, row.event_id, row.letter, row.by, *addresses)


def _problem(it: Problem) -> Markup:
    return fill(_PROBLEM, it=it, since=some("since {it!t}", it.since))


def _row(it: Row, now: datetime) -> Markup:
    return fill(
        asset("row.html"),
        it=it,
        moment=it.time[5:19].replace("T", " "),
        age=age(it.time, now),
        checkout=it.checkout_id or NAMELESS,
        merge_request_href=some(' href="{it}"', it.merge_request_url),
        took=f"{it.seconds:.{2 if it.seconds < 10 else 0}f} s",  # noqa: PLR2004  # of 2 digits
    )


def _turn(request: Request, before: int | None) -> Markup:
    """Return the attribute of a link to other rows of the same search; 0 means the newest."""
    if before is None:
        return Markup("hidden")
    more = {"before": before} if before else {}
    return fill('href="./?{search}#outcomes"', search=request.again("q", "outcome", **more))
