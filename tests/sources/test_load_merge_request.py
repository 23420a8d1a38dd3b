"""The requests for a checkout's merge request, and no others."""

import msgspec
import pytest

from cki_notifier.checkout.documents import Checkout
from cki_notifier.notification.errors import InvalidDocument, Unavailable
from cki_notifier.notification.models import MergeRequest
from cki_notifier.sources.datawarehouse import DataWarehouse
from cki_notifier.sources.gitlab import GitLab
from cki_notifier.sources.load import Loader
from cki_notifier.telemetry import metrics
from cki_notifier.workers.deadline import Deadline
from tools.stand_ins import Services, Status, documents

PROJECT = "group/kernel"
MERGE_REQUEST = "/api/v4/projects/group%2Fkernel/merge_requests/7"
BRIDGES = "/api/v4/projects/group%2Fkernel/pipelines/77/bridges?per_page=100"
ISSUE = "https://redhat.atlassian.net/browse/RHEL-40001"


@pytest.fixture
def checkout(services: Services) -> Checkout:
    """A checkout of a merge request whose head pipeline triggered the checkout's, 55."""
    url = services.gitlab.merge_request_url(PROJECT, 7)
    own = services.gitlab.pipeline_url("cki/trusted", 55)
    document = documents.checkout("redhat:1", merge_request=url, pipeline=own)
    add_merge_request(services, services.gitlab.pipeline_url(PROJECT, 77))
    services.jira.add_issue(documents.jira_issue("RHEL-40001"))
    return msgspec.convert(document, Checkout)


def add_merge_request(services: Services, head: str | None, **changes: object) -> None:
    """Store the merge request, whose head pipeline triggered the pipelines 55 and 56."""
    url = services.gitlab.merge_request_url(PROJECT, 7)
    document = documents.merge_request(url, head_pipeline=head)
    services.gitlab.add_merge_request(
        documents.changed(document, changes),
        [documents.bridge(services.gitlab.pipeline_url("cki/trusted", it)) for it in (55, 56)],
    )


def asked(services: Services) -> list[str]:
    """Return the requests, sorted, because some run in parallel."""
    requests = services.warehouse.requests + services.gitlab.requests + services.jira.requests
    return sorted(seen.path if "/search" in seen.target else seen.target for seen in requests)


def test_a_merge_request_comes_with_its_pipelines_and_issues(
    loader: Loader, services: Services, deadline: Deadline, checkout: Checkout
) -> None:
    """Everything the rules and the message need of it."""
    read = loader.with_issues(loader.merge_request(checkout, deadline), deadline)
    assert read is not None
    assert read.jira_issues is not None
    assert [issue.key for issue in read.jira_issues] == ["RHEL-40001"]
    assert read == MergeRequest(
        url=services.gitlab.merge_request_url(PROJECT, 7),
        state="opened",
        is_draft=False,
        labels=documents.LABELS,
        jira=(ISSUE,),
        bugzilla=("https://bugzilla.redhat.com/2210001",),
        head_pipeline_id=77,
        downstream_pipeline_ids=frozenset({55, 56}),
        jira_issues=read.jira_issues,
    )
    assert asked(services) == [MERGE_REQUEST, BRIDGES, "/rest/api/2/search"]


def test_a_forks_bridges_are_asked_of_the_fork(
    loader: Loader, services: Services, deadline: Deadline, checkout: Checkout
) -> None:
    """Bridges are asked of the project in the head pipeline's address."""
    add_merge_request(services, services.gitlab.pipeline_url("somebody/kernel", 77))
    read = loader.merge_request(checkout, deadline)
    assert read is not None
    assert read.downstream_pipeline_ids == frozenset({55, 56})
    assert "/api/v4/projects/somebody%2Fkernel/pipelines/77/bridges?per_page=100" in asked(services)


def test_a_closed_merge_requests_bridges_are_asked_for(
    loader: Loader, services: Services, deadline: Deadline, checkout: Checkout
) -> None:
    """Only a merged one needs none of them."""
    add_merge_request(
        services, services.gitlab.pipeline_url(PROJECT, 77), state="closed", draft=None, labels=None
    )
    read = loader.merge_request(checkout, deadline)
    assert read is not None
    assert (read.state, read.is_draft, read.labels) == ("closed", False, ())
    assert read.downstream_pipeline_ids == frozenset({55, 56})


@pytest.mark.parametrize(("head", "state"), [(77, "merged"), (None, "opened"), (55, "opened")])
def test_bridges_are_asked_for_only_where_they_decide(
    loader: Loader,
    services: Services,
    checkout: Checkout,
    head: int | None,
    state: str,
) -> None:
    """Not of a merged merge request, without a head pipeline, or when that is the checkout's."""
    url = services.gitlab.pipeline_url(PROJECT, head) if head else None
    add_merge_request(services, url, state=state)
    read = loader.merge_request(checkout, Deadline(20))
    assert read is not None
    assert (read.head_pipeline_id, read.downstream_pipeline_ids) == (head, frozenset())
    assert asked(services) == [MERGE_REQUEST]


def test_without_a_pipeline_no_bridges_are_asked_for(
    loader: Loader, services: Services, deadline: Deadline, checkout: Checkout
) -> None:
    """Where the checkout's own pipeline is unknown, it is not held to be superseded."""
    assert checkout.misc is not None
    misc = msgspec.structs.replace(checkout.misc, provenance=None)
    read = loader.merge_request(msgspec.structs.replace(checkout, misc=misc), deadline)
    assert read is not None
    assert read.downstream_pipeline_ids == frozenset()
    assert asked(services) == [MERGE_REQUEST]


