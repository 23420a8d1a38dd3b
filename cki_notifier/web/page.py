"""The status page: a shell, filled; everything that comes from outside is escaped."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from html import escape
from importlib.resources import files
from string import Template
from urllib.parse import unquote

from cki_notifier.web.status import Connection, Row, Snapshot

_ASSETS = files("cki_notifier.web") / "assets"
#: What each outcome of a row is, in the page's order.
OUTCOMES = ("sent", "ignored", "delayed", "dead-lettered")


def asset(name: str) -> bytes:
    """Return a file of the page."""
    return (_ASSETS / name).read_bytes()


class Page:
    """Fills the shell."""

    def __init__(self) -> None:
        self._shell = Template(asset("page.html").decode())
        self._row = Template(asset("row.html").decode().strip())

    def filled(self, status: Snapshot, query: Mapping[str, Sequence[str]]) -> str:
        """Return the page.

        Args:
            status: what it shows.
            query: ``q`` searches, ``outcome`` (any number of them) filters.
        """
        now = datetime.fromisoformat(status.now)
        words = set(unquote(" ".join(query.get("q", ()))).lower().split())
        wanted = set(query.get("outcome", ())) & set(OUTCOMES) or set(OUTCOMES)
        rows = [it for it in status.outcomes if it.outcome in wanted and _has(it, words)]
        problems = [it.problem for it in status.connections if it.problem]
        values = {
            "version": status.process.version,
            "environment": _environment(status),
            "sends": str(status.process.sends).lower(),
            "started": status.process.started,
            "shown_started": _moment(status.process.started),
            "verdict_state": "problem" if problems else "fine",
            "verdict": _verdict(len(problems)),
            "in_flight": _count(status.in_flight),
            "waiting_main": _count(status.waiting.get("main")),
            "waiting_delay": _count(status.waiting.get("delay")),
            "waiting_dead_letter": _count(status.waiting.get("dead-letter")),
            "dead_letters_alarm": str(status.waiting.get("dead-letter", 0) > 0).lower(),
            "last_sent": _age(status.last_sent, now) if status.last_sent else "none yet",
            "shown": f"{_count(len(rows))} of {_count(len(status.outcomes))} shown",
            "none": "None of them matches." if status.outcomes else "Nothing was settled yet.",
        }
        markup = {
            "problems": "".join(f"<li>{escape(text)}</li>" for text in problems),
            "problems_hidden": "" if problems else "hidden",
            "connections": "".join(map(_connection, status.connections)),
            "rows": "".join(self._filled_row(row, now) for row in rows),
            "none_hidden": "hidden" if rows else "",
            "empty_row": self._row.substitute(_EMPTY_ROW),
        }
        return self._shell.substitute(
            {name: escape(text) for name, text in values.items()} | markup
        )

    def _filled_row(self, row: Row, now: datetime) -> str:
        values = {
            "number": str(row.number),
            "time": row.time,
            "shown_time": _moment(row.time).partition("-")[2],
            "age": _age(row.time, now),
            "checkout_id": row.checkout_id,
            "merge_request": row.merge_request,
            "status": row.status,
            "outcome": row.outcome,
            "reason": row.reason,
            "sentence": row.sentence,
            "error": row.error,
            "took": f"{row.seconds:.{2 if row.seconds < 10 else 0}f} s",  # noqa: PLR2004  # of 2 digits
        }
        markup = {
            "checkout_href": _href(row.checkout_url),
            "merge_request_href": _href(row.merge_request_url),
        }
        return self._row.substitute({name: escape(text) for name, text in values.items()} | markup)


_EMPTY_ROW = dict.fromkeys(
    (
        *("number", "time", "shown_time", "age", "checkout_id", "merge_request", "status"),
        *("outcome", "reason", "sentence", "error", "took", "checkout_href", "merge_request_href"),
    ),
    "",
)


def _has(row: Row, words: Collection[str]) -> bool:
    """Tell whether a row has all of some words, in lower case and each once."""
    texts = [row.checkout_id, row.merge_request, row.status, row.reason, row.error]
    addresses = [unquote(row.checkout_url), unquote(row.merge_request_url)]
    haystack = "\n".join([*texts, *addresses]).lower()
    return all(word in haystack for word in words)


def _environment(status: Snapshot) -> str:
    name = status.process.environment or "no environment"
    return name if status.process.sends else f"{name}: nothing is sent, only shown"


def _connection(it: Connection) -> str:
    parts = {"name": it.name, "says": it.says, "about": it.about}
    spans = " ".join(f'<span class="{kind}">{escape(text)}</span>' for kind, text in parts.items())
    return f'<li id="connection-{escape(it.id)}" data-state="{escape(it.state)}">{spans}</li>'


def _href(url: str) -> str:
    return f' href="{escape(url)}"' if url else ""


def _verdict(problems: int) -> str:
    if not problems:
        return "working"
    return "1 problem" if problems == 1 else f"{problems} problems"


def _count(number: int | None) -> str:
    return "unknown" if number is None else f"{number:,}"


def _moment(time: str) -> str:
    return time[:19].replace("T", " ")


def _age(time: str, now: datetime) -> str:
    seconds = max(0, int((now - datetime.fromisoformat(time)).total_seconds()))
    if seconds < 60:  # noqa: PLR2004  # a minute
        return f"{seconds} s ago"
    if seconds < 3600:  # noqa: PLR2004  # an hour
        return f"{seconds // 60} min ago"
    return f"{seconds // 3600} h ago" if seconds < 172_800 else f"{seconds // 86_400} days ago"  # noqa: PLR2004  # 2 days
