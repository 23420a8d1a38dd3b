"""The list of all checkouts over a span of time: all that began in it, once, and little more."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cki_notifier.checkout.documents import Checkout
from cki_notifier.notification.errors import Unavailable
from cki_notifier.sources import datawarehouse as module
from cki_notifier.sources.datawarehouse import DataWarehouse, Unreadable
from cki_notifier.workers.deadline import Deadline
from tests.sources.reading import CHECKOUTS
from tools.stand_ins import Exchange, Garbage, Services, Status, Warehouse, documents

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
SINCE = NOW - timedelta(hours=24)
ListIds = Callable[[], list[str]]


@pytest.fixture
def service(services: Services) -> Warehouse:
    """A warehouse that lists two checkouts a page."""
    services.warehouse.largest_page = 2
    return services.warehouse


@pytest.fixture
def listed(warehouse: DataWarehouse, deadline: Deadline) -> ListIds:
    """List the ids of the last 24 hours."""

    def listed() -> list[str]:
        found = list(warehouse.checkouts_since(SINCE, NOW, deadline))
        return [it.id if isinstance(it, Checkout) else it.checkout_id for it in found]

    return listed


def add(service: Warehouse, hours: float, **changes: object) -> str:
    """Add a checkout that began some hours ago, as the newest of the list; return its id."""
    checkout_id = f"redhat:{hours}"
    fields = {"start_time": (NOW - timedelta(hours=hours)).isoformat()} | changes
    checkout = documents.changed(documents.checkout(checkout_id), fields)
    service.add(documents.everything(checkout))
    return checkout_id


def page(results: Sequence[object], following: str | None = None, **fields: object) -> Status:
    """Return a page of the list."""
    document = {"count": 9, "next": following, "results": results} | fields
    return Garbage(json.dumps(document).encode())


def test_those_of_the_span_are_listed(service: Warehouse, listed: ListIds) -> None:
    """The beginning of it counts, its end does not."""
    added = [add(service, it) for it in (40, 24.001, 24, 12, 0.001, 0, -1)]
    assert listed() == added[4:1:-1]


def test_nothing_is_read_far_behind_the_span(service: Warehouse, listed: ListIds) -> None:
    """A warehouse holds the checkouts of years; a few pages more are read, for a mixed order."""
    for hours in range(100, 0, -1):
        add(service, hours)
    assert len(listed()) == 24
    assert len(service.requests) == 24 / 2 + 3


def test_an_order_that_is_mixed_up_a_little_costs_nothing(
    service: Warehouse, listed: ListIds
) -> None:
    """Checkouts arrive in DataWarehouse in another order than they began."""
    hours = [*range(60, 0, -1)]
    for first in range(0, 60, 4):
        hours[first : first + 4] = hours[first : first + 4][::-1]
    added = {add(service, it): it for it in hours}
    late = add(service, 23.5, start_time=(NOW - timedelta(hours=24)).isoformat())
    assert set(listed()) == {late, *(it for it, hours in added.items() if hours <= 24)}


def test_a_list_with_the_oldest_first_is_read_whole(service: Warehouse, listed: ListIds) -> None:
    """Its first pages tell nothing of the span's beginning."""
    added = [add(service, it) for it in range(1, 80)]
    assert sorted(listed()) == sorted(added[:24])


@pytest.mark.parametrize(
    "time",
    [documents.MISSING, None, 12, "", "yesterday", {"at": 1}, "2026-13-01T00:00:00Z"],
)
def test_who_has_no_time_is_in_the_span(service: Warehouse, listed: ListIds, time: object) -> None:
    """Checkouts without a time are yielded, and the search still ends early."""
    for hours in range(100, 30, -1):
        add(service, hours)
    undated = add(service, 30, start_time=time)
    dated = add(service, 5)
    assert listed() == [dated, undated]
    assert len(service.requests) <= 5


@pytest.mark.parametrize(
    ("text", "is_in"),
    [
        ("2026-11-20T11:59:59Z", True),
        ("2026-11-20T11:59:59", True),
        ("2026-11-20T14:30:00.5+03:00", True),
        ("2026-11-20T11:30:00-03:00", False),
        ("2026-11-19T12:00:00.000000+00:00", True),
        ("2026-11-19 11:59:59+00:00", False),
        ("0001-01-01T00:00:00+14:00", False),
    ],
)
def test_the_time_may_be_spelled_in_any_way(
    service: Warehouse,
    listed: ListIds,
    text: str,
    is_in: bool,  # noqa: FBT001  # of the table
) -> None:
    """ISO 8601, with a zone or, for UTC, without."""
    checkout_id = add(service, 1, start_time=text)
    assert listed() == ([checkout_id] if is_in else [])


