"""The status page: a shell, filled; everything that comes from outside is escaped."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from html import escape
from urllib.parse import unquote, urlencode

from msgspec import Struct

from cki_notifier.web.links import NAMELESS
from cki_notifier.web.markup import age, count, environment, fill, moment, template, time
from cki_notifier.web.neighbours import Connection
from cki_notifier.web.problems import Problem
from cki_notifier.web.rows import Row
from cki_notifier.web.status import Snapshot

#: What each outcome of a row is, in the page's order.
OUTCOMES = ("sent", "ignored", "delayed", "dead-lettered")
#: So many rows are shown at once.
ROWS = 50

Query = Mapping[str, Sequence[str]]


class Page:
    """Fills the shell."""

    def __init__(self) -> None:
        self._shell = template("page.html")
        self._row = template("row.html")
        self._problem = template("problem.html")

    def filled(self, status: Snapshot, query: Query, before: int = 0) -> str:
        """Return the page.

        Args:
            status: what it shows.
            query: ``q`` searches, ``outcome`` (any number of them) filters.
            before: only outcomes with a lower number are shown; 0 for the newest.
        """
        now = datetime.fromisoformat(status.now)
        words = set(unquote(" ".join(query.get("q", ()))).lower().split())
        wanted = set(query.get("outcome", ())) & set(OUTCOMES) or set(OUTCOMES)
        rows = [it for it in status.outcomes if it.outcome in wanted and _has(it, words)]
        part = _part(rows, before, len(status.outcomes))
        dead_letters = status.waiting.get("dead-letter")
        values = {
            "version": status.process.version,
            "environment": environment(status.process),
            "sends": str(status.process.sends).lower(),
            "verdict_state": status.verdict.state,
            "verdict": status.verdict.says,
            "in_flight": f"{count(status.in_flight)} of {count(status.in_flight_limit)}",
            "waiting_main": count(status.waiting.get("main")),
            "waiting_delay": count(status.waiting.get("delay")),
            "waiting_dead_letter": count(dead_letters),
            "dead_letters_alarm": str((dead_letters or 0) > 0).lower(),
            "last_sent": age(status.last_sent, now) if status.last_sent else "none yet",
            "shown": part.says,
            "none": "None of them matches." if status.outcomes else "Nothing was settled yet.",
        }
        markup = {
            "started": time(status.process.started),
            "problems": "".join(map(self._filled_problem, status.problems)),
            "problems_hidden": "" if status.problems else "hidden",
            "connections": "".join(map(_connection, status.connections)),
            "rows": "".join(self._filled_row(row, now) for row in part.rows),
            "none_hidden": "hidden" if part.rows else "",
            "empty_row": self._row.substitute(_EMPTY_ROW),
            "empty_problem": self._problem.substitute(_EMPTY_PROBLEM),
            "newer": _turn(query, part.newer),
            "older": _turn(query, part.older),
        }
        return fill(self._shell, values, markup)

    def _filled_problem(self, it: Problem) -> str:
        texts = {"id": it.id, "says": it.says, "answered": it.answered, "means": it.means}
        more = {"do": it.do, "runbook": it.runbook}
        return fill(
            self._problem, texts | more, {"since": f"since {time(it.since)}" if it.since else ""}
        )

    def _filled_row(self, row: Row, now: datetime) -> str:
        values = {
            "number": str(row.number),
            "time": row.time,
            "shown_time": f"{moment(row.time).partition('-')[2]} UTC",
            "age": age(row.time, now),
            "checkout_id": row.checkout_id or NAMELESS,
            "merge_request": row.merge_request,
            "status": row.status,
            "outcome": row.outcome,
            "reason": row.reason,
            "sentence": row.sentence,
            "note": row.note,
            "error": row.error,
            "took": f"{row.seconds:.{2 if row.seconds < 10 else 0}f} s",  # noqa: PLR2004  # of 2 digits
        }
        markup = {
            "checkout_href": _href(row.checkout_page),
            "merge_request_href": _href(row.merge_request_url),
        }
        return fill(self._row, values, markup)


class _Part(Struct, frozen=True):
    """What of many rows is shown at once.

    Attributes:
        says: which they are.
        newer, older: where the next ones begin: before that number, 0 for the newest; None where
            there are none.
    """

    rows: Sequence[Row]
    says: str
    newer: int | None
    older: int | None


def _part(rows: Sequence[Row], before: int, total: int) -> _Part:
    start = next((at for at, it in enumerate(rows) if it.number < before), 0) if before else 0
    shown = rows[start : start + ROWS]
    end = start + len(shown)
    newer = rows[start - ROWS - 1].number if start > ROWS else 0
    is_all = len(shown) == len(rows)
    return _Part(
        shown,
        f"{count(len(rows))} of {count(total)} shown"
        if is_all
        else f"{count(start + 1)} to {count(end)} of {count(len(rows))} shown",
        newer if start else None,
        shown[-1].number if end < len(rows) else None,
    )


_EMPTY_ROW = dict.fromkeys(
    (
        *("number", "time", "shown_time", "age", "checkout_id", "merge_request", "status", "note"),
        *("outcome", "reason", "sentence", "error", "took", "checkout_href", "merge_request_href"),
    ),
    "",
)
_EMPTY_PROBLEM = dict.fromkeys(("id", "says", "since", "answered", "means", "do"), "") | {
    "runbook": "./"
}


def _has(row: Row, words: Collection[str]) -> bool:
    """Tell whether a row has all of some words, in lower case and each once."""
    if not words:
        return True
    texts = [row.checkout_id, row.merge_request, row.status, row.reason, row.error]
    more = [row.event_id, row.letter, row.by]
    addresses = [unquote(row.checkout_url), unquote(row.merge_request_url)]
    haystack = "\n".join([*texts, *more, *addresses]).lower()
    return all(word in haystack for word in words)


def _connection(it: Connection) -> str:
    parts = {"name": it.name, "says": it.says, "about": it.about}
    spans = " ".join(f'<span class="{kind}">{escape(text)}</span>' for kind, text in parts.items())
    return f'<li id="connection-{escape(it.id)}" data-state="{escape(it.state)}">{spans}</li>'


def _href(url: str) -> str:
    return f' href="{escape(url)}"' if url else ""


def _turn(query: Query, before: int | None) -> str:
    """Return the attribute of a link to other rows of the same search."""
    if before is None:
        return "hidden"
    kept = [(name, it) for name in ("q", "outcome") for it in query.get(name, ())]
    wanted = kept + ([("before", str(before))] if before else [])
    return f'href="./?{escape(urlencode(wanted, errors="replace"))}#outcomes"'
