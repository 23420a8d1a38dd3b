"""The page of one checkout, and what a process knows of it; ``/checkout.json`` is exactly that."""

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

#: So many notifications of one checkout are told of, and so much of their messages, in bytes.
_MOST, _MOST_BYTES = 100, 512 * 1024
_PAGE = """
{unknown}
<p class="links">{links}</p>
<p>What this process knows since its start ({history.since!t}).
Other replicas have pages of their own, and of what was settled only the last 500 are kept.{again}
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
    '<th scope="col">What it saw</th></tr></thead><tbody>{it}</tbody></table>{left}'
)
_STEP = (
    '<tr data-result="{it.result}"><th scope="row">{it.rule}</th><td>{it.result}</td>'
    "<td>{it.saw}</td></tr>"
)


class Notice(rows.Row, frozen=True, kw_only=True):
    """A notification that was settled, with all that is known of it.

    Attributes:
        topic: where its record is, ``""`` where nothing is sent.
        record_command: shows the record; ``""`` where none is known.
        letter_command: shows the dead letter; ``""`` where there is none.
        steps: the rules that were applied, in their order, and what each saw.
        not_looked_at: the rules that were not reached.
        message: as it was sent; None where none was, or it is not kept any more.
    """

    topic: str
    record_command: str
    letter_command: str
    steps: tuple[Step, ...]
    not_looked_at: tuple[str, ...]
    message: Raw | None


class History(Struct, frozen=True, kw_only=True):
    """What is known of a checkout.

    Attributes:
        now: ISO 8601 in UTC.
        since: the start of the process, before which it knows nothing.
        checkout_url: at the warehouse.
        merge_request: as the newest notification has it that tells of one, ``""`` where none does.
        dry_run_command: asks the rules again.
        in_hand, delayed: its notifications that are not settled.
        left_out: so many of those settled are left out, the oldest ones.
        notifications: that were settled, the oldest first.
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
        """Whether there is anything to tell."""
        return bool(self.in_hand or self.delayed or self.notifications)


def history_of(known: Known, checkout_id: str) -> History:
    """Return what is known of a checkout."""
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
    """Yield all there is to tell of outcomes, the newest first."""
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
    again = " To ask the rules again, and send nothing: {it!c}"
    unknown = "<p><strong>This process knows nothing of this checkout.</strong></p>"
    links = (
        some('<a href="{it}">at the warehouse</a>', history.checkout_url),
        link(history.merge_request, history.merge_request_url),
    )
    content = fill(
        _PAGE,
        history=history,
        unknown=Markup("" if history.is_known else unknown),
        links=join(links, " "),
        again=some(again, history.dry_run_command),
        in_hand=some("<h2>In hand now</h2>{list}", in_hand, list=unsettled(in_hand)),
        delayed=some("<h2>Delayed now</h2>{list}", delayed, list=unsettled(delayed)),
        left_out=some("<p>{it:,} more before these.</p>", history.left_out),
        notices=join(map(_notice, history.notifications)),
    )
    title = history.checkout_id or f"Notifications {rows.NAMELESS}"
    return page(title, content, known.process, history.now)


def _notice(it: Notice) -> Markup:
    message = details("The message as it was sent", pretty(bytes(it.message))) if it.message else ""
    return fill(_NOTICE, it=it, facts=facts(_facts(it)), steps=_steps(it), message=message)


def pretty(document: bytes) -> str:
    """Return JSON as people read it; what is none as it is."""
    try:
        return msgspec.json.format(document, indent=2).decode()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return document.decode(errors="backslashreplace")


def _facts(it: Notice) -> dict[str, str]:
    record = "it was in the topic already" if it.was_there else ""
    if it.partition is not None:
        record = f"{it.topic} partition {it.partition} offset {it.offset}"
        record += ", where it was already" if it.was_there else ""
    return {
        "by hand by": it.by,
        "try": str(it.attempt),
        "took": f"{it.seconds:.2f} s",
        "event id": code(it.event_id),
        "merge request": link(it.merge_request, it.merge_request_url),
        "record": some("{it} {command!c}", record, command=it.record_command),
        "next try": time(it.next_try),
        "dead letter": some("{it!c} {command!c}", it.letter, command=it.letter_command),
    }


def _steps(it: Notice) -> Markup:
    left = some("<p>Not looked at: {it}.</p>", ", ".join(it.not_looked_at))
    return some(_STEPS, join(fill(_STEP, it=step) for step in it.steps), left=left)
