"""A limit of requests at once, to all services together, in which none gets stuck."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from cki_notifier.configuration.certificates import certificate_authorities
from cki_notifier.configuration.secret import Secret
from cki_notifier.configuration.settings import DataWarehouseConfig
from cki_notifier.sources.datawarehouse import DataWarehouse
from cki_notifier.sources.http import HTTP
from cki_notifier.sources.transfer import LARGE_BODY_BYTES, TransferError, Transfers
from cki_notifier.workers.deadline import Deadline
from tools.stand_ins import Exchange, Hang, Redirect, Services, Status, Warehouse, documents

#: Only a failing test waits for so long, in seconds.
PATIENCE = 30.0
Make = Callable[[int | None], Transfers]


@pytest.fixture
def make() -> Iterator[Make]:
    """Make transfers with a limit, which are closed after the test."""
    made: list[Transfers] = []

    def make(most: int | None) -> Transfers:
        made.append(Transfers(certificate_authorities(), most=most))
        return made[-1]

    yield make
    for it in made:
        it.close()


class Counting:
    """The true answer, once at least a number of requests runs at the same time."""

    def __init__(self, expected: int) -> None:
        self._changed = threading.Condition()
        self._expected = expected
        self._now = 0
        self.most = 0

    def __call__(self, exchange: Exchange) -> None:
        """Wait for the others, and a moment more."""
        with self._changed:
            self._now += 1
            self.most = max(self.most, self._now)
            self._changed.notify_all()
            self._changed.wait_for(lambda: self.most >= self._expected, PATIENCE)
        time.sleep(0.05)
        with self._changed:
            self._now -= 1
        exchange.connection.answer(exchange.answer)


@pytest.mark.parametrize(("most", "seen"), [(4, 4), (1, 1), (None, 24)])
def test_no_more_are_under_way_than_may_be(
    make: Make, services: Services, most: int | None, seen: int
) -> None:
    """All servers count together; by default there is no such bound. None is left out."""
    counting = Counting(seen)
    transfers = make(most)
    for service in (services.warehouse, services.gitlab):
        service.answer("", counting)
    asked = [
        transfers.start(f"{service.url}/{number}", [], PATIENCE)
        for number in range(12)
        for service in (services.warehouse, services.gitlab)
    ]
    assert {it.result(PATIENCE).code for it in asked} <= {401, 404}
    assert counting.most == seen


def test_who_was_started_first_is_asked_for_first(make: Make, services: Services) -> None:
    """Nobody is overtaken by those who came later."""
    transfers = make(1)
    urls = [f"/{number}" for number in range(20)]
    for it in [transfers.start(services.warehouse.url + url, [], PATIENCE) for url in urls]:
        it.result(PATIENCE)
    assert [it.target for it in services.warehouse.requests] == urls


def test_waiting_costs_nothing_of_the_time(make: Make, services: Services) -> None:
    """But what nobody waits for any more is not asked for."""
    transfers = make(1)
    services.warehouse.answer("/slow", Hang(1.5), times=1)
    slow = transfers.start(f"{services.warehouse.url}/slow", [], PATIENCE)
    impatient = transfers.start(f"{services.warehouse.url}/impatient", [], 1)
    patient = transfers.start(f"{services.warehouse.url}/patient", [], PATIENCE)
    with pytest.raises(TransferError):
        slow.result(PATIENCE)
    with pytest.raises(TransferError, match="its deadline is over"):
        impatient.result(PATIENCE)
    assert patient.result(PATIENCE).code == 401
    assert [it.path for it in services.warehouse.requests] == ["/slow", "/patient"]


@pytest.mark.parametrize("most", [1, 2, 3])
def test_large_bodies_that_wait_for_their_turn_hold_up_nobody(
    make: Make, services: Services, most: int
) -> None:
    """They take turns, and start again when they turn out to be large."""
    transfers = make(most)
    services.warehouse.answer("/large", Status(200, bytes(2 * LARGE_BODY_BYTES)))
    urls = [
        f"{services.warehouse.url}/{kind}/{it % 3}" for it in range(6) for kind in ("large", "")
    ]
    asked = [transfers.start(url, [], PATIENCE) for url in urls]
    assert [it.result(PATIENCE).code for it in asked] == [200, 401] * 6


def test_what_can_not_be_asked_for_holds_up_nobody(make: Make, services: Services) -> None:
    """It leaves its place to the next one at once."""
    transfers = make(1)
    bad = [transfers.start("gopher://127.0.0.1/", [], PATIENCE) for _ in range(3)]
    bad += [transfers.start("http://127.0.0.1:1/", [], PATIENCE) for _ in range(3)]
    good = transfers.start(services.warehouse.url, [], PATIENCE)
    assert good.result(PATIENCE).code == 401
    for it in bad:
        with pytest.raises(TransferError):
            it.result(PATIENCE)


def test_closing_ends_those_that_wait(make: Make, services: Services) -> None:
    """Nobody waits for what can't come any more."""
    transfers = make(1)
    services.warehouse.answer("", Hang(PATIENCE))
    asked = [transfers.start(services.warehouse.url, [], PATIENCE) for _ in range(3)]
    while not services.warehouse.requests:
        time.sleep(0.01)
    transfers.close()
    for it in asked:
        with pytest.raises(TransferError, match="the process is stopping"):
            it.result(5)


def test_pages_redirects_and_further_tries_go_on_one_at_a_time(
    make: Make, services: Services
) -> None:
    """Two documents side by side, in several threads, where there is place for one request."""
    service: Warehouse = services.warehouse
    service.largest_page = 2
    config = DataWarehouseConfig(url=service.url, token=Secret(service.token))
    warehouse = DataWarehouse(HTTP(make(1)), config)
    names = [f"redhat:{number}" for number in range(4)]
    for name in names:
        checkout = documents.checkout(name)
        builds = [documents.build(checkout, it) for it in ("aarch64", "s390x", "x86_64")]
        service.add(documents.everything(checkout, builds))
    service.answer("redhat%3A1/builds?limit", Status(503), times=1)
    service.answer("redhat%3A2", Redirect(f"{service.url}/api/1/kcidb/checkouts/redhat:2"), times=1)
    found: dict[str, int] = {}

    def load(name: str) -> None:
        found[name] = len(warehouse.checkout_with_builds(name, Deadline(PATIENCE)).builds or ())

    threads = [threading.Thread(target=load, args=(name,)) for name in names if name != "redhat:2"]
    for it in threads:
        it.start()
    assert warehouse.checkout("redhat:2", Deadline(PATIENCE)).checkout.id == "redhat:2"
    for it in threads:
        it.join(PATIENCE)
    assert found == {"redhat:0": 3, "redhat:1": 3, "redhat:3": 3}
