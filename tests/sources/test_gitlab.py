"""GitLab: the merge requests, and who gets which token."""

import json
from urllib.parse import urlsplit

import pytest

from cki_notifier.checkout.links import merge_request_link
from cki_notifier.checkout.trailers import trailers
from cki_notifier.configuration.secret import Secret
from cki_notifier.notification.errors import InvalidDocument, NotFound, Unavailable
from cki_notifier.sources.gitlab import GitLab, Pipeline
from cki_notifier.sources.http import HTTP
from cki_notifier.workers.deadline import Deadline
from tools.stand_ins import Garbage, Gitlab, NoBackend, Services, Status, documents

PROJECT = "group/sub.group/kernel-9_x"
FIELD = "misc.mr.url"
PATH = "/api/v4/projects/group%2Fsub.group%2Fkernel-9_x/merge_requests/7"


@pytest.fixture
def service(services: Services) -> Gitlab:
    """A GitLab with one merge request."""
    head = services.gitlab.pipeline_url(PROJECT, 77)
    document = documents.merge_request(url_of(services.gitlab), head_pipeline=head)
    services.gitlab.add_merge_request(document)
    return services.gitlab


def url_of(service: Gitlab) -> str:
    """Return the address of the merge request."""
    return service.merge_request_url(PROJECT, 7)


def test_a_merge_request_is_read(gitlab: GitLab, service: Gitlab, deadline: Deadline) -> None:
    """The project's path is one part of the request's, and the token goes along."""
    read, head = gitlab.merge_request(url_of(service), FIELD, deadline)
    assert (read.state, read.is_draft, read.labels) == ("opened", False, documents.LABELS)
    links = trailers(documents.DESCRIPTION)
    assert (read.jira, read.bugzilla) == (links.jira, links.bugzilla)
    assert read.jira
    assert read.head_pipeline_id == 77
    assert head == Pipeline(id=77, web_url=service.pipeline_url(PROJECT, 77))
    [seen] = service.requests
    assert seen.target == PATH
    assert seen.headers["private-token"] == "gitlab-token"


#: The names of some fields in our value.
READ_AS = {"draft": "is_draft", "description": "jira", "head_pipeline": "head_pipeline_id"}


@pytest.mark.parametrize("name", ["draft", "labels", "description", "head_pipeline"])
def test_only_the_state_has_to_be_there(
    gitlab: GitLab, service: Gitlab, deadline: Deadline, name: str
) -> None:
    """Everything else may be null or missing."""
    for value in (None, documents.MISSING):
        document = documents.changed(documents.merge_request(url_of(service)), {name: value})
        service.add_merge_request(document)
        read, _ = gitlab.merge_request(url_of(service), FIELD, deadline)
        assert read.state == "opened"
        assert not getattr(read, READ_AS.get(name, name), None)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"state": None}, "$.state"),
        ({"state": documents.MISSING}, "state"),
        ({"draft": "no"}, "$.draft"),
        ({"labels": "x"}, "$.labels"),
        ({"labels": [{"name": "x"}]}, "$.labels[0]"),
        ({"description": []}, "$.description"),
        ({"head_pipeline": [7]}, "$.head_pipeline"),
        ({"head_pipeline": {"id": "7"}}, "$.head_pipeline.id"),
        ({"head_pipeline": {"web_url": "x"}}, "id"),
        ({"head_pipeline": {"id": 7, "web_url": 7}}, "$.head_pipeline.web_url"),
    ],
)
def test_a_wrong_field_is_named(
    gitlab: GitLab, service: Gitlab, deadline: Deadline, changes: dict[str, object], field: str
) -> None:
    """Nothing is guessed from a field that isn't what it should be."""
    document = documents.changed(documents.merge_request(url_of(service)), changes)
    service.answer("", Garbage(json.dumps(document).encode()))
    with pytest.raises(InvalidDocument, match=r"^gitlab: ") as error:
        gitlab.merge_request(url_of(service), FIELD, deadline)
    assert f"`{field}`" in str(error.value)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "no address",
        "https://gitlab.com/group/kernel",
        "https://gitlab.com/group/kernel/-/issues/7",
        "https://gitlab.com/group/kernel/-/merge_requests/",
        "https://gitlab.com/group/kernel/-/merge_requests/seven",
        "https://gitlab.com/group/kernel/-/merge_requests/7/diffs",
        "https://gitlab.com/kernel/-/merge_requests/7",
        "https://gitlab.com/group/../-/merge_requests/7",
        "https://gitlab.com/group/a b/-/merge_requests/7",
        "ftp://gitlab.com/group/kernel/-/merge_requests/7",
        "//gitlab.com/group/kernel/-/merge_requests/7",
        "https:///group/kernel/-/merge_requests/7",
        "https://user:secret@gitlab.com/group/kernel/-/merge_requests/7",
        "https://gitlab.com:port/group/kernel/-/merge_requests/7",
        "https://gitlab.com:99999/group/kernel/-/merge_requests/7",
        "https://[::1/group/kernel/-/merge_requests/7",
    ],
)
@pytest.mark.parametrize("field", ["misc.mr.url", "misc.related_merge_request.url"])
def test_an_address_of_no_merge_request_is_named(
    gitlab: GitLab, deadline: Deadline, field: str, url: str
) -> None:
    """DataWarehouse's document is invalid, and no GitLab gets a request."""
    with pytest.raises(InvalidDocument, match=f"^datawarehouse: `{field}`: "):
        gitlab.merge_request(url, field, deadline)


