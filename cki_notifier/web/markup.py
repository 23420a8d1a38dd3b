"""HTML out of templates: everything that comes from outside is escaped."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from html import escape
from importlib.resources import files
from string import Template

from cki_notifier.telemetry.printable import printable
from cki_notifier.web.status import Process

_ASSETS = files("cki_notifier.web") / "assets"


def asset(name: str) -> bytes:
    """Return a file of the page."""
    return (_ASSETS / name).read_bytes()


def template(name: str) -> Template:
    """Return a template."""
    return Template(asset(name).decode().strip())


def fill(shell: Template, texts: Mapping[str, str], markup: Mapping[str, str]) -> str:
    """Fill a template.

    Args:
        shell: it.
        texts: are escaped.
        markup: is not.
    """
    return shell.substitute({**{name: escape(text) for name, text in texts.items()}, **markup})


class Frame:
    """What all pages but the main one have around what they show."""

    def __init__(self) -> None:
        self._shell = template("frame.html")

    def filled(self, title: str, content: str, process: Process, now: datetime) -> str:
        """Return a page.

        Args:
            title: text.
            content: markup.
            process: whose page it is.
            now: the time.
        """
        texts = {
            "title": title,
            "environment": environment(process),
            "sends": str(process.sends).lower(),
            "version": process.version,
        }
        times = {"started": time(process.started), "now": time(now.strftime("%Y-%m-%dT%H:%M:%SZ"))}
        return fill(self._shell, texts, {"content": content} | times)


def environment(process: Process) -> str:
    """Say where the process is deployed."""
    name = process.environment or "no environment"
    return name if process.sends else f"{name}: nothing is sent, only shown"


def time(iso: str) -> str:
    """Return the markup of a time, with its date."""
    return f'<time datetime="{escape(iso)}">{escape(moment(iso))} UTC</time>'


def code(text: str) -> str:
    """Return the markup of a command or a code."""
    return f"<code>{escape(text)}</code>"


def link(text: str, url: str) -> str:
    """Return the markup of a link, or only of its text where there is no address."""
    return f'<a href="{escape(url)}">{escape(text)}</a>' if url else escape(text)


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """Return the markup of a list of names, and of markup that says something about each."""
    said = "".join(f"<dt>{escape(name)}</dt><dd>{value}</dd>" for name, value in pairs if value)
    return f'<dl class="facts">{said}</dl>'


def details(summary: str, text: str) -> str:
    """Return the markup of a long text that is folded up; nothing in it moves the reader's eye."""
    shown = escape("\n".join(map(printable, text.split("\n"))), quote=False)
    return f"<details><summary>{escape(summary)}</summary><pre>{shown}</pre></details>"


def count(number: int | None) -> str:
    """Write a number as people do; ``unknown`` for None."""
    return "unknown" if number is None else f"{number:,}"


def moment(iso: str) -> str:
    """Return a time of our JSON as people read it."""
    return iso[:19].replace("T", " ")


def age(iso: str, now: datetime) -> str:
    """Say how long ago something was."""
    seconds = max(0, int((now - datetime.fromisoformat(iso)).total_seconds()))
    if seconds < 60:  # noqa: PLR2004  # a minute
        return f"{seconds} s ago"
    if seconds < 3600:  # noqa: PLR2004  # an hour
        return f"{seconds // 60} min ago"
    return f"{seconds // 3600} h ago" if seconds < 172_800 else f"{seconds // 86_400} days ago"  # noqa: PLR2004  # 2 days
