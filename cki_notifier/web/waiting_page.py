"""The page of what waits: in hand, and for what; delayed, why and until when."""

from collections.abc import Sequence
from datetime import datetime
from html import escape

from cki_notifier.web.links import NAMELESS
from cki_notifier.web.markup import Frame, code, count, link, time
from cki_notifier.web.rows import InHand, Waiting
from cki_notifier.web.status import Snapshot


class WaitingPage:
    """Fills it."""

    def __init__(self) -> None:
        self._frame = Frame()

    def filled(self, status: Snapshot) -> str:
        """Return the page."""
        flight = f"{count(status.in_flight)} of {count(status.in_flight_limit)}"
        content = (
            f"<p>In flight: {flight}. In the queue: {count(status.waiting.get('main'))}, which "
            "RabbitMQ has handed to nobody.</p>"
            f'<h2 id="in-hand">In hand: {count(status.in_hand_count)}</h2>'
            "<p>What RabbitMQ handed to this process, and is not settled; what was first seen "
            f"first comes first.{_lost(status)}</p>"
            f"{in_hand_list(status.in_hand)}{_more(status.in_hand_count - len(status.in_hand))}"
            f'<h2 id="delayed">Delayed: {count(status.delayed_count)}</h2>'
            "<p>What this process has put into a delay queue; what comes back first comes "
            "first.</p>"
            f"{waiting_list(status.delayed)}{_more(status.delayed_count - len(status.delayed))}"
            f"{_unknown(status)}"
        )
        now = datetime.fromisoformat(status.now)
        return self._frame.filled("What waits", content, status.process, now)


def in_hand_list(held: Sequence[InHand]) -> str:
    """Return the markup of notifications in hand."""
    items = [
        f"<li>{_head(it)}<p>{escape(it.does)}</p>"
        f"<p>try {it.attempt}, in hand since {time(it.since)}, first seen {time(it.first_seen)}</p>"
        "</li>"
        for it in held
    ]
    return _list(items)


def waiting_list(delayed: Sequence[Waiting]) -> str:
    """Return the markup of notifications in delay queues."""
    items = [
        f"<li>{_head(it)}<p>{escape(it.sentence)} {code(it.reason)}</p>"
        f'<p class="error">{escape(it.error)}</p>'
        f"<p>try {it.attempt} failed, comes back {time(it.until)}, "
        f"first seen {time(it.first_seen)}</p></li>"
        for it in delayed
    ]
    return _list(items)


def _head(it: InHand | Waiting) -> str:
    who = link(it.checkout_id or NAMELESS, it.checkout_page)
    return f'<p><span class="checkout">{who}</span> {escape(it.status)}</p>'


def _list(items: Sequence[str]) -> str:
    return f'<ul class="items">{"".join(items)}</ul>' if items else "<p>Nothing.</p>"


def _more(number: int) -> str:
    return f"<p>… and {count(number)} more.</p>" if number > 0 else ""


def _lost(status: Snapshot) -> str:
    """Say what becomes of what is in hand without a connection."""
    if all(it.state == "up" for it in status.connections if it.id == "rabbitmq"):
        return ""
    return " The queue is not consumed now: what was in hand before is handed out again."


def _unknown(status: Snapshot) -> str:
    if not (unknown := status.unknown_delayed):
        return ""
    return (
        f"<p>The delay queues hold about {count(unknown)} more that this process does not know of: "
        "of other replicas, of the time before it was started, or of those it was delaying when "
        "there were more than a thousand.</p>"
    )
