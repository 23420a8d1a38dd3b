"""HTML out of templates: what is put in is escaped, unless it is markup already."""

from collections.abc import Callable, Iterable
from datetime import datetime
from functools import cache
from html import escape
from importlib.resources import files
from string import Formatter
from typing import Any

from msgspec import Struct

from cki_notifier.telemetry.printable import printable
from cki_notifier.web.rows import shown


class Process(Struct, frozen=True):
    """What the process is whose pages these are.

    Attributes:
        environment: ``""`` when none is set.
        sends: whether messages are sent, or only shown.
        started: when, ISO 8601 in UTC; another value is another process.
    """

    version: str
    environment: str
    sends: bool
    started: str

    @property
    def place(self) -> str:
        """Where it is deployed, in words."""
        name = self.environment or "no environment"
        return name if self.sends else f"{name}: nothing is sent, only shown"


class Markup(str):
    """HTML. What is made of it by other means than :func:`fill` and :func:`join` is text again."""

    __slots__ = ()


class _Escaping(Formatter):
    def convert_field(self, value: Any, conversion: str | None) -> Any:
        shows: dict[str, Callable[[Any], str]] = {"t": time, "c": code, "n": count, "s": shown}
        return shows[conversion](value) if conversion else value

    def format_field(self, value: Any, format_spec: str) -> str:
        return value if isinstance(value, Markup) else escape(format(value, format_spec))


_ESCAPING = _Escaping()


def fill(template: str, **values: object) -> Markup:
    """Fill a template of ours: ``{name}`` and ``{name.attribute}``, as in :meth:`str.format`.

    ``{name!t}`` shows a :func:`time`, ``{name!c}`` a :func:`code`, ``{name!n}`` a :func:`count`,
    and ``{name!s}`` what :func:`~cki_notifier.web.rows.shown` leaves of a text of anybody.
    """
    return Markup(_ESCAPING.vformat(template, (), values))


def some(template: str, it: object, **values: object) -> Markup:
    """Fill a template about ``{it}``, if there is any of it."""
    return fill(template, it=it, **values) if it else Markup()


def join(parts: Iterable[Markup], between: str = "") -> Markup:
    """Put markup together."""
    return Markup(between.join(parts))


@cache
def asset(name: str) -> str:
    """Return a file of the pages."""
    return (files("cki_notifier.web") / "assets" / name).read_text("utf-8").strip()


def page(title: str, content: Markup, process: Process, now: str) -> Markup:
    """Return a page, other than the main one, as it is now (ISO 8601 in UTC)."""
    shell = asset("others.html")
    body = fill(shell, title=title, content=content, process=process, now=now)
    return fill(
        asset("frame.html"), title=f"{title} \N{EN DASH} cki-notifier", script="", body=body
    )


def time(iso: str | None) -> Markup:
    """Show a time with its date, if there is one."""
    moment = (iso or "")[:19].replace("T", " ")
    return some('<time datetime="{it}">{moment} UTC</time>', iso, moment=moment)


def code(text: str) -> Markup:
    """Show a command or a code, if there is one."""
    return some("<code>{it}</code>", text)


def link(text: str, url: str) -> Markup:
    """Show a link, or only its text where there is no address."""
    return fill('<a href="{url}">{text}</a>' if url else "{text}", text=text, url=url)


def facts(said: dict[str, str]) -> Markup:
    """Show a list of names, with what there is to say about each."""
    fact = "<dt>{name}</dt><dd>{value}</dd>"
    pairs = join(fill(fact, name=name, value=value) for name, value in said.items() if value)
    return fill('<dl class="facts">{pairs}</dl>', pairs=pairs)


def details(summary: str, text: str) -> Markup:
    """Show a long text that is folded up; nothing in it moves the reader's eye."""
    shown = Markup(escape("\n".join(map(printable, text.split("\n"))), quote=False))
    shell = "<details><summary>{summary}</summary><pre>{shown}</pre></details>"
    return fill(shell, summary=summary, shown=shown)


def count(number: int | None) -> str:
    """Write a number as people do; ``unknown`` for None."""
    return "unknown" if number is None else f"{number:,}"


def age(iso: str, now: datetime) -> str:
    """Say how long ago something was."""
    seconds = max(0, int((now - datetime.fromisoformat(iso)).total_seconds()))
    if seconds < 60:  # noqa: PLR2004  # a minute
        return f"{seconds} s ago"
    if seconds < 3600:  # noqa: PLR2004  # an hour
        return f"{seconds // 60} min ago"
    return f"{seconds // 3600} h ago" if seconds < 172_800 else f"{seconds // 86_400} days ago"  # noqa: PLR2004  # 2 days
