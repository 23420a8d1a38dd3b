"""The page of dead letters, with their reasons and the commands to handle them.

A request for the page reads the dead letters; the result is kept for a minute.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from msgspec import Struct

from cki_notifier.notification.errors import Unavailable
from cki_notifier.web import markup
from cki_notifier.web.checkout import pretty
from cki_notifier.web.markup import (
    Markup,
    Process,
    code,
    count,
    details,
    facts,
    fill,
    join,
    link,
    page,
    some,
)
from cki_notifier.web.request import Request, has_all
from cki_notifier.web.rows import NAMELESS, checkout_page, command, iso, shown
from cki_notifier.web.status import MOST_SHOWN

#: How long a result, or a failure to read, is reused, in seconds. RabbitMQ counts each reading as a
#: delivery.
_KEPT_SECONDS, _FAILED_SECONDS = 60.0, 10.0
#: The most characters of a body shown.
_MOST_BODY = 8_000
_HINT = Markup(
    "<p>This page changes nothing. To list all dead letters, run "
    "<code>cki-notifier dead-letters list</code>. To retry many at once, see "
    "<code>cki-notifier dead-letters retry --help</code>.</p>"
)
_PAGE = """
<p>{reading.count:,} {noun} at {as_of!t}, the oldest first{more}. The process reads them at most
once a minute.</p>
{hint}
<nav class="links" aria-label="Reasons">{reasons}</nav>
<p>To search, add <code>?q=…</code> to the address: an id, a checkout, or a part of an error.</p>
<p id="shown">{says}</p>
{letters}
{turn}
"""
_LETTER = """
<article class="notice" data-outcome="dead-lettered" aria-labelledby="letter-{number}">
<h2 id="letter-{number}"><code>{it.id!s}</code> {checkout} {it.status!s}</h2>
<p>{it.sentence} <code>{it.reason!s}</code></p>
<p class="error">{it.error!s}</p>
{facts}
{body}
</article>
"""


class Letter(Struct, frozen=True, kw_only=True):
    """A dead letter. Its texts come from outside and may hold anything.

    Attributes:
        checkout_id, status: from the body, as far as it is readable.
        reason: the code of the reason.
        sentence: the reason in words, ``""`` for an unknown code.
        error: the last one.
        attempts: the number of attempts.
        first_seen: when it was first received.
        exchange, routing_key: of the first delivery.
        bytes: the body's length.
        body: its beginning as text; bytes that are not UTF-8 are escaped.
    """

    id: str
    checkout_id: str | None
    reason: str
    status: str | None = None
    sentence: str = ""
    error: str = ""
    attempts: int = 0
    first_seen: datetime | None = None
    exchange: str = ""
    routing_key: str = ""
    bytes: int = 0
    body: str = ""


class Reading(Struct, frozen=True):
    """The result of reading the dead-letter queue.

    Attributes:
        letters: the oldest of those read, the oldest first.
        count: the length of the queue.
        seen: how many were read.
    """

    letters: tuple[Letter, ...]
    count: int
    seen: int


#: Reads letters within about 10 s; raises :class:`Unavailable`.
Read = Callable[[], Reading]


class Look(Struct, frozen=True):
    """The last result, or the reason why there is none.

    Attributes:
        as_of: the time of the reading, None without one.
        reading: None if reading failed or never took place.
        trouble: the reason why, ``""`` with a reading.
    """

    as_of: datetime | None = None
    reading: Reading | None = None
    trouble: str = ""


_BEING_READ = Look(trouble="the process is still reading them. Reload this page in some seconds")


class Letters:
    """Reads dead letters, one thread at a time.

    Other threads don't wait: they get the last result, or a note that reading is under way.

    Args:
        read: reads them; None where this process must not.
    """

    def __init__(self, read: Read | None) -> None:
        self._read = read
        self._reading = threading.Lock()
        self._look = Look(trouble="the process has not read them yet")
        self._kept_until = 0.0

    def look(self) -> Look:
        """Return the dead letters, if possible as of the last minute."""
        if self._read is None:
            return Look(trouble="this environment uses no dead-letter queue")
        if time.monotonic() < self._kept_until:
            return self._look
        if not self._reading.acquire(blocking=False):
            return self._look if self._look.reading else _BEING_READ
        try:
            self._look, seconds = self._ask(self._read)
            self._kept_until = time.monotonic() + seconds
            return self._look
        finally:
            self._reading.release()

    def _ask(self, read: Read) -> tuple[Look, float]:
        try:
            reading = read()
        except Unavailable as error:
            return Look(trouble=str(error)), _FAILED_SECONDS
        return Look(datetime.now(UTC), reading), _KEPT_SECONDS


def letters_page(look: Look, process: Process, request: Request) -> Markup:
    """Return the page.

    Args:
        look: the dead letters.
        process: the one that shows the page.
        request: ``q`` searches, ``reason`` filters, ``page`` is a number from 1.
    """
    if look.reading is None or look.as_of is None:
        shell = "<p>The dead letters are not shown: {trouble!s}.</p>{hint}"
        content = fill(shell, trouble=look.trouble.removeprefix("rabbitmq: "), hint=_HINT)
    else:
        content = _content(look.reading, iso(look.as_of), request)
    return page("Dead letters", content, process, iso(datetime.now(UTC)))


def _content(reading: Reading, as_of: str, request: Request) -> Markup:
    words, reason = request.words(), request.first("reason")
    number = max(1, request.number("page"))
    found = [
        it
        for it in reading.letters
        if has_all((it.id, it.checkout_id or "", it.status or "", it.reason, it.error), words)
    ]
    wanted = [it for it in found if reason in {"", it.reason}]
    start = (number - 1) * MOST_SHOWN
    part = wanted[start : start + MOST_SHOWN]
    read = len(reading.letters)
    looked_at = f". The process read {count(reading.seen)} of them, and shows {count(read)}"
    return fill(
        _PAGE,
        as_of=as_of,
        reading=reading,
        noun="dead letter" if reading.count == 1 else "dead letters",
        more="" if read == reading.count else looked_at,
        hint=_HINT,
        reasons=_reasons(found, request, reason),
        says=_says(start, len(part), len(wanted)),
        letters=join(_letter(at, it) for at, it in enumerate(part, start + 1)),
        turn=_turn(request, number, has_more=start + MOST_SHOWN < len(wanted)),
    )


def _reasons(letters: Sequence[Letter], request: Request, chosen: str) -> Markup:
    """Return links that filter by one reason."""
    counts = Counter(it.reason for it in letters)
    links = [_link(f"all ({count(len(letters))})", request.again("q"), is_current=not chosen)]
    for reason, number in sorted(counts.items(), key=lambda it: (-it[1], it[0])):
        text = f"{shown(reason)} ({count(number)})"
        links.append(_link(text, request.again("q", reason=reason), is_current=reason == chosen))
    return join(links, " ")


def _turn(request: Request, number: int, *, has_more: bool) -> Markup:
    links = []
    if number > 1:
        links.append(_link("← older", request.again("q", "reason", page=number - 1)))
    if has_more:
        links.append(_link("newer →", request.again("q", "reason", page=number + 1)))
    return some('<nav class="turn" aria-label="Other letters">{it}</nav>', join(links, " "))


def _link(text: str, search: str, *, is_current: bool = False) -> Markup:
    current = Markup(' aria-current="true"' if is_current else "")
    shell = '<a href="dead-letters?{search}"{current}>{text}</a>'
    return fill(shell, search=search, current=current, text=text)


def _says(start: int, shown: int, wanted: int) -> str:
    if not wanted:
        return "No dead letter matches."
    if not shown:
        return f"There is no such page: {count(wanted)} in total."
    return f"{count(start + 1)} to {count(start + shown)} of {count(wanted)} shown"


def _letter(number: int, it: Letter) -> Markup:
    return fill(
        _LETTER,
        it=it,
        number=number,
        checkout=link(shown(it.checkout_id) or NAMELESS, checkout_page(it.checkout_id or "")),
        facts=facts(_facts(it)),
        body=_body(it),
    )


def _facts(it: Letter) -> dict[str, str]:
    commands = {
        action: command("cki-notifier", "dead-letters", action, it.id)
        for action in ("show", "retry", "discard")
    }
    if commands["show"]:
        commands["explain"] = f"{commands['show']} --body | cki-notifier explain -"
    return {
        "attempts": str(it.attempts) if it.attempts else "",
        "first seen": markup.time(iso(it.first_seen)) if it.first_seen else "",
        "exchange and routing key": f"{shown(it.exchange)} {shown(it.routing_key)}".strip(),
        **{action: code(line) for action, line in commands.items()},
    }


def _body(it: Letter) -> Markup:
    is_whole = len(it.body) <= _MOST_BODY and len(it.body.encode(errors="replace")) >= it.bytes
    text = pretty(it.body.encode(errors="replace")) if is_whole else it.body[:_MOST_BODY] + "…"
    return details(f"The body, {count(it.bytes)} bytes", text)
