"""The page of what waits: in hand, and for what; delayed, why and until when."""

from collections.abc import Iterable

from cki_notifier.web.markup import Markup, fill, join, link, page, some
from cki_notifier.web.rows import NAMELESS, InHand, Waiting
from cki_notifier.web.status import Snapshot

_PAGE = """
<p>In flight: {status.in_flight:,} of {status.in_flight_limit:,}. In the queue: {main!n}, which
RabbitMQ has handed to nobody.</p>
<h2 id="in-hand">In hand: {status.in_hand_count:,}</h2>
<p>What RabbitMQ handed to this process, and is not settled; what was first seen first comes
first.{lost}</p>
{in_hand}{more_in_hand}
<h2 id="delayed">Delayed: {status.delayed_count:,}</h2>
<p>What this process has put into a delay queue; what comes back first comes first.</p>
{delayed}{more_delayed}{unknown}
"""
_HEAD = '<p><span class="checkout">{who}</span> {it.status}</p>'
_IN_HAND = (
    "<li>{head}<p>{it.does}</p>"
    "<p>try {it.attempt}, in hand since {it.since!t}, first seen {it.first_seen!t}</p></li>"
)
_DELAYED = (
    "<li>{head}<p>{it.sentence} {it.reason!c}</p>"
    '<p class="error">{it.error}</p>'
    "<p>try {it.attempt} failed, comes back {it.until!t}, first seen {it.first_seen!t}</p></li>"
)
_UNKNOWN = (
    "<p>The delay queues hold about {it:,} more that this process does not know of: of other "
    "replicas, of the time before it was started, or of those it was delaying when there were more "
    "than a thousand.</p>"
)


def waiting_page(status: Snapshot) -> Markup:
    """Return the page."""
    consumes = all(it.state == "up" for it in status.connections if it.id == "rabbitmq")
    lost = " The queue is not consumed now: what was in hand before is handed out again."
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
    return page("What waits", content, status.process, status.now)


def unsettled(found: Iterable[InHand | Waiting]) -> Markup:
    """Show notifications that are in hand or in delay queues."""
    items = []
    for it in found:
        head = fill(_HEAD, who=link(it.checkout_id or NAMELESS, it.checkout_page), it=it)
        items.append(fill(_DELAYED if isinstance(it, Waiting) else _IN_HAND, it=it, head=head))
    return some('<ul class="items">{it}</ul>', join(items)) or Markup("<p>Nothing.</p>")


def _more(number: int) -> Markup:
    return some("<p>… and {it:,} more.</p>", max(0, number))
