"""The page of one checkout and its data, which ``/checkout.json`` shows to programs."""

from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec
from msgspec import Raw, Struct

from cki_notifier.rules.explain import Step, Trail
from cki_notifier.telemetry.outcomes import Entry
from cki_notifier.telemetry.printable import cut, printable
from cki_notifier.web import rows
from cki_notifier.web.markup import Markup, code, details, facts, fill, join, link, page, some, time
from cki_notifier.web.status import Known
from cki_notifier.web.waiting import unsettled

#: The most notifications of one checkout shown, and the most bytes of their messages.
_MOST, _MOST_BYTES = 100, 512 * 1024
_PAGE = """
{unknown}
<p class="links">{links}</p>
<p>This page covers this process since its start ({history.since!t}), at most the last 500 outcomes.
Other replicas have their own pages.{again}
</p>
{in_hand}{delayed}{left_out}
{notices}
"""
_NOTICE = """
<article class="notice" data-outcome="{it.outcome}" aria-labelledby="notification-{it.number}">
<h2 id="notification-{it.number}"><span class="outcome" data-outcome="{it.outcome}">{it.outcome}\
</span> {it.status}</h2>
<p>{it.time!t}: {it.sentence} {it.reason!c}</p>
<p class="error">{it.error}</p>
{facts}
{steps}
{message}
</article>
"""
_STEPS = (
    '<table class="rules"><thead><tr><th scope="col">Rule</th><th scope="col">Result</th>'
    '<th scope="col">Details</th></tr></thead><tbody>{it}</tbody></table>{left}'
)
_STEP = (
    '<tr data-result="{it.result}"><th scope="row">{it.rule}</th><td>{it.result}</td>'
    "<td>{it.saw}</td></tr>"
)


class Notice(rows.Row, frozen=True, kw_only=True):
    """An outcome with all its details.

    Attributes:
        topic: of its record, ``""`` where no messages are sent.
        record_command: shows the record; ``""`` where none is known.
        letter_command: shows the dead letter; ``""`` where there is none.
        steps: the rules that were applied, in order, with the facts each one saw.
        not_looked_at: the rules that were not reached.
        message: as sent; None if there is none, or it is no longer kept.
    """

    topic: str
    record_command: str
    letter_command: str
    steps: tuple[Step, ...]
    not_looked_at: tuple[str, ...]
    message: Raw | None


class History(Struct, frozen=True, kw_only=True):
    """The notifications of a checkout.

    Attributes:
        now: ISO 8601 in UTC.
        since: the start of the process.
        checkout_url: in DataWarehouse.
        merge_request: of the newest notification that has one, ``""`` for none.
        dry_run_command: evaluates the rules again.
        in_hand, delayed: its notifications without an outcome.
        left_out: the number of older outcomes that are not shown.
        notifications: with an outcome, the oldest first.
    """

    now: str
    since: str
    checkout_id: str
    checkout_url: str
    merge_request: str
    merge_request_url: str
    dry_run_command: str
    in_hand: list[rows.InHand]
    delayed: list[rows.Waiting]
    left_out: int
    notifications: list[Notice]

    @property
    def is_known(self) -> bool:
        """Whether there is anything to show."""
        return bool(self.in_hand or self.delayed or self.notifications)


def history_of(known: Known, checkout_id: str) -> History:
    """Return the notifications of a checkout."""
    now = datetime.now(UTC)
    wanted, unsettled = cut(checkout_id), known.unsettled
    in_hand = [it for it in unsettled.in_hand() if cut(it.identity.checkout_id or "") == wanted]
    delayed = [it for it in unsettled.delayed() if cut(it.identity.checkout_id or "") == wanted]
    entries = known.outcomes.of(checkout_id)
    notices = list(_notices(known, entries[-_MOST:]))[::-1]
    about = next((it for it in reversed(notices) if it.merge_request), None)
    return History(
        now=rows.iso(now),
        since=rows.iso(known.outcomes.since),
        checkout_id=printable(wanted),
        checkout_url=rows.warehouse_page(known.config, checkout_id),
        merge_request=about.merge_request if about else "",
        merge_request_url=about.merge_request_url if about else "",
        dry_run_command=rows.dry_run(checkout_id),
        in_hand=[rows.in_hand_of(it, now) for it in in_hand],
        delayed=[rows.waiting_of(it) for it in delayed],
        left_out=max(0, len(entries) - _MOST),
        notifications=notices,
    )


