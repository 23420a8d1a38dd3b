"""GitLab's versions and Django REST Framework's ways: what each is documented to answer."""

import json

import pytest

from cki_notifier.notification.errors import NotFound, Unavailable
from cki_notifier.sources.datawarehouse import DataWarehouse
from cki_notifier.sources.gitlab import GitLab
from cki_notifier.workers.deadline import Deadline
from tools.stand_ins import Fault, Garbage, Gitlab, Redirect, Services, Status, documents
from tools.stand_ins.gitlab import VERSIONS

PROJECT, FORK = "group/kernel", "somebody/kernel"
FIELD = "misc.mr.url"
CHECKOUT = "/api/1/kcidb/checkouts/redhat%3A1"
#: Triggered by the build's pipeline in the fork, 56, which the head pipeline, 77, triggered.
OURS = 55


@pytest.fixture
def service(services: Services) -> Gitlab:
    """A GitLab with a merge request from a fork."""
    gitlab = services.gitlab
    url = gitlab.merge_request_url(PROJECT, 7)
    head, build = gitlab.pipeline_url(FORK, 77), gitlab.pipeline_url(FORK, 56)
    document = documents.merge_request(url, head_pipeline=head)
    gitlab.add_merge_request(document, [documents.bridge(build)])
    gitlab.add_bridges(build, [documents.bridge(gitlab.pipeline_url("cki/trusted", OURS))])
    return gitlab


def look(gitlab: GitLab, service: Gitlab) -> frozenset[int] | None:
    """Read the merge request, and look for our pipeline downstream of its own."""
    url = service.merge_request_url(PROJECT, 7)
    _, head = gitlab.merge_request(url, FIELD, Deadline(20))
    assert head is not None
    return gitlab.downstream_pipeline_ids(url, head, OURS, Deadline(20))


@pytest.mark.parametrize("version", VERSIONS)
def test_each_gitlab_is_read(gitlab: GitLab, service: Gitlab, version: str) -> None:
    """With any name for the list of trigger jobs."""
    service.names = VERSIONS[version]
    for _ in range(2):
        assert look(gitlab, service) == frozenset({OURS, 56})


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("hidden", ["members_only", "private"])
def test_pipelines_for_members_alone_are_unknown(
    gitlab: GitLab, service: Gitlab, version: str, hidden: str
) -> None:
    """By 403 or 404; the merge request is read all the same."""
    service.names = VERSIONS[version]
    setattr(service, hidden, {FORK})
    assert look(gitlab, service) is None


@pytest.mark.parametrize(
    ("code", "word"),
    [
        (401, {"message": "401 Unauthorized"}),
        (401, {"error": "invalid_token", "error_description": "Token is expired."}),
        (403, {"message": "403 Forbidden"}),
        (403, {"error": "insufficient_scope", "scope": "api read_api"}),
        (403, {"error": "insufficient_granular_scope"}),
    ],
)
def test_gitlabs_refusals_of_a_merge_request_are_the_tokens(
    gitlab: GitLab, service: Gitlab, code: int, word: dict[str, str]
) -> None:
    """And those of what its pipeline triggered are not."""
    service.answer("/pipelines/", Status(code, json.dumps(word).encode()))
    assert look(gitlab, service) is None
    service.answer("/merge_requests/", Status(code, json.dumps(word).encode()))
    with pytest.raises(Unavailable, match="check the token"):
        look(gitlab, service)


def test_a_gitlab_that_is_too_busy_is_asked_again(gitlab: GitLab, service: Gitlab) -> None:
    """It says so in plain text, and for how long."""
    service.answer("/pipelines/", Status(429, b"Retry later\n", {"Retry-After": "0"}), times=1)
    assert look(gitlab, service) == frozenset({OURS, 56})


def test_a_project_that_was_moved_is_followed(gitlab: GitLab, service: Gitlab) -> None:
    """GitLab redirects to it on the same host, by its number."""
    old = "/api/v4/projects/old%2Fkernel/merge_requests/7"
    new = "/api/v4/projects/group%2Fkernel/merge_requests/7"
    service.answer(old, Redirect(new))
    url = service.merge_request_url("old/kernel", 7)
    assert gitlab.merge_request(url, FIELD, Deadline(20))[0].state == "opened"


@pytest.mark.parametrize("field", ["head_pipeline", "description", "labels", "draft"])
def test_what_a_token_is_not_shown_is_missing(gitlab: GitLab, service: Gitlab, field: str) -> None:
    """Pipelines that are for members alone are left out of a merge request, too."""
    url = service.merge_request_url(PROJECT, 7)
    changes = {field: documents.MISSING}
    service.add_merge_request(documents.changed(documents.merge_request(url), changes))
    assert gitlab.merge_request(url, FIELD, Deadline(20))[1] is None


@pytest.fixture
def stored(services: Services) -> Services:
    """A warehouse with a checkout that has 31 builds, one more than a page."""
    checkout = documents.checkout("redhat:1")
    builds = [documents.build(checkout, f"arch{number}") for number in range(31)]
    services.warehouse.add(documents.everything(checkout, builds))
    return services


def test_pages_are_as_long_as_the_warehouse_likes(
    warehouse: DataWarehouse, stored: Services
) -> None:
    """With any requested limit."""
    stored.warehouse.largest_page = 30
    assert len(warehouse.builds("redhat:1", Deadline(20))) == 31
    assert len(stored.warehouse.requests) == 2


def test_a_redirect_to_the_same_with_a_slash_is_followed(
    warehouse: DataWarehouse, stored: Services
) -> None:
    """Django sends one where addresses end in a slash (APPEND_SLASH)."""
    stored.warehouse.answer(f"{CHECKOUT}/all", Redirect(f"{CHECKOUT}/all/"), times=1)
    assert warehouse.everything("redhat:1", Deadline(20)).checkout.id == "redhat:1"
    assert [it.path for it in stored.warehouse.requests] == [f"{CHECKOUT}/all", f"{CHECKOUT}/all/"]


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Status(401, b'{"detail": "Invalid token."}'), Unavailable),
        (Status(403, b'{"detail": "Authentication credentials were not provided."}'), Unavailable),
        (Status(404, b'{"detail": "Not found."}'), NotFound),
        (Status(404, b'{"detail": "No Checkout matches the given query."}'), NotFound),
        (Status(429, b'{"detail": "Request was throttled."}', {"Retry-After": "9"}), Unavailable),
    ],
)
def test_the_frameworks_errors_are_what_they_say(
    warehouse: DataWarehouse, stored: Services, fault: Fault, error: type[Exception]
) -> None:
    """Older and newer versions word them differently."""
    stored.warehouse.answer("", fault)
    with pytest.raises(error):
        warehouse.everything("redhat:1", Deadline(0.5))


def test_a_number_that_is_none_is_written_as_python_does(
    warehouse: DataWarehouse, stored: Services
) -> None:
    """With STRICT_JSON off, NaN gets into a document; it is in a field that nobody reads."""
    checkout = documents.checkout("redhat:1", misc={"patchset_hash": float("nan")})
    everything = documents.everything(checkout, [documents.build(checkout)])
    stored.warehouse.answer("/all", Garbage(json.dumps(everything).encode()))
    assert warehouse.everything("redhat:1", Deadline(20)).checkout.id == "redhat:1"
