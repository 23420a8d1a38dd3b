"""DataWarehouse: the requests for checkouts, and the reading of answers."""

import json
import time
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest

from cki_notifier.notification.errors import InvalidDocument, NotFound, Unavailable
from cki_notifier.sources.datawarehouse import DataWarehouse
from cki_notifier.workers.deadline import Deadline
from tools.stand_ins import Exchange, Garbage, Services, Status, Warehouse, documents

CHECKOUT = documents.checkout("redhat:1")
BUILDS = [documents.build(CHECKOUT, name) for name in ("aarch64", "ppc64le", "s390x", "x86_64")]
PATH = "/api/1/kcidb/checkouts/redhat%3A1"

ODD_IDS = [
    "redhat:2167003491",
    "redhat:a/b",
    "a/../b",
    "user@host",
    "a#b",
    "a?b=c&d",
    "100%",
    "a%2Fb",
    "a b",
    "a+b;c=d,e",
    "kšlé-\N{SNOWMAN}",
    ".",
    "..",
    "...",
    "a\\b",
    "a\nb",
    '"<>|^`{}',
]


@pytest.fixture
def service(services: Services) -> Warehouse:
    """A warehouse with one checkout and its four builds."""
    services.warehouse.add(documents.everything(CHECKOUT, BUILDS))
    return services.warehouse


def targets(service: Warehouse) -> list[str]:
    """Return the requests, sorted, because some run in parallel."""
    return sorted(seen.target for seen in service.requests)


def page(builds: list[dict[str, Any]], following: str | None) -> Status:
    """Return a page of builds that names another page as the next."""
    document = {"count": 9, "next": following, "previous": None, "results": builds}
    return Garbage(json.dumps(document).encode())


def ids(builds: object) -> list[str]:
    """Return the ids of builds in their order."""
    assert isinstance(builds, tuple)
    return [build.id for build in builds]


@pytest.mark.parametrize("checkout_id", ODD_IDS)
def test_an_id_is_one_part_of_the_path(
    warehouse: DataWarehouse, services: Services, deadline: Deadline, checkout_id: str
) -> None:
    """DataWarehouse gets any id unchanged, in all three reads."""
    checkout = documents.checkout(checkout_id)
    services.warehouse.add(documents.everything(checkout, [documents.build(checkout)]))
    read = warehouse.checkout_with_builds(checkout_id, deadline)
    assert read.checkout.id == checkout_id
    assert warehouse.everything(checkout_id, deadline).builds == read.builds
    for seen in services.warehouse.requests:
        assert seen.parts[:4] == ["api", "1", "kcidb", "checkouts"]
        assert seen.parts[4] == checkout_id


@pytest.mark.usefixtures("service")
def test_an_iid_is_as_good_as_an_id(warehouse: DataWarehouse, deadline: Deadline) -> None:
    """DataWarehouse also knows a checkout by its number, which the answer must have."""
    iid = str(CHECKOUT["misc"]["iid"])
    assert warehouse.checkout(iid, deadline).checkout.id == "redhat:1"
    assert warehouse.everything(iid, deadline).checkout.id == "redhat:1"


@pytest.mark.parametrize(
    ("asked", "misc"),
    [("redhat:2", {}), ("7", {"iid": 8}), ("7" * 5000, {}), ("\N{DEVANAGARI DIGIT SEVEN}", {})],
    ids=["id", "iid", "long", "digit"],
)
def test_another_checkout_is_refused(
    warehouse: DataWarehouse,
    service: Warehouse,
    deadline: Deadline,
    asked: str,
    misc: dict[str, object],
) -> None:
    """A message must not be about another checkout than the notification."""
    checkout = documents.checkout("redhat:1", misc=misc)
    service.answer("/all", Garbage(json.dumps(documents.everything(checkout)).encode()))
    service.answer("", Garbage(json.dumps(checkout).encode()))
    for read in (warehouse.checkout, warehouse.everything):
        with pytest.raises(InvalidDocument, match="`id` is 'redhat:1'"):
            read(asked, deadline)