def _notices(known: Known, entries: list[Entry]) -> Iterator[Notice]:
    """Yield the outcomes with their details, the newest first."""
    topic, left = known.config.kafka.topic if known.config.kafka else "", _MOST_BYTES
    for entry in reversed(entries):
        message = known.outcomes.message(entry.number)
        left -= len(message)
        trail = Trail()
        trail.steps.extend(entry.result.steps)
        letter = entry.result.letter
        show = rows.command("cki-notifier", "dead-letters", "show", letter) if letter else ""
        yield Notice(
            **msgspec.structs.asdict(rows.row_of(known.config, entry)),
            topic=topic,
            record_command=rows.record_command(known.config.kafka, entry.result.position),
            letter_command=show,
            steps=tuple(Step(it.rule, printable(it.saw), it.result) for it in trail.steps),
            not_looked_at=tuple(map(str, trail.missing())) if trail.has_stopped else (),
            message=Raw(message) if message and left >= 0 else None,
        )


def checkout_page(known: Known, history: History) -> Markup:
    """Return the page."""
    in_hand, delayed = history.in_hand, history.delayed
    again = " To evaluate the rules again without sending, run {it!c}"
    unknown = "<p><strong>This process has no record of this checkout.</strong></p>"
    links = (
        some('<a href="{it}">DataWarehouse</a>', history.checkout_url),
        link(history.merge_request, history.merge_request_url),
    )
    content = fill(
        _PAGE,
        history=history,
        unknown=Markup("" if history.is_known else unknown),
        links=join(links, " "),
        again=some(again, history.dry_run_command),
        in_hand=some("<h2>In flight now</h2>{list}", in_hand, list=unsettled(in_hand)),
        delayed=some("<h2>Delayed now</h2>{list}", delayed, list=unsettled(delayed)),
        left_out=some("<p>{it:,} older outcomes are not shown.</p>", history.left_out),
        notices=join(map(_notice, history.notifications)),
    )
    title = history.checkout_id or f"Notifications {rows.NAMELESS}"
    return page(title, content, known.process, history.now)


def _notice(it: Notice) -> Markup:
    message = details("The message as sent", pretty(bytes(it.message))) if it.message else ""
    return fill(_NOTICE, it=it, facts=facts(_facts(it)), steps=_steps(it), message=message)


def pretty(document: bytes) -> str:
    """Return JSON indented, and any other text unchanged."""
    try:
        return msgspec.json.format(document, indent=2).decode()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return document.decode(errors="backslashreplace")


def _facts(it: Notice) -> dict[str, str]:
    record = "already in the topic" if it.was_there else ""
    if it.partition is not None:
        record = f"{it.topic} partition {it.partition} offset {it.offset}"
        record += ", already there" if it.was_there else ""
    return {
        "sent by hand by": it.by,
        "attempt": str(it.attempt),
        "took": f"{it.seconds:.2f} s",
        "event id": code(it.event_id),
        "merge request": link(it.merge_request, it.merge_request_url),
        "record": some("{it} {command!c}", record, command=it.record_command),
        "next attempt": time(it.next_try),
        "dead letter": some("{it!c} {command!c}", it.letter, command=it.letter_command),
    }


def _steps(it: Notice) -> Markup:
    left = some("<p>Rules not reached: {it}.</p>", ", ".join(it.not_looked_at))
    return some(_STEPS, join(fill(_STEP, it=step) for step in it.steps), left=left)
