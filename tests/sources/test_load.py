"""The requests to DataWarehouse for each stage, and no others."""

import pytest

from cki_notifier.notification.models import Stage
from cki_notifier.sources.load import Loader
from cki_notifier.workers.deadline import Deadline
from tools.stand_ins import Services, documents

CHECKOUT = "/api/1/kcidb/checkouts/redhat%3A1"

pytestmark = pytest.mark.usefixtures("checkout")


@pytest.fixture
def checkout(services: Services) -> None:
    """A checkout with one build and one test, and a merge request that nobody asks for."""
    url = services.gitlab.merge_request_url("group/kernel", 7)
    document = documents.checkout("redhat:1", merge_request=url)
    build = documents.build(document)
    test = documents.test(build, "boot")
    services.warehouse.add(documents.everything(document, [build], [test]))


def asked(services: Services) -> list[str]:
    """Return the requests, sorted, because some run in parallel."""
    requests = services.warehouse.requests + services.gitlab.requests + services.jira.requests
    return sorted(seen.target for seen in requests)


@pytest.mark.parametrize(
    ("stage", "targets"),
    [
        (None, [CHECKOUT]),
        (Stage.PRE_TEST, [CHECKOUT, f"{CHECKOUT}/builds?limit=100"]),
        (Stage.POST_TEST, [f"{CHECKOUT}/all"]),
    ],
)
def test_a_stage_asks_for_what_it_needs(
    loader: Loader, services: Services, deadline: Deadline, stage: Stage | None, targets: list[str]
) -> None:
    """A checkout alone, with its builds, or with everything."""
    loaded = loader.checkout("redhat:1", stage, deadline)
    assert loaded.checkout.id == "redhat:1"
    assert (loaded.builds is None) == (stage is None)
    assert (loaded.overall_status is not None) == (stage is Stage.POST_TEST)
    assert asked(services) == targets


@pytest.mark.parametrize(
    ("first", "then", "targets"),
    [
        (None, Stage.PRE_TEST, [f"{CHECKOUT}/builds?limit=100"]),
        (None, Stage.POST_TEST, [f"{CHECKOUT}/all"]),
        (Stage.PRE_TEST, Stage.PRE_TEST, []),
        (Stage.POST_TEST, Stage.POST_TEST, []),
        (Stage.PRE_TEST, Stage.POST_TEST, [f"{CHECKOUT}/all"]),
    ],
)
def test_the_rest_is_what_is_not_there_yet(
    loader: Loader,
    services: Services,
    first: Stage | None,
    then: Stage,
    targets: list[str],
) -> None:
    """No document is read twice if the checkout decides the stage."""
    loaded = loader.checkout("redhat:1", first, Deadline(20))
    services.warehouse.requests.clear()
    loaded = loader.rest(loaded, then, Deadline(20))
    assert len(loaded.builds or ()) == 1
    assert (loaded.overall_status is not None) == (then is Stage.POST_TEST)
    assert asked(services) == targets


def test_an_iid_is_asked_for_once(loader: Loader, services: Services, deadline: Deadline) -> None:
    """A checkout found by its number is read further by its id."""
    iid = str(documents.number("redhat:1"))
    loaded = loader.checkout(iid, None, deadline)
    loader.rest(loaded, Stage.PRE_TEST, deadline)
    assert asked(services) == [f"/api/1/kcidb/checkouts/{iid}", f"{CHECKOUT}/builds?limit=100"]
