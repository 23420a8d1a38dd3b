"""GitLab: the pipelines that a merge request's head pipeline triggered."""

import json

import pytest

from cki_notifier.notification.errors import InvalidDocument, NotFound, Unavailable
from cki_notifier.sources.gitlab import GitLab, Pipeline
from cki_notifier.workers.deadline import Deadline
from tools.stand_ins import Garbage, Gitlab, NoBackend, Services, Status, documents

PROJECT = "group/kernel"
FORK = "somebody/kernel"


@pytest.fixture
def service(services: Services) -> Gitlab:
    """A GitLab with a merge request from a fork, whose head pipeline triggered 250 others."""
    head = services.gitlab.pipeline_url(FORK, 77)
    document = documents.merge_request(url_of(services.gitlab), head_pipeline=head)
    bridges = [documents.bridge(services.gitlab.pipeline_url("cki/x", it)) for it in range(250)]
    services.gitlab.add_merge_request(document, [documents.bridge(None), *bridges])
    return services.gitlab


def url_of(service: Gitlab) -> str:
    """Return the address of the merge request."""
    return service.merge_request_url(PROJECT, 7)


def head_of(service: Gitlab) -> Pipeline:
    """Return the merge request's head pipeline, which is in the fork."""
    return Pipeline(id=77, web_url=service.pipeline_url(FORK, 77))


def test_bridges_are_asked_of_the_fork(gitlab: GitLab, service: Gitlab, deadline: Deadline) -> None:
    """All pages are read of the project that the head pipeline lives in."""
    ids = gitlab.downstream_pipeline_ids(url_of(service), head_of(service), deadline)
    assert list(ids) == list(range(250))
    path = "/api/v4/projects/somebody%2Fkernel/pipelines/77/bridges"
    first, *others = service.requests
    assert first.target == f"{path}?per_page=100"
    assert [(it.path, it.first("page"), it.first("per_page")) for it in others] == [
        (path, "2", "100"),
        (path, "3", "100"),
    ]
    assert {seen.headers["private-token"] for seen in service.requests} == {"gitlab-token"}


@pytest.mark.parametrize("web_url", [None, "", "no address", "https://gitlab.com/group/kernel"])
def test_without_a_pipelines_address_its_project_is_the_merge_requests(
    gitlab: GitLab, service: Gitlab, deadline: Deadline, web_url: str | None
) -> None:
    """The only project left to ask is that of the merge request."""
    service.answer("/bridges", Garbage(b"[]"))
    head = Pipeline(id=77, web_url=web_url)
    assert list(gitlab.downstream_pipeline_ids(url_of(service), head, deadline)) == []
    assert service.requests[0].path == "/api/v4/projects/group%2Fkernel/pipelines/77/bridges"


def bridges(*ids: int | None, **headers: str) -> Status:
    """Return a page of bridges with further headers; an underscore stands for a hyphen."""
    body = [{"downstream_pipeline": None if it is None else {"id": it}} for it in ids]
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Status(200, json.dumps(body).encode(), named)


@pytest.mark.parametrize(
    "header",
    [
        {"x_next_page": "2"},
        {"Link": '<http://inner.example/x?page=2>; rel="next"'},
        {"LINK": "<?page=1>; rel=prev, <?page=2#x>; title=y; rel=next, <?page=9>; rel=last"},
        {"Link": '<?page=2>; rel="next"', "X_Next_Page": "5"},
    ],
)
def test_both_kinds_of_pagination_are_followed(
    gitlab: GitLab, service: Gitlab, deadline: Deadline, header: dict[str, str]
) -> None:
    """By the query alone: no other host is asked, whatever the header names."""
    service.answer("page=2", bridges(2, None))
    service.answer("/bridges", bridges(1, **header))
    ids = gitlab.downstream_pipeline_ids(url_of(service), head_of(service), deadline)
    assert list(ids) == [1, 2]


@pytest.mark.parametrize(
    "header",
    [
        {"x_next_page": ""},
        {"x_next_page": "none"},
        {"Link": ""},
        {"Link": '<http://[>; rel="next"'},
        {"Link": '<?page=1>; rel="prev"'},
        {"Link": "nonsense"},
    ],
)
def test_without_a_next_page_the_list_ends(
    gitlab: GitLab, service: Gitlab, deadline: Deadline, header: dict[str, str]
) -> None:
    """A header that names no page is no error."""
    service.answer("/bridges", bridges(1, **header))
    ids = gitlab.downstream_pipeline_ids(url_of(service), head_of(service), deadline)
    assert list(ids) == [1]


def test_pages_that_lead_back_end(gitlab: GitLab, service: Gitlab, deadline: Deadline) -> None:
    """A next page that was read already leads to no endless read."""
    service.answer("/bridges", bridges(1, Link='<?page=2>; rel="next"'))
    with pytest.raises(Unavailable, match="never end") as error:
        list(gitlab.downstream_pipeline_ids(url_of(service), head_of(service), deadline))
    assert error.value.service == "gitlab"


def test_a_bridge_without_an_id_is_named(
    gitlab: GitLab, service: Gitlab, deadline: Deadline
) -> None:
    """Whether the checkout is superseded can't be told without it."""
    service.answer("/bridges", Garbage(b'[{}, {"downstream_pipeline": {"id": "8"}}]'))
    with pytest.raises(InvalidDocument, match=r"`\$\[1\]\.downstream_pipeline\.id`"):
        list(gitlab.downstream_pipeline_ids(url_of(service), head_of(service), deadline))


def test_an_unknown_pipeline_is_not_found(
    gitlab: GitLab, service: Gitlab, deadline: Deadline
) -> None:
    """It may be a race, and is not taken for a pipeline that triggered nothing."""
    head = Pipeline(id=78, web_url=service.pipeline_url(FORK, 78))
    with pytest.raises(NotFound, match="gitlab: "):
        list(gitlab.downstream_pipeline_ids(url_of(service), head, deadline))


def test_a_proxy_that_knows_no_gitlab_says_nothing_of_a_pipeline(
    gitlab: GitLab, service: Gitlab
) -> None:
    """What it triggered can be asked for again later."""
    service.answer("/bridges", NoBackend())
    with pytest.raises(Unavailable, match="answered 404 without a JSON object"):
        list(gitlab.downstream_pipeline_ids(url_of(service), head_of(service), Deadline(0.1)))
