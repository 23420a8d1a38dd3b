"""The page of one checkout: its notifications in order, and all that is known of each."""

from collections.abc import Sequence
from datetime import datetime
from html import escape

import msgspec

from cki_notifier.rules.explain import ExplainedStep
from cki_notifier.web.checkout import History, Notice
from cki_notifier.web.links import NAMELESS
from cki_notifier.web.markup import Frame, code, count, details, facts, fill, link, template, time
from cki_notifier.web.status import Process
from cki_notifier.web.waiting_page import in_hand_list, waiting_list


class CheckoutPage:
    """Fills it."""

    def __init__(self) -> None:
        self._frame = Frame()
        self._notice = template("notice.html")

    def filled(self, history: History, process: Process) -> str:
        """Return the page."""
        parts = [
            _links(history),
            f"<p>{_limits(history)}</p>",
            _now(history),
            f"<p>{count(history.left_out)} more before these.</p>" if history.left_out else "",
            *map(self._filled_notice, history.notifications),
        ]
        if not history.is_known:
            parts.insert(0, "<p><strong>This process knows nothing of this checkout.</strong></p>")
        now = datetime.fromisoformat(history.now)
        title = history.checkout_id or f"Notifications {NAMELESS}"
        return self._frame.filled(title, "\n".join(it for it in parts if it), process, now)

    def _filled_notice(self, it: Notice) -> str:
        texts = {
            "number": str(it.number),
            "outcome": it.outcome,
            "status": it.status,
            "sentence": it.sentence,
            "reason": it.reason,
        }
        markup = {
            "time": time(it.time),
            "error": f'<p class="error">{escape(it.error)}</p>' if it.error else "",
            "facts": facts(_facts(it)),
            "steps": _steps(it.steps, it.not_looked_at),
            "message": details("The message as it was sent", pretty(bytes(it.message)))
            if it.message
            else "",
        }
        return fill(self._notice, texts, markup)


def pretty(document: bytes) -> str:
    """Return JSON as people read it; what is none as it is."""
    try:
        return msgspec.json.format(document, indent=2).decode()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return document.decode(errors="backslashreplace")


def _links(history: History) -> str:
    warehouse = link("at the warehouse", history.checkout_url) if history.checkout_url else ""
    merge_request = link(history.merge_request, history.merge_request_url)
    return f'<p class="links">{" ".join(it for it in (warehouse, merge_request) if it)}</p>'


def _limits(history: History) -> str:
    """Say what this page can't know."""
    text = (
        f"What this process knows since its start ({time(history.since)}). Other replicas have "
        "pages of their own, and of what was settled only the last 500 are kept."
    )
    if not history.dry_run_command:
        return text
    return f"{text} To ask the rules again, and send nothing: {code(history.dry_run_command)}"


def _now(history: History) -> str:
    parts = []
    if history.in_hand:
        parts.append(f"<h2>In hand now</h2>{in_hand_list(history.in_hand)}")
    if history.delayed:
        parts.append(f"<h2>Delayed now</h2>{waiting_list(history.delayed)}")
    return "".join(parts)


def _facts(it: Notice) -> list[tuple[str, str]]:
    record = ""
    if it.partition is not None:
        place = f"{it.topic} partition {it.partition} offset {it.offset}"
        there = ", where it was already" if it.was_there else ""
        record = f"{escape(place + there)} {code(it.record_command)}"
    elif it.was_there:
        record = "it was in the topic already"
    letter = ""
    if it.letter:
        letter = f"{code(it.letter)} {code(it.letter_command) if it.letter_command else ''}"
    return [
        ("by hand by", escape(it.by)),
        ("try", str(it.attempt)),
        ("took", f"{it.seconds:.2f} s"),
        ("event id", code(it.event_id) if it.event_id else ""),
        ("merge request", link(it.merge_request, it.merge_request_url)),
        ("record", record),
        ("next try", time(it.next_try) if it.next_try else ""),
        ("dead letter", letter),
    ]


def _steps(steps: Sequence[ExplainedStep], missing: Sequence[str]) -> str:
    if not steps:
        return ""
    rows = "".join(
        f'<tr data-result="{escape(it.result)}"><th scope="row">{escape(it.rule)}</th>'
        f"<td>{escape(it.result)}</td><td>{escape(it.saw)}</td></tr>"
        for it in steps
    )
    left = f"<p>Not looked at: {escape(', '.join(missing))}.</p>" if missing else ""
    return (
        '<table class="rules"><thead><tr><th scope="col">Rule</th><th scope="col">Result</th>'
        f'<th scope="col">What it saw</th></tr></thead><tbody>{rows}</tbody></table>{left}'
    )
