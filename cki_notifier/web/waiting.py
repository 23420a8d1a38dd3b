"""The page of unfinished notifications: in flight, and delayed."""

from collections.abc import Iterable

from cki_notifier.web.markup import Markup, fill, join, link, page, some
from cki_notifier.web.rows import NAMELESS, InHand, Waiting
from cki_notifier.web.status import Snapshot

_PAGE = """
<p>Being processed: {status.in_flight:,} of at most {status.in_flight_limit:,}. Waiting in the main
queue: {main!n}.</p>
<h2 id="in-hand">In flight: {status.in_hand_count:,}</h2>
<p>RabbitMQ delivered these to this process, and they have no outcome yet. Oldest first.{lost}</p>
{in_hand}{more_in_hand}
<h2 id="delayed">Delayed: {status.delayed_count:,}</h2>
<p>This process put these into a retry queue. Next retry first.</p>
{delayed}{more_delayed}{unknown}
"""
_HEAD = '<p><span class="checkout">{who}</span> {it.status}</p>'
_IN_HAND = (
    "<li>{head}<p>{it.does}</p>"
    "<p>attempt {it.attempt}, in flight since {it.since!t}, first seen {it.first_seen!t}</p></li>"
)
_DELAYED = (
    "<li>{head}<p>{it.sentence} {it.reason!c}</p>"
    '<p class="error">{it.error}</p>'
    "<p>attempt {it.attempt} failed, next attempt {it.until!t}, "
    "first seen {it.first_seen!t}</p></li>"
)
_UNKNOWN = (
    "<p>The retry queues hold about {it:,} more. Another replica delayed them, or this process did "
    "before its last start, or when it already listed a thousand.</p>"
)


def waiting_page(status: Snapshot) -> Markup:
    """Return the page."""
    consumes = all(it.state == "up" for it in status.connections if it.id == "rabbitmq")
    lost = " This process is not consuming: RabbitMQ redelivers the notifications it had in flight."
    unknown = status.waiting.get("delay", 0) - status.delayed_count
    content = fill(
        _PAGE,
        status=status,
        main=status.waiting.get("main"),
        lost="" if consumes else lost,
        in_hand=unsettled(status.in_hand),
        more_in_hand=_more(status.in_hand_count - len(status.in_hand)),
        delayed=unsettled(status.delayed),
        more_delayed=_more(status.delayed_count - len(status.delayed)),
        unknown=some(_UNKNOWN, max(0, unknown)),
    )
    return page("Waiting", content, status.process, status.now)


def unsettled(found: Iterable[InHand | Waiting]) -> Markup:
    """Show notifications that are in flight or in retry queues."""
    items = []
    for it in found:
        head = fill(_HEAD, who=link(it.checkout_id or NAMELESS, it.checkout_page), it=it)
        items.append(fill(_DELAYED if isinstance(it, Waiting) else _IN_HAND, it=it, head=head))
    return some('<ul class="items">{it}</ul>', join(items)) or Markup("<p>Nothing.</p>")


def _more(number: int) -> Markup:
    return some("<p>… and {it:,} more.</p>", max(0, number))
