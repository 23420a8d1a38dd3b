"""The notifications of the benchmark, and their expected messages.

Of five notifications two are pre-test, two are post-test, and one is noise, which needs no request
and no message. Each is for its own checkout.
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
    """The expected result of a notification."""

    PRE_TEST = "pre-test"
    POST_TEST = "post-test"
    NOISE = "noise"


#: The repeated order of kinds.
MIX: Final = (Kind.PRE_TEST, Kind.POST_TEST, Kind.PRE_TEST, Kind.POST_TEST, Kind.NOISE)


@dataclass(frozen=True, slots=True)
class Notification:
    """A notification to publish.

    Attributes:
        is_returned: whether it comes as from a retry queue.
    """

    kind: Kind
    checkout_id: str
    routing_key: str
    body: bytes
    is_returned: bool = False


def workload(
    gitlab: str, *, merge_requests: bool = False, returned: int = 0
) -> Iterator[Notification]:
    """Yield notifications without end, each for a new checkout.

    Args:
        gitlab: GitLab's URL, without a slash at the end.
        merge_requests: whether the checkouts have merge requests.
        returned: percentage that comes as from a retry queue.
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
    """Return noise. The body of a build or a test is as long as a checkout's."""
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
    """A template of a notification, without the checkout's number."""

    def __init__(self, body: Document) -> None:
        self._routing_key = f"datawarehouse.{body['object_type']}.{body['status']}"
        self._body = template(msgspec.json.encode(body))

    def filled(self, kind: Kind, number: str, *, is_returned: bool = False) -> Notification:
        body = number.encode().join(self._body)
        return Notification(kind, checkout_id(number), self._routing_key, body, is_returned)


def judge(
    notifications: Iterable[Notification], records: Sequence[Record], left: int
) -> dict[str, int]:
    """Compare the records of a topic with the published notifications; return counts of faults.

    ``lost`` notifications have no message, ``repeated`` messages are beyond the first for a
    notification, ``unexpected`` messages have no notification.

    Args:
        notifications: all published ones.
        records: the messages.
        left: notifications in the queue after the end of the program.
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
    """Check the most expensive parts: builds, status, merge request."""
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
