"""The notifications of the benchmark: what is published, and what has to come of it.

Of five notifications two are pre-test, two are post-test, and one is noise: it needs no request and
no message. All are about checkouts of their own.
"""

import enum
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from typing import Final

import msgspec

from tools.benchmarks.checkouts import (
    ARCHITECTURES,
    Shape,
    checkout_id,
    checkout_of,
    number_of,
    template,
)
from tools.brokers.kafka import Record
from tools.stand_ins import documents
from tools.stand_ins.documents import Document


class Kind(enum.Enum):
    """What has to become of a notification."""

    PRE_TEST = "pre-test"
    POST_TEST = "post-test"
    NOISE = "noise"


#: The order in which kinds follow each other, again and again.
MIX: Final = (Kind.PRE_TEST, Kind.POST_TEST, Kind.PRE_TEST, Kind.POST_TEST, Kind.NOISE)


@dataclass(frozen=True, slots=True)
class Notification:
    """A notification that is to be published.

    Attributes:
        is_returned: whether it comes as from a delay queue.
    """

    kind: Kind
    checkout_id: str
    routing_key: str
    body: bytes
    is_returned: bool = False


def workload(
    gitlab: str, *, merge_requests: bool = False, returned: int = 0
) -> Iterator[Notification]:
    """Yield notifications without end, each about a checkout nobody has heard of before.

    Args:
        gitlab: where GitLab is, without a slash at the end.
        merge_requests: whether the checkouts have merge requests.
        returned: so many percent come as from a delay queue.
    """
    shape = Shape.WITH_MERGE_REQUEST if merge_requests else Shape.PLAIN
    checkout = checkout_of(shape, gitlab)
    bodies = {
        Kind.PRE_TEST: [documents.notification(checkout, "build_setups_finished")],
        Kind.POST_TEST: [documents.notification(checkout)],
        Kind.NOISE: _noise(checkout),
    }
    forms = {kind: cycle(map(_Form, of_kind)) for kind, of_kind in bodies.items()}
    for index, kind in enumerate(cycle(MIX), start=1):
        is_returned = index * returned // 100 > (index - 1) * returned // 100
        yield next(forms[kind]).filled(kind, number_of(shape, index), is_returned=is_returned)


def big_notification(gitlab: str, index: int) -> Notification:
    """Return the post-test notification of the ``index``-th big checkout."""
    form = _Form(documents.notification(checkout_of(Shape.BIG, gitlab)))
    return form.filled(Kind.POST_TEST, number_of(Shape.BIG, index))


def _noise(checkout: Document) -> list[Document]:
    """Return what needs no request. The body of a build or a test is as long as a checkout's."""
    about = partial(documents.notification, checkout)
    return [
        about("new", object_type="build"),
        about("updated"),
        about("updated", object_type="test"),
        about("needs_triage"),
        documents.notification(documents.changed(checkout, {}, {"retrigger": True})),
        about("new", object_type="issue"),
        about("tests_finished"),
        about("checkout_issueoccurrences_changed"),
        documents.notification(documents.changed(checkout, {"origin": "syzbot"})),
        about("new"),
    ]


class _Form:
    """A notification with a gap where the checkout's number belongs."""

    def __init__(self, body: Document) -> None:
        self._routing_key = f"datawarehouse.{body['object_type']}.{body['status']}"
        self._body = template(msgspec.json.encode(body))

    def filled(self, kind: Kind, number: str, *, is_returned: bool = False) -> Notification:
        body = number.encode().join(self._body)
        return Notification(kind, checkout_id(number), self._routing_key, body, is_returned)


def judge(
    notifications: Iterable[Notification], records: Sequence[Record], left: int
) -> dict[str, int]:
    """Compare the records of a topic with what was published; return how many are not right.

    ``lost`` are notifications without their message, ``repeated`` are messages beyond the first for
    a notification, ``unexpected`` are messages that nobody asked for.

    Args:
        notifications: that were published.
        records: the messages.
        left: notifications still in the queue when the program had ended.
    """
    expected = {it.checkout_id: it.kind for it in notifications if it.kind is not Kind.NOISE}
    seen = Counter(record.key for record in records)
    return {
        "lost": len(expected.keys() - seen.keys()),
        "repeated": sum(seen[key] - 1 for key in seen.keys() & expected.keys()),
        "unexpected": sum(seen[key] for key in seen.keys() - expected.keys()),
        "with a wrong content": sum(
            not _is_right(record, expected[record.key])
            for record in records
            if record.key in expected
        ),
        "left in the queue": left,
    }


def _is_right(record: Record, kind: Kind) -> bool:
    """Look at what takes the most to compute: builds, status, merge request."""
    message = json.loads(record.value)
    number = record.key.partition(":")[2]
    merge_request = message["merge_request"]
    url = merge_request["merge_request_url"]
    return bool(
        message["checkout_id"] == record.key
        and len(message["build_info"]) == 2 * len(ARCHITECTURES)
        and all(each["build_id"].startswith(record.key) for each in message["build_info"])
        and message["pipelineid"] == int(number)
        and message["cki_finished"] is (kind is Kind.POST_TEST)
        and message.get("status") == ("success" if kind is Kind.POST_TEST else None)
        and (not url or (url.endswith(number) and merge_request["subsystems"] == ["net"]))
        and record.headers.get("ce_subject") == record.key
    )
