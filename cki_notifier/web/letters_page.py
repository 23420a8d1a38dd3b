"""The page of dead letters: what is there and why, and the commands that do something about it."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from urllib.parse import unquote, urlencode

from cki_notifier.telemetry.printable import printable
from cki_notifier.web.checkout_page import pretty
from cki_notifier.web.letters import Letter, Look, Reading
from cki_notifier.web.links import NAMELESS, checkout_page, command, cut
from cki_notifier.web.markup import Frame, code, count, details, facts, fill, link, template, time
from cki_notifier.web.page import ROWS, Query
from cki_notifier.web.rows import iso
from cki_notifier.web.status import Process

#: Of a body so much is shown, in characters.
_MOST_BODY = 8_000
#: The page of somebody who counts wrongly, in pages.
_MOST_PAGES = 1_000
_COMMAND = "cki-notifier dead-letters"


class LettersPage:
    """Fills it."""

    def __init__(self) -> None:
        self._frame = Frame()
        self._letter = template("letter.html")

    def filled(self, look: Look, process: Process, query: Query, page: int = 1) -> str:
        """Return the page.

        Args:
            look: what there is to see.
            process: whose page it is.
            query: ``q`` searches, ``reason`` filters.
            page: counted from 1.
        """
        now = datetime.now(UTC)
        if look.reading is None or look.as_of is None:
            trouble = printable(cut(look.trouble.removeprefix("rabbitmq: ")))
            content = f"<p>The dead letters are not shown: {escape(trouble)}.</p>{_hint()}"
        else:
            content = self._content(look.reading, look.as_of, query, min(page, _MOST_PAGES))
        return self._frame.filled("Dead letters", content, process, now)

    def _content(self, reading: Reading, as_of: datetime, query: Query, page: int) -> str:
        words = set(unquote(" ".join(query.get("q", ()))).lower().split())
        reason = "".join(query.get("reason", ())[:1])
        found = [it for it in reading.letters if _has(it, words)]
        wanted = [it for it in found if reason in {"", it.reason}]
        start = (page - 1) * ROWS
        shown = wanted[start : start + ROWS]
        return "\n".join(
            (
                f"<p>{_summary(reading, as_of)}</p>",
                _hint(),
                _reasons(found, query, reason),
                f'<p id="shown">{_shown(start, len(shown), len(wanted))}</p>',
                *(self._filled_letter(number, it) for number, it in enumerate(shown, start + 1)),
                _turn(query, page, has_more=start + ROWS < len(wanted)),
            )
        )

    def _filled_letter(self, number: int, it: Letter) -> str:
        texts = {
            "number": str(number),
            "id": printable(cut(it.id)),
            "reason": printable(cut(it.reason)),
            "sentence": it.sentence,
            "error": printable(cut(it.error)),
        }
        checkout_id = it.checkout_id or ""
        markup = {
            "checkout": f"{link(_text(checkout_id) or NAMELESS, checkout_page(checkout_id))} "
            f"{escape(_text(it.status or ''))}",
            "facts": facts(_facts(it)),
            "body": _body(it),
        }
        return fill(self._letter, texts, markup)


def _hint() -> str:
    return (
        "<p>Nothing can be changed here. To see them all, or to act on many at once: "
        f"{code(f'{_COMMAND} list')}, {code(f'{_COMMAND} retry --help')}.</p>"
    )


def _summary(reading: Reading, as_of: datetime) -> str:
    shown = len(reading.letters)
    noun = "letter" if reading.count == 1 else "letters"
    read = f"As of {time(iso(as_of))}, read at most once a minute"
    text = f"{read}: {count(reading.count)} {noun}"
    if shown == reading.count:
        return f"{text}, the oldest first."
    return (
        f"{text}. {count(reading.seen)} were looked at; here are {count(shown)} of them, the "
        "oldest first."
    )


def _reasons(letters: Sequence[Letter], query: Query, chosen: str) -> str:
    """Return links that show the letters of one reason alone."""
    kept = [("q", it) for it in query.get("q", ())]
    counts = Counter(it.reason for it in letters)
    links = [_choice(f"all ({count(len(letters))})", kept, is_chosen=not chosen)]
    for reason, number in sorted(counts.items(), key=lambda it: (-it[1], it[0])):
        text = f"{_text(reason)} ({count(number)})"
        links.append(_choice(text, [*kept, ("reason", reason)], is_chosen=reason == chosen))
    return (
        f'<nav class="links" aria-label="Reasons">{" ".join(links)}</nav>'
        "<p>To search, add <code>?q=…</code> to the address: an id, a checkout, or a part of an "
        "error.</p>"
    )


def _choice(text: str, query: list[tuple[str, str]], *, is_chosen: bool) -> str:
    current = ' aria-current="true"' if is_chosen else ""
    return f'<a href="{_address(query)}"{current}>{escape(text)}</a>'


def _turn(query: Query, page: int, *, has_more: bool) -> str:
    kept = [(name, it) for name in ("q", "reason") for it in query.get(name, ())]
    links = []
    if page > 1:
        links.append(f'<a href="{_address([*kept, ("page", str(page - 1))])}">← older</a>')
    if has_more:
        links.append(f'<a href="{_address([*kept, ("page", str(page + 1))])}">newer →</a>')
    if not links:
        return ""
    return f'<nav class="turn" aria-label="Other letters">{" ".join(links)}</nav>'


def _address(query: list[tuple[str, str]]) -> str:
    return escape(f"dead-letters?{urlencode(query, errors='replace')}")


def _shown(start: int, shown: int, wanted: int) -> str:
    if not wanted:
        return "None of them matches."
    if not shown:
        return f"There are {count(wanted)}, and no such page of them."
    return f"{count(start + 1)} to {count(start + shown)} of {count(wanted)} shown"


def _has(letter: Letter, words: set[str]) -> bool:
    if not words:
        return True
    texts = [letter.id, letter.checkout_id or "", letter.status or "", letter.reason, letter.error]
    haystack = "\n".join(texts).lower()
    return all(word in haystack for word in words)


def _facts(it: Letter) -> list[tuple[str, str]]:
    commands = {
        action: command("cki-notifier", "dead-letters", action, it.id)
        for action in ("show", "retry", "discard")
    }
    if commands["show"]:
        commands["explain"] = f"{commands['show']} --body | cki-notifier explain -"
    way = " ".join(text for text in (_text(it.exchange), _text(it.routing_key)) if text)
    return [
        ("tries", str(it.attempts) if it.attempts else ""),
        ("first seen", time(iso(it.first_seen)) if it.first_seen else ""),
        ("came by", escape(way)),
        *((action, code(line) if line else "") for action, line in commands.items()),
    ]


def _body(it: Letter) -> str:
    is_whole = len(it.body) <= _MOST_BODY and len(it.body.encode(errors="replace")) >= it.bytes
    text = pretty(it.body.encode(errors="replace")) if is_whole else it.body[:_MOST_BODY] + "…"
    return details(f"The body, {count(it.bytes)} bytes", text)


def _text(text: str) -> str:
    return printable(cut(text))