def test_the_token_is_sent(
    warehouse: DataWarehouse, service: Warehouse, deadline: Deadline
) -> None:
    """The scheme is the one of Django REST Framework."""
    warehouse.checkout("redhat:1", deadline)
    assert service.requests[0].headers["authorization"] == f"Token {service.token}"
    assert service.requests[0].headers["accept"] == "application/json"


def test_a_new_token_is_asked_for_by_name(
    warehouse: DataWarehouse, service: Warehouse, deadline: Deadline
) -> None:
    """After a rotation the error says which variable to change; nothing is lost."""
    service.token = "another"
    with pytest.raises(Unavailable, match="answered 401; check the token in DATAWAREHOUSE_TOKEN"):
        warehouse.checkout("redhat:1", deadline)


def test_checkout_and_builds_are_read_side_by_side(
    warehouse: DataWarehouse, service: Warehouse, deadline: Deadline
) -> None:
    """The two reads take as long as one."""
    service.latency = 1.5
    loaded = warehouse.checkout_with_builds("redhat:1", deadline)
    first, second = service.requests
    assert second.at - first.at < service.latency
    assert ids(loaded.builds) == [build["id"] for build in BUILDS]
    assert loaded.overall_status is None
    assert targets(service) == [PATH, f"{PATH}/builds?limit=100"]


def test_builds_come_in_pages(
    warehouse: DataWarehouse, service: Warehouse, deadline: Deadline
) -> None:
    """All pages are read, however few builds each has."""
    service.largest_page = 1
    assert ids(warehouse.builds("redhat:1", deadline)) == [build["id"] for build in BUILDS]
    assert targets(service) == [
        f"{PATH}/builds?limit=1&offset=1",
        f"{PATH}/builds?limit=1&offset=2",
        f"{PATH}/builds?limit=1&offset=3",
        f"{PATH}/builds?limit=100",
    ]


def test_a_build_on_two_pages_is_one(
    warehouse: DataWarehouse, service: Warehouse, deadline: Deadline
) -> None:
    """A build that arrives between two reads moves others to the next page."""
    service.answer("/builds", page(BUILDS[:2], "?limit=100&offset=1"), times=1)
    service.answer("/builds", page(BUILDS[1:], None))
    assert ids(warehouse.builds("redhat:1", deadline)) == [build["id"] for build in BUILDS]


@pytest.mark.parametrize("place", ["{other}{path}", "//x/y", "https://inner.example:1/z", "", "/"])
def test_the_next_page_is_asked_of_the_same_warehouse(
    warehouse: DataWarehouse,
    service: Warehouse,
    elsewhere: Warehouse,
    deadline: Deadline,
    place: str,
) -> None:
    """A ``next`` that names another host (a proxy's inner one, or worse) gets no token."""
    following = place.format(other=elsewhere.url, path=PATH) + "?offset=1&limit=9#x"
    service.answer("limit=100", page(BUILDS[:1], following))
    assert ids(warehouse.builds("redhat:1", deadline)) == [build["id"] for build in BUILDS]
    assert targets(service)[1:] == [f"{PATH}/builds?offset=1&limit=9"]
    assert elsewhere.requests == []


@pytest.mark.parametrize("following", ["?limit=100&offset=1", "http://[", "/builds", " ", "?"])
def test_pages_that_lead_nowhere_end(
    warehouse: DataWarehouse, service: Warehouse, deadline: Deadline, following: str
) -> None:
    """A ``next`` that was followed already, or is none, leads to no endless read."""
    service.answer("/builds", page(BUILDS, following))
    with pytest.raises(Unavailable, match="never end"):
        warehouse.builds("redhat:1", deadline)
    assert len(service.requests) <= 2


@pytest.mark.parametrize("following", ["?a b", "?a\nb", "?a\0b", "?\N{SNOWMAN}", "?" + "a" * 99999])
def test_a_next_page_that_can_not_be_asked_for_is_unavailable(
    warehouse: DataWarehouse, service: Warehouse, following: str
) -> None:
    """No value of ``next`` leads to an unexpected error."""
    service.answer("/builds", page(BUILDS, following))
    with pytest.raises(Unavailable):
        warehouse.builds("redhat:1", Deadline(0.2))


