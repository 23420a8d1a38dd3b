"""HTML from templates. Values are escaped unless they are markup already."""

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
    """The process that shows the pages.

    Attributes:
        environment: ``""`` if none is set.
        sends: whether it sends messages or only shows them.
        started: its start, ISO 8601 in UTC; a new value means a new process.
    """

    version: str
    environment: str
    sends: bool
    started: str

    @property
    def place(self) -> str:
        """Its environment, in words."""
        name = self.environment or "no environment"
        return name if self.sends else f"{name}: messages are printed, not published"


class Markup(str):
    """HTML. Only :func:`fill` and :func:`join` keep it so; other operations return plain text."""

    __slots__ = ()


class _Escaping(Formatter):
    def convert_field(self, value: Any, conversion: str | None) -> Any:
        shows: dict[str, Callable[[Any], str]] = {"t": time, "c": code, "n": count, "s": shown}
        return shows[conversion](value) if conversion else value

    def format_field(self, value: Any, format_spec: str) -> str:
        return value if isinstance(value, Markup) else escape(format(value, format_spec))


_ESCAPING = _Escaping()


def fill(template: str, **values: object) -> Markup:
    """Fill a template: ``{name}`` and ``{name.attribute}``, as in :meth:`str.format`.

    ``{name!t}`` shows a :func:`time`, ``{name!c}`` a :func:`code`, ``{name!n}`` a :func:`count`,
    and ``{name!s}`` any text through :func:`~cki_notifier.web.rows.shown`.
    """
    return Markup(_ESCAPING.vformat(template, (), values))


def some(template: str, it: object, **values: object) -> Markup:
    """Fill a template with ``it``, or return nothing if ``it`` is empty."""
    return fill(template, it=it, **values) if it else Markup()


def join(parts: Iterable[Markup], between: str = "") -> Markup:
    """Join markup."""
    return Markup(between.join(parts))


@cache
def asset(name: str) -> str:
    """Return a file of the pages."""
    return (files("cki_notifier.web") / "assets" / name).read_text("utf-8").strip()


def page(title: str, content: Markup, process: Process, now: str) -> Markup:
    """Return a page other than the status page; ``now`` is ISO 8601 in UTC."""
    shell = asset("others.html")
    body = fill(shell, title=title, content=content, process=process, now=now)
    return fill(
        asset("frame.html"), title=f"{title} \N{EN DASH} cki-notifier", script="", body=body
    )


def time(iso: str | None) -> Markup:
    """Show a time with its date, or nothing for None."""
    moment = (iso or "")[:19].replace("T", " ")
    return some('<time datetime="{it}">{moment} UTC</time>', iso, moment=moment)


def code(text: str) -> Markup:
    """Show a command or a code, or nothing if it is empty."""
    return some("<code>{it}</code>", text)


def link(text: str, url: str) -> Markup:
    """Show a link, or only its text without an address."""
    return fill('<a href="{url}">{text}</a>' if url else "{text}", text=text, url=url)


def facts(said: dict[str, str]) -> Markup:
    """Show a list of names and values; empty values are left out."""
    fact = "<dt>{name}</dt><dd>{value}</dd>"
    pairs = join(fill(fact, name=name, value=value) for name, value in said.items() if value)
    return fill('<dl class="facts">{pairs}</dl>', pairs=pairs)


def details(summary: str, text: str) -> Markup:
    """Show a long text folded up, with control characters escaped."""
    shown = Markup(escape("\n".join(map(printable, text.split("\n"))), quote=False))
    shell = "<details><summary>{summary}</summary><pre>{shown}</pre></details>"
    return fill(shell, summary=summary, shown=shown)


def count(number: int | None) -> str:
    """Write a number with thousands separators; ``unknown`` for None."""
    return "unknown" if number is None else f"{number:,}"


def age(iso: str, now: datetime) -> str:
    """Return the age of a time in words."""
    seconds = max(0, int((now - datetime.fromisoformat(iso)).total_seconds()))
    if seconds < 60:  # noqa: PLR2004  # a minute
        return f"{seconds} s ago"
    if seconds < 3600:  # noqa: PLR2004  # an hour
        return f"{seconds // 60} min ago"
    return f"{seconds // 3600} h ago" if seconds < 172_800 else f"{seconds // 86_400} days ago"  # noqa: PLR2004  # 2 days