def test_one_that_can_not_be_read_is_told_of(
    service: Warehouse,
    warehouse: DataWarehouse,
    deadline: Deadline,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With its id, where it has one, and why; it costs no other one."""
    monkeypatch.setattr(module, "_MOST_OBJECTS", 20)
    good, many = documents.checkout("redhat:1"), documents.checkout("redhat:3")
    many["misc"]["patchset_modified_files"] = [{"path": "a"}] * 50
    odd: list[Any] = [documents.checkout("redhat:2", origin=7), None, {"id": 5}, many, good]
    service.answer(CHECKOUTS, page([*odd, *odd]))
    times = NOW - timedelta(days=9), NOW
    found = list(warehouse.checkouts_since(*times, deadline))
    assert [it.id for it in found if isinstance(it, Checkout)] == ["redhat:1"]
    faults = [(it.checkout_id, it.error) for it in found if isinstance(it, Unreadable)]
    assert [it for it, _ in faults] == ["redhat:2", "", "", "redhat:3"]
    assert "$.origin" in faults[0][1]
    assert faults[3][1] == "it has more than 20 objects"
    assert len(found) == 5


def test_one_that_can_not_be_read_and_is_older_is_nobody_s_matter(
    service: Warehouse, listed: ListIds
) -> None:
    """It was announced, or not, before the span."""
    add(service, 30, origin=7)
    assert listed() == []


def test_those_that_come_in_meanwhile_make_nothing_come_twice(
    service: Warehouse, warehouse: DataWarehouse, deadline: Deadline
) -> None:
    """They push others to the next page, and are not listed themselves."""
    added = [add(service, it) for it in range(9, 0, -1)]
    found = []
    for it in warehouse.checkouts_since(SINCE, NOW, deadline):
        assert isinstance(it, Checkout)
        found.append(it.id)
        if len(found) % 3 == 1:
            add(service, -len(found))
    assert found == added[::-1]


def test_the_progress_tells_how_many_there_are(
    service: Warehouse, warehouse: DataWarehouse, deadline: Deadline
) -> None:
    """After each page, as the first one said."""
    for it in range(5):
        add(service, it + 1)
    seen: list[tuple[int, int]] = []
    list(warehouse.checkouts_since(SINCE, NOW, deadline, lambda *it: seen.append(it)))
    assert seen == [(2, 5), (4, 5), (5, 5)]


@pytest.mark.parametrize("count", ["null", '"many"', "-1", "{}", "1" * 5000])
def test_a_count_may_hold_anything(
    service: Warehouse, warehouse: DataWarehouse, deadline: Deadline, count: str
) -> None:
    """It serves the progress alone."""
    body = json.dumps({"count": "?", "next": None, "results": []})
    service.answer(CHECKOUTS, Garbage(body.replace('"?"', count).encode()))
    seen: list[tuple[int, int]] = []
    list(warehouse.checkouts_since(SINCE, NOW, deadline, lambda *it: seen.append(it)))
    assert seen == [(0, 0)]


class EndlessPages:
    """Always names another page, and never a checkout."""

    def __init__(self) -> None:
        self._number = 0

    def __call__(self, exchange: Exchange) -> None:
        """Answer with the next one."""
        self._number += 1
        page([], f"http://inner.example/?offset={self._number}")(exchange)


def test_pages_that_never_end_are_noticed(
    service: Warehouse, listed: ListIds, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There are more of them than a checkout's builds have, but not any number."""
    monkeypatch.setattr(module, "_MOST_LIST_PAGES", 300)
    service.answer(CHECKOUTS, EndlessPages())
    with pytest.raises(Unavailable, match="never end"):
        listed()
    assert len(service.requests) == 300


def test_a_hiccup_costs_no_page(service: Warehouse, listed: ListIds) -> None:
    """Each page is asked for again, as any document."""
    added = [add(service, it) for it in range(6, 0, -1)]
    service.answer("offset=2", Status(503), times=1)
    assert listed() == added[::-1]


def test_the_deadline_is_that_of_all_pages(service: Warehouse, warehouse: DataWarehouse) -> None:
    """A warehouse that is away then is unavailable."""
    for it in range(6):
        add(service, it + 1)
    service.answer("offset=2", Status(503))
    with pytest.raises(Unavailable):
        list(warehouse.checkouts_since(SINCE, NOW, Deadline(0.5)))