@dataclass(frozen=True)
class Endless:
    """Another page after each page."""

    numbers: "count[int]"

    def __call__(self, exchange: Exchange) -> None:
        """Name a page that was never asked for as the next."""
        page(BUILDS, f"?offset={next(self.numbers)}")(exchange)


def test_pages_without_end_end_with_the_deadline(
    warehouse: DataWarehouse, service: Warehouse
) -> None:
    """A warehouse that always has another page can't keep a worker for ever."""
    service.answer("/builds", Endless(count(1)))
    started = time.monotonic()
    with pytest.raises(Unavailable):
        warehouse.builds("redhat:1", Deadline(0.5))
    assert time.monotonic() - started < 3


@pytest.mark.usefixtures("service")
@pytest.mark.parametrize("read", ["checkout", "checkout_with_builds", "builds", "everything"])
def test_an_unknown_checkout_is_not_found(
    warehouse: DataWarehouse, deadline: Deadline, read: str
) -> None:
    """The notification may be faster than DataWarehouse."""
    with pytest.raises(NotFound, match=r"^datawarehouse: no such checkout: redhat:2$"):
        getattr(warehouse, read)("redhat:2", deadline)


def test_builds_that_can_not_be_read_are_not_taken_for_none(
    warehouse: DataWarehouse, service: Warehouse, deadline: Deadline
) -> None:
    """A checkout that was read is no message without its builds."""
    service.answer("/builds", Status(403))
    with pytest.raises(Unavailable):
        warehouse.checkout_with_builds("redhat:1", deadline)


def test_everything_is_read_at_once(
    warehouse: DataWarehouse, services: Services, deadline: Deadline
) -> None:
    """A document of twenty megabytes is decoded into a few fields."""
    document = documents.large_all("redhat:1")
    services.warehouse.add(document)
    loaded = warehouse.everything("redhat:1", deadline)
    assert loaded.overall_status == "success"
    assert loaded.builds is not None
    assert len(loaded.builds) == 3
    assert targets(services.warehouse) == [f"{PATH}/all"]


def test_half_a_character_costs_no_document(
    warehouse: DataWarehouse, service: Warehouse, deadline: Deadline
) -> None:
    """It is read as a replacement character, and does no harm where nobody reads it."""
    checkout = documents.changed(CHECKOUT, {"tree_name": "?", "log_excerpt": "?"})
    everything = json.dumps(documents.everything(checkout))
    service.answer("", Garbage(everything.replace("?", r"a\ud800").encode()))
    read = warehouse.everything("redhat:1", deadline).checkout
    assert read.tree_name == "a\ufffd"


def test_the_next_page_may_be_spelled_anyhow(
    warehouse: DataWarehouse, service: Warehouse, deadline: Deadline
) -> None:
    """Its query is asked for in characters that an address may have."""
    page = {"results": [], "next": "http://inner.example/?offset=\u00e4 \n%C3%A4"}
    service.answer("/builds", Garbage(json.dumps(page).encode()), times=1)
    warehouse.builds("redhat:1", deadline)
    assert service.requests[1].target.endswith("/builds?offset=%C3%A4%20%0A%C3%A4")


def test_the_newest_checkouts_are_read_page_by_page(
    warehouse: DataWarehouse, services: Services, deadline: Deadline
) -> None:
    """The newest come first, and unreadable ones are skipped."""
    for it in range(70):
        services.warehouse.add(documents.everything(documents.checkout(f"redhat:{it}")))
    services.warehouse.update_checkout("redhat:68", misc={"iid": "none"})
    found = [it.id for it in warehouse.recent_checkouts(deadline)]
    assert found == [f"redhat:{it}" for it in range(69, -1, -1) if it != 68]
    assert len(services.warehouse.requests) == 3


def test_only_so_many_pages_are_looked_through(
    warehouse: DataWarehouse, services: Services, deadline: Deadline
) -> None:
    """A warehouse holds the checkouts of years."""
    services.warehouse.largest_page = 1
    for it in range(30):
        services.warehouse.add(documents.everything(documents.checkout(f"redhat:{it}")))
    assert len(list(warehouse.recent_checkouts(deadline))) == 20
    assert len(services.warehouse.requests) == 20