def test_the_issues_are_asked_for_only_when_they_are_wanted(
    loader: Loader, services: Services, deadline: Deadline, checkout: Checkout
) -> None:
    """An ignored notification neither waits for Jira nor costs a lookup."""
    services.jira.down()
    before = failures()
    merge_request = loader.merge_request(checkout, deadline)
    assert merge_request is not None
    assert (merge_request.jira, merge_request.jira_issues) == ((ISSUE,), None)
    assert (services.jira.requests, failures()) == ([], before)
    assert loader.with_issues(merge_request, deadline) == merge_request
    assert failures() == before + 1


def failures() -> float:
    """Return how many messages went without their issues."""
    labels = {"service": "jira"}
    return (
        metrics.REGISTRY.get_sample_value("cki_notifier_enrichment_failures_total", labels) or 0.0
    )


@pytest.mark.parametrize(
    "description", [None, "", "JIRA: INTERNAL", "Bugzilla: https://bugzilla.redhat.com/1"]
)
def test_jira_is_asked_only_with_trailers(
    loader: Loader,
    services: Services,
    deadline: Deadline,
    checkout: Checkout,
    description: str | None,
) -> None:
    """Most merge requests need no lookup."""
    head = services.gitlab.pipeline_url(PROJECT, 77)
    add_merge_request(services, head, description=description)
    read = loader.with_issues(loader.merge_request(checkout, deadline), deadline)
    assert read is not None
    assert (read.jira, read.jira_issues) == ((), None)
    assert services.jira.requests == []


def test_without_a_jira_nothing_is_looked_up(
    warehouse: DataWarehouse, gitlab: GitLab, deadline: Deadline, checkout: Checkout
) -> None:
    """The links are there all the same."""
    loader = Loader(warehouse, gitlab, None)
    read = loader.with_issues(loader.merge_request(checkout, deadline), deadline)
    assert read is not None
    assert (read.jira, read.jira_issues) == ((ISSUE,), None)


def test_a_jira_that_fails_costs_the_extra_alone(
    loader: Loader, services: Services, deadline: Deadline, checkout: Checkout
) -> None:
    """All the rest of the merge request is there."""
    services.jira.down()
    read = loader.with_issues(loader.merge_request(checkout, deadline), deadline)
    assert read is not None
    assert (read.jira, read.jira_issues) == ((ISSUE,), None)
    assert read.downstream_pipeline_ids == frozenset({55, 56})


@pytest.mark.parametrize(("match", "code"), [("/merge_requests/", 403), ("/bridges", 503)])
def test_a_gitlab_that_fails_is_waited_for(
    loader: Loader, services: Services, checkout: Checkout, match: str, code: int
) -> None:
    """Without its answer nobody can say whether the message is to be sent."""
    services.gitlab.answer(match, Status(code))
    with pytest.raises(Unavailable, match="gitlab: "):
        loader.merge_request(checkout, Deadline(1))


def test_bridges_that_are_refused_cost_no_message(
    loader: Loader, services: Services, deadline: Deadline, checkout: Checkout
) -> None:
    """Downstream pipelines are unknown, and the merge request is complete otherwise."""
    services.gitlab.members_only = {PROJECT}
    read = loader.merge_request(checkout, deadline)
    assert read is not None
    assert (read.head_pipeline_id, read.downstream_pipeline_ids) == (77, None)
    assert read.jira == (ISSUE,)


@pytest.mark.parametrize(
    "misc",
    [{}, {"mr": None}, {"mr": {}}, {"mr": {"url": ""}}, {"related_merge_request": {"url": None}}],
)
def test_without_a_merge_request_nobody_is_asked(
    loader: Loader, services: Services, deadline: Deadline, misc: dict[str, object]
) -> None:
    """Many checkouts belong to a branch."""
    checkout = msgspec.convert(documents.checkout("redhat:1", misc=misc), Checkout)
    assert loader.merge_request(checkout, deadline) is None
    assert asked(services) == []


@pytest.mark.usefixtures("checkout")
def test_a_related_merge_request_takes_its_place(
    loader: Loader, services: Services, deadline: Deadline
) -> None:
    """Where the checkout has no merge request of its own."""
    url = services.gitlab.merge_request_url(PROJECT, 7)
    misc = {"mr": {"url": None}, "related_merge_request": {"url": url}}
    checkout = msgspec.convert(documents.checkout("redhat:1", misc=misc), Checkout)
    read = loader.merge_request(checkout, deadline)
    assert read is not None
    assert read.url == url


@pytest.mark.parametrize("name", ["mr", "related_merge_request"])
def test_an_address_that_is_none_is_named(
    loader: Loader, services: Services, deadline: Deadline, name: str
) -> None:
    """The field is that of the warehouse's document."""
    misc = {name: {"url": "https://gitlab.com/group/kernel/-/issues/7"}}
    checkout = msgspec.convert(documents.checkout("redhat:1", misc=misc), Checkout)
    with pytest.raises(InvalidDocument, match=rf"datawarehouse: `misc\.{name}\.url`"):
        loader.merge_request(checkout, deadline)
    assert asked(services) == []