def test_a_token_goes_to_its_host_alone(http: HTTP, service: Gitlab, deadline: Deadline) -> None:
    """The port is a part of the host; without a token it is read anonymously."""
    service.token = None
    host = urlsplit(service.url).netloc
    tokens = {name: Secret("x") for name in ("127.0.0.1", "127.0.0.1:1", "gitlab.com", host + "0")}
    assert GitLab(http, tokens).merge_request(url_of(service), FIELD, deadline)[0].state == "opened"
    assert "private-token" not in service.requests[0].headers
    assert "authorization" not in service.requests[0].headers


@pytest.mark.parametrize("code", [401, 403])
def test_a_refused_token_is_named(
    gitlab: GitLab, service: Gitlab, deadline: Deadline, code: int
) -> None:
    """The error says which entry to look at, and is no end of the notification."""
    service.answer("", Status(code))
    host = urlsplit(service.url).netloc
    with pytest.raises(Unavailable, match=f"gitlab: .* GITLAB_TOKENS for {host}"):
        gitlab.merge_request(url_of(service), FIELD, deadline)


def test_an_unknown_merge_request_is_not_found(
    gitlab: GitLab, service: Gitlab, deadline: Deadline
) -> None:
    """It may be a race, like the warehouse's."""
    with pytest.raises(NotFound, match="gitlab: "):
        gitlab.merge_request(service.merge_request_url(PROJECT, 8), FIELD, deadline)


def test_a_proxy_that_knows_no_gitlab_says_nothing_of_a_merge_request(
    gitlab: GitLab, service: Gitlab
) -> None:
    """Its 404 is a page, and GitLab's an object."""
    service.answer("", NoBackend())
    with pytest.raises(Unavailable, match=r"gitlab: .* answered 404 without a JSON object"):
        gitlab.merge_request(url_of(service), FIELD, Deadline(0.1))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"labels": ["x"] * 1_001}, "labels"),
        ({"labels": ["x" * 1_001]}, "labels"),
        ({"state": "x" * 101}, "state"),
    ],
)
def test_what_no_gitlab_has_is_invalid(
    gitlab: GitLab,
    service: Gitlab,
    deadline: Deadline,
    changes: dict[str, object],
    field: str,
) -> None:
    """A hostile host's large document does not stay in our memory."""
    document = documents.changed(documents.merge_request(url_of(service)), changes)
    service.add_merge_request(document)
    with pytest.raises(InvalidDocument, match=field):
        gitlab.merge_request(url_of(service), FIELD, deadline)


def test_a_long_description_is_not_kept(
    gitlab: GitLab, service: Gitlab, deadline: Deadline
) -> None:
    """Of its trailers there are a thousand at most, none longer than two thousand characters."""
    lines = [f"JIRA: https://redhat.atlassian.net/browse/RHEL-{number}" for number in range(1_500)]
    long = "Bugzilla: https://bugzilla.redhat.com/" + "1" * 2_000
    description = "\n".join([long, *lines])
    document = documents.merge_request(url_of(service))
    service.add_merge_request(documents.changed(document, {"description": description}))
    read, _ = gitlab.merge_request(url_of(service), FIELD, deadline)
    assert len(read.jira) == 999
    assert read.bugzilla == ()


def test_half_a_character_costs_no_merge_request(
    gitlab: GitLab, service: Gitlab, deadline: Deadline
) -> None:
    """It is read as a replacement character, and does no harm where nobody reads it."""
    document = documents.changed(
        documents.merge_request(url_of(service)), {"title": "?", "labels": ["a?"]}
    )
    service.answer("", Garbage(json.dumps(document).replace("?", r"\udc00").encode()))
    assert gitlab.merge_request(url_of(service), FIELD, deadline)[0].labels == ("a\ufffd",)


@pytest.mark.parametrize("path", ["/gitlab", "/tools/git.lab"])
def test_a_gitlab_may_be_under_a_path(
    http: HTTP, services: Services, deadline: Deadline, path: str
) -> None:
    """GITLAB_TOKENS says so; the API and all projects are under the same path."""
    service = services.gitlab
    service.path = path
    head = service.pipeline_url("fork/kernel", 77)
    below = [documents.bridge(service.pipeline_url("cki/x", 1))]
    service.add_merge_request(documents.merge_request(url_of(service), head_pipeline=head), below)
    host = urlsplit(service.url).netloc
    client = GitLab(http, {host: Secret("x"), f"{host}{path}": Secret("gitlab-token")})
    _, pipeline = client.merge_request(url_of(service), FIELD, deadline)
    assert pipeline is not None
    ids = client.downstream_pipeline_ids(url_of(service), pipeline, 2, deadline)
    assert ids == frozenset({1})
    assert [seen.target for seen in service.requests] == [
        path + PATH,
        f"{path}/api/v4/projects/fork%2Fkernel/pipelines/77/bridges?per_page=100",
        f"{path}/api/v4/projects/cki%2Fx/pipelines/1/bridges?per_page=100",
    ]
    with client.place("redhat:1", url_of(service), deadline):
        pass


def test_a_group_is_no_path_that_a_gitlab_is_under(
    http: HTTP, service: Gitlab, deadline: Deadline
) -> None:
    """Of another GitLab, of a group with a longer name, or with nothing left for a group."""
    host = urlsplit(service.url).netloc
    keys = ("gitlab.com/group", f"{host}/grou", f"{host}/group/sub.group", f"{host}/Group")
    client = GitLab(http, {host: Secret("gitlab-token")} | dict.fromkeys(keys, Secret("x")))
    assert client.merge_request(url_of(service), FIELD, deadline)[0].state == "opened"
    assert service.requests[0].target == PATH


def test_https_own_port_is_no_other_host() -> None:
    """An address with it is the same without, and so is its token."""
    link = merge_request_link("https://GitLab.com:443/group/kernel/-/merge_requests/7")
    assert (link.origin, link.host, link.has_port) == ("https://gitlab.com", "gitlab.com", False)
