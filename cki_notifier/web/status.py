"""The status page, and what it shows; ``/outcomes.json`` is exactly that."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from urllib.parse import unquote, urlencode

from msgspec import Struct

from cki_notifier import __version__
from cki_notifier.configuration.settings import Config
from cki_notifier.telemetry import metrics
from cki_notifier.telemetry.outcomes import Entry, Outcomes
from cki_notifier.telemetry.unsettled import Unsettled
from cki_notifier.web.health import Health
from cki_notifier.web.markup import (
    Markup,
    Process,
    age,
    asset,
    count,
    fill,
    join,
    moment,
    time,
    told,
)
from cki_notifier.web.neighbours import Connection, Problem, look
from cki_notifier.web.request import Query
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

#: Of what is not settled, so many of each kind are shown.
MOST_SHOWN = 50
#: What an outcome can be.
_OUTCOMES = {"sent", "ignored", "delayed", "dead-lettered"}
#: So many rows are shown at once.
ROWS = 50
#: No outcome has a number above that.
NOTHING_AFTER = 10**18
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
    """All that the pages tell of.

    Attributes:
        outcomes: the last ones.
        unsettled: what nothing became yet.
        counts: returns how much waits by queue, without what is not known.
    """

    config: Config
    health: Health
    outcomes: Outcomes
    unsettled: Unsettled
    counts: Callable[[], Mapping[str, int]]

    @property
    def process(self) -> Process:
        """What the process is."""
        started = self.outcomes.since.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return Process(__version__, self.config.environment, self.config.sends, started)


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


def snapshot(known: Known, after: int = NOTHING_AFTER) -> Snapshot:
    """Return how it is now, with the outcomes whose number is above ``after``."""
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


def status_page(known: Known, query: Query, before: int = 0) -> Markup:
    """Return the page.

    Args:
        known: what it tells of.
        query: ``q`` searches, ``outcome`` (any number of them) filters.
        before: only outcomes with a lower number are shown; 0 for the newest.
    """
    status, kept = snapshot(known), known.outcomes.newest()
    now = datetime.fromisoformat(status.now)
    words = words_of(query)
    wanted = set(query.get("outcome", ())) & _OUTCOMES or _OUTCOMES
    found = [it for it in kept if not words or has_all(_texts(row_of(known.config, it)), words)]
    part = _part([it for it in found if it.result.outcome in wanted], before, len(kept))
    dead_letters = status.waiting.get("dead-letter")
    return fill(
        asset("page.html"),
        **told(status.process),
        status=status,
        title=f"(!) cki-notifier: {status.verdict.says}" if status.problems else "cki-notifier",
        as_of=status.now[11:19],
        problems=join(map(_problem, status.problems)),
        connections=join(fill(_CONNECTION, it=it) for it in status.connections),
        main=count(status.waiting.get("main")),
        delay=count(status.waiting.get("delay")),
        dead_letters=count(dead_letters),
        alarm=str(bool(dead_letters)).lower(),
        last_sent=age(status.last_sent, now) if status.last_sent else "none yet",
        counts=Counter(it.result.outcome for it in found),
        part=part,
        rows=join(_row(row_of(known.config, it), now) for it in part.entries),
        newer=_turn(query, part.newer),
        older=_turn(query, part.older),
    )


def words_of(query: Query) -> set[str]:
    """Return what is searched for: each word once, in lower case."""
    return set(unquote(" ".join(query.get("q", ()))).lower().split())


def has_all(texts: Iterable[str], words: set[str]) -> bool:
    """Tell whether each of these words is in some text."""
    haystack = "\n".join(texts).lower()
    return all(word in haystack for word in words)


def _texts(row: Row) -> Iterable[str]:
    """Return what of a row is searched."""
    addresses = (unquote(row.checkout_url), unquote(row.merge_request_url))
    about = (row.checkout_id, row.merge_request, row.status, row.reason, row.error)
    return (*about, row.event_id, row.letter, row.by, *addresses)


class _Part(Struct, frozen=True):
    """What of many outcomes is shown at once.

    Attributes:
        says: which they are.
        none: why there are none, ``""`` when there are.
        newer, older: where the next ones begin: before that number, 0 for the newest; None where
            there are none.
    """

    entries: Sequence[Entry]
    says: str
    none: str
    newer: int | None
    older: int | None


def _part(found: Sequence[Entry], before: int, total: int) -> _Part:
    start = next((at for at, it in enumerate(found) if it.number < before), 0) if before else 0
    entries = found[start : start + ROWS]
    end = start + len(entries)
    is_all = len(entries) == len(found)
    of = f"{count(len(found))} of {count(total)}"
    if not is_all:
        of = f"{count(start + 1)} to {count(end)} of {count(len(found))}"
    newer = found[start - ROWS - 1].number if start > ROWS else 0
    none = "None of them matches." if total else "Nothing was settled yet."
    return _Part(
        entries,
        f"{of} shown",
        "" if entries else none,
        newer if start else None,
        entries[-1].number if end < len(found) else None,
    )


def _problem(it: Problem) -> Markup:
    since = fill('<span class="since">since {time}</span>', time=time(it.since)) if it.since else ""
    return fill(_PROBLEM, it=it, since=since)


def _row(it: Row, now: datetime) -> Markup:
    url = it.merge_request_url
    return fill(
        asset("row.html"),
        it=it,
        moment=moment(it.time).partition("-")[2],
        age=age(it.time, now),
        checkout=it.checkout_id or NAMELESS,
        merge_request_href=fill(' href="{url}"', url=url) if url else "",
        took=f"{it.seconds:.{2 if it.seconds < 10 else 0}f} s",  # noqa: PLR2004  # of 2 digits
    )


def _turn(query: Query, before: int | None) -> Markup:
    """Return the attribute of a link to other rows of the same search."""
    if before is None:
        return Markup("hidden")
    kept = [(name, it) for name in ("q", "outcome") for it in query.get(name, ())]
    wanted = kept + ([("before", str(before))] if before else [])
    return fill('href="./?{query}#outcomes"', query=urlencode(wanted, errors="replace"))
