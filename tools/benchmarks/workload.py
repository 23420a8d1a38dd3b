"""The notifications of the benchmark: what is published, and what has to come of it.

Of five notifications two are pre-test, two are post-test, and one is noise: it needs no request and
no message. All are about checkouts of their own.
"""

import enum
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import count
from typing import Final

import msgspec

from tools.benchmarks.ids import Shape, checkout_id, number_of
from tools.benchmarks.templates import Template, checkout_of
from tools.stand_ins import documents
from tools.stand_ins.documents import Document


class Kind(enum.Enum):
    """What has to become of a notification."""

    PRE_TEST = "pre-test"
    POST_TEST = "post-test"
    NOISE = "noise"


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


#: The order in which kinds follow each other, again and again.
MIX: Final = (Kind.PRE_TEST, Kind.POST_TEST, Kind.PRE_TEST, Kind.POST_TEST, Kind.NOISE)

_Form = Callable[[Document], Document]


def _of_type(object_type: str, status: str) -> _Form:
    return lambda checkout: documents.notification(checkout, status, object_type=object_type)


def _with_status(status: str) -> _Form:
    return lambda checkout: documents.notification(checkout, status)


def _retriggered(checkout: Document) -> Document:
    return documents.notification(documents.changed(checkout, {}, {"retrigger": True}))


def _foreign(checkout: Document) -> Document:
    return documents.notification(documents.changed(checkout, {"origin": "syzbot"}))


#: What needs no request, in turn. The body of a build or a test is as long as a checkout's.
NOISE: Final[tuple[_Form, ...]] = (
    _of_type("build", "new"),
    _with_status("updated"),
    _of_type("test", "updated"),
    _with_status("needs_triage"),
    _retriggered,
    _of_type("issue", "new"),
    _with_status("tests_finished"),
    _with_status("checkout_issueoccurrences_changed"),
    _foreign,
    _with_status("new"),
)


@dataclass(frozen=True, slots=True)
class _Prepared:
    kind: Kind
    routing_key: str
    body: Template


class Workload:
    """Makes notifications without end, each about a checkout nobody has heard of before.

    Args:
        gitlab: where GitLab is, without a slash at the end.
        merge_requests: whether the checkouts have merge requests.
        returned: so many percent come as from a delay queue.
    """

    def __init__(self, gitlab: str, *, merge_requests: bool = False, returned: int = 0) -> None:
        self._returned = returned
        self._shape = Shape.WITH_MERGE_REQUEST if merge_requests else Shape.PLAIN
        checkout = checkout_of(self._shape, gitlab)
        self._pre_test = _prepared(Kind.PRE_TEST, _with_status("build_setups_finished")(checkout))
        self._post_test = _prepared(Kind.POST_TEST, _with_status("ready_to_report")(checkout))
        self._noise = [_prepared(Kind.NOISE, form(checkout)) for form in NOISE]
        self._all = self._endless()

    def take(self, how_many: int) -> list[Notification]:
        """Return the next so many notifications."""
        return [next(self._all) for _ in range(how_many)]

    def _endless(self) -> Iterator[Notification]:
        for index in count(1):
            turn, place = divmod(index - 1, len(MIX))
            form = {
                Kind.PRE_TEST: self._pre_test,
                Kind.POST_TEST: self._post_test,
                Kind.NOISE: self._noise[turn % len(self._noise)],
            }[MIX[place]]
            is_returned = index * self._returned // 100 > (index - 1) * self._returned // 100
            filled = _filled(form, number_of(self._shape, index))
            yield replace(filled, is_returned=is_returned)


def big(gitlab: str, index: int) -> Notification:
    """Return the post-test notification of the ``index``-th big checkout."""
    body = _with_status("ready_to_report")(checkout_of(Shape.BIG, gitlab))
    return _filled(_prepared(Kind.POST_TEST, body), number_of(Shape.BIG, index))


def _prepared(kind: Kind, body: Document) -> _Prepared:
    key = f"datawarehouse.{body['object_type']}.{body['status']}"
    return _Prepared(kind, key, Template(msgspec.json.encode(body)))


def _filled(form: _Prepared, number: str) -> Notification:
    body = form.body.fill(number.encode())
    return Notification(form.kind, checkout_id(number), form.routing_key, body)
