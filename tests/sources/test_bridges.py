"""GitLab: the pipelines downstream of a merge request's head pipeline."""

import json
import logging
from collections.abc import Callable

import pytest

from cki_notifier.configuration.secret import Secret
from cki_notifier.notification.errors import Unavailable
from cki_notifier.sources.gitlab import GitLab, Pipeline
from cki_notifier.sources.http import HTTP
from cki_notifier.telemetry.metrics import REGISTRY
from cki_notifier.workers.deadline import Deadline
from tools.stand_ins import (
    Fault,
    Garbage,
    Gitlab,
    Hang,
    Html,
    NoBackend,
    Redirect,
    Reset,
    Services,
    Status,
    documents,
)
from tools.stand_ins.gitlab import BOTH_NAMES, TRIGGER_JOBS_ALONE

PROJECT = "group/kernel"
FORK = "somebody/kernel"
CKI = "cki/x"
#: Triggered by nobody.
STRANGER = 999_999
BRIDGES = "/api/v4/projects/somebody%2Fkernel/pipelines/77/bridges"
TRIGGER_JOBS = "/api/v4/projects/somebody%2Fkernel/pipelines/77/trigger_jobs"

#: Looks for a pipeline downstream of the head pipeline, or of another one.
Look = Callable[..., frozenset[int] | None]


@pytest.fixture
def service(services: Services) -> Gitlab:
    """A GitLab with a merge request from a fork, whose head pipeline, 77, triggered 1 and 2."""
    document = documents.merge_request(
        url_of(services.gitlab), head_pipeline=services.gitlab.pipeline_url(FORK, 77)
    )
    services.gitlab.add_merge_request(document)
    triggers(services.gitlab, (FORK, 77), (CKI, 1), (CKI, 2))
    return services.gitlab


@pytest.fixture
def look(gitlab: GitLab, service: Gitlab) -> Look:
    """Look for a pipeline, within a number of seconds."""

    def look(
        wanted: int = STRANGER, head: Pipeline | None = None, seconds: float = 20
    ) -> frozenset[int] | None:
        head = head or Pipeline(id=77, web_url=service.pipeline_url(FORK, 77))
        deadline = Deadline(seconds)
        return gitlab.downstream_pipeline_ids(url_of(service), head, wanted, deadline)

    return look


def url_of(service: Gitlab) -> str:
    """Return the address of the merge request."""
    return service.merge_request_url(PROJECT, 7)


def triggers(service: Gitlab, pipeline: tuple[str, int], *others: tuple[str, int]) -> None:
    """Have a pipeline trigger others; a bridge of it has triggered nothing yet."""
    listed = [documents.bridge(service.pipeline_url(*it)) for it in others]
    service.add_bridges(service.pipeline_url(*pipeline), [documents.bridge(None), *listed])


def asked(service: Gitlab) -> list[str]:
    """Return the paths that were asked for."""
    return [seen.path for seen in service.requests]


def refusals() -> float:
    """Return how often a token of GitLab's was refused so far, by the metric."""
    name = "cki_notifier_token_refusals_total"
    return REGISTRY.get_sample_value(name, {"service": "gitlab"}) or 0


def test_bridges_are_asked_of_the_fork(look: Look, service: Gitlab) -> None:
    """The search reads all pages of the head pipeline's project, until it finds ours."""
    triggers(service, (FORK, 77), *((CKI, number) for number in range(1, 251)))
    assert look(250) == frozenset(range(1, 251))
    first, *others = service.requests
    assert first.target == f"{BRIDGES}?per_page=100"
    assert [(it.path, it.first("page"), it.first("per_page")) for it in others] == [
        (BRIDGES, "2", "100"),
        (BRIDGES, "3", "100"),
    ]
    assert {seen.headers["private-token"] for seen in service.requests} == {"gitlab-token"}


def test_no_more_is_asked_for_once_ours_is_found(look: Look, service: Gitlab) -> None:
    """The first page is enough where it names ours."""
    triggers(service, (FORK, 77), *((CKI, number) for number in range(1, 251)))
    assert 5 in (look(5) or ())
    assert len(service.requests) == 1


@pytest.mark.parametrize("web_url", [None, "", "no address", "https://gitlab.com/group/kernel"])
def test_without_a_pipelines_address_its_project_is_the_merge_requests(
    look: Look, service: Gitlab, web_url: str | None
) -> None:
    """The only project left to ask is that of the merge request."""
    service.answer("/bridges", Garbage(b"[]"))
    assert look(head=Pipeline(id=77, web_url=web_url)) == frozenset()
    assert asked(service) == ["/api/v4/projects/group%2Fkernel/pipelines/77/bridges"]


def test_a_pipeline_two_levels_below_is_found(look: Look, service: Gitlab) -> None:
    """A build of a fork has a pipeline of its own, which triggers that of the build."""
    triggers(service, ("fork/builds", 3), ("cki/trusted", 55))
    triggers(service, (FORK, 77), (CKI, 1), ("fork/builds", 3))
    assert look(55) == frozenset({1, 3, 55})
    assert asked(service)[1:] == [
        "/api/v4/projects/cki%2Fx/pipelines/1/bridges",
        "/api/v4/projects/fork%2Fbuilds/pipelines/3/bridges",
    ]
    assert {seen.headers["private-token"] for seen in service.requests} == {"gitlab-token"}


def test_what_is_deeper_is_not_looked_for(look: Look, service: Gitlab) -> None:
    """Two levels are known to be of use; more would be requests for nothing."""
    triggers(service, (CKI, 2), (CKI, 3))
    triggers(service, (CKI, 3), (CKI, 4))
    assert look() == frozenset({1, 2, 3})
    assert len(service.requests) == 3


def test_pipelines_that_trigger_each_other_are_asked_once(look: Look, service: Gitlab) -> None:
    """No list leads to two requests about one pipeline."""
    triggers(service, (CKI, 1), (FORK, 77), (CKI, 2), (CKI, 1))
    triggers(service, (FORK, 77), (CKI, 1), (CKI, 1), (FORK, 77), (CKI, 2))
    assert look() == frozenset({1, 2, 77})
    assert len(asked(service)) == len(set(asked(service))) == 3


def test_too_many_pipelines_are_not_asked(look: Look, service: Gitlab) -> None:
    """The result is unknown, unless ours is among them."""
    triggers(service, (FORK, 77), *((CKI, number) for number in range(1, 52)))
    assert look() is None
    assert len(service.requests) == 1
    assert look(51) == frozenset(range(1, 52))


@pytest.mark.parametrize(
    "downstream",
    [
        {"id": 1},
        {"id": 1, "web_url": None},
        {"id": 1, "web_url": "no address"},
        {"id": 1, "web_url": "https://evil.example/cki/x/-/pipelines/1"},
    ],
)
def test_a_pipeline_at_no_address_of_this_gitlab_is_not_asked(
    look: Look, service: Gitlab, downstream: dict[str, object]
) -> None:
    """Neither there, nor of a project here that happens to have the same name."""
    service.answer("/77/", Garbage(json.dumps([{"downstream_pipeline": downstream}]).encode()))
    assert look() is None
    assert asked(service) == [BRIDGES]
    assert look(1) == frozenset({1})


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
    look: Look, service: Gitlab, header: dict[str, str]
) -> None:
    """Only by the query: another host in the header gets no request."""
    service.answer("page=2", bridges(2, None))
    service.answer("/bridges", bridges(1, **header))
    assert look(2) == frozenset({1, 2})


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
    look: Look, service: Gitlab, header: dict[str, str]
) -> None:
    """A header that names no page is no error."""
    service.answer("/bridges", bridges(None, **header))
    assert look() == frozenset()
    assert len(service.requests) == 1


def test_pages_that_lead_back_end(look: Look, service: Gitlab) -> None:
    """A next page that was read already leads to no endless read."""
    service.answer("/bridges", bridges(None, Link='<?page=2>; rel="next"'))
    assert look() is None
    assert len(service.requests) == 2


@pytest.mark.parametrize(
    "fault",
    [
        Status(401, b'{"message": "401 Unauthorized"}'),
        Status(403, b'{"message": "403 Forbidden"}'),
        Status(403, b'{"error": "insufficient_granular_scope"}'),
        Status(403),
        Status(404, b'{"message": "404 Project Not Found"}'),
        Status(400),
        Status(410),
        Status(451),
        Redirect("https://sso.example/login"),
        Garbage(b'[{}, {"downstream_pipeline": {"id": "8"}}]'),
        Garbage(b"[" + b"{}," * 50_000 + b"{}]"),
        Garbage(b"[" * 100_000),
        Garbage(b'["' + b"x" * 9_000_000 + b'"]'),
    ],
)
@pytest.mark.parametrize("match", ["/77/", "/2/"])
def test_a_refusal_is_no_answer_and_no_fault(
    look: Look, service: Gitlab, caplog: pytest.LogCaptureFixture, match: str, fault: Fault
) -> None:
    """At either level: a warning, nothing against the token, and the host is fine."""
    caplog.set_level(logging.WARNING)
    service.answer(match, fault)
    before = refusals()
    assert look() is None
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "counts as not superseded" in record.getMessage()
    assert "token in" not in record.getMessage()
    assert refusals() == before


def test_a_host_that_refuses_is_not_taken_for_one_that_is_down(look: Look, service: Gitlab) -> None:
    """Or other merge requests would have to wait for it, and an alert would say so."""
    service.members_only = {FORK}
    for _ in range(5):
        assert look() is None
    host = service.url.partition("//")[2]
    labels = {"dependency": "gitlab", "host": host}
    assert REGISTRY.get_sample_value("cki_notifier_connected", labels) == 1


@pytest.mark.parametrize(
    "fault",
    [NoBackend(), NoBackend(b""), Status(429), Status(500), Status(503), Reset(), Hang(60), Html()],
)
@pytest.mark.parametrize("match", ["/77/", "/2/"])
def test_an_outage_is_waited_for(look: Look, service: Gitlab, match: str, fault: Fault) -> None:
    """A retry may succeed, because a proxy's 404 says nothing about pipelines."""
    service.answer(match, fault)
    with pytest.raises(Unavailable, match=r"^gitlab: "):
        look(seconds=0.5)


@pytest.mark.parametrize("projects", ["members_only", "private"])
@pytest.mark.parametrize("project", [FORK, CKI])
def test_projects_of_others_are_unknown(
    look: Look, service: Gitlab, projects: str, project: str
) -> None:
    """As GitLab refuses them: 403 for pipelines of members, 404 for private projects."""
    setattr(service, projects, {project})
    assert look() is None
    service.clear()


def test_the_list_has_another_name_in_newer_gitlabs(look: Look, service: Gitlab) -> None:
    """Found once, it is the name that is asked for first."""
    service.names = TRIGGER_JOBS_ALONE
    assert look(2) == look(1) == frozenset({1, 2})
    assert asked(service) == [BRIDGES, TRIGGER_JOBS, TRIGGER_JOBS]


def test_the_usual_name_is_found_again(look: Look, service: Gitlab) -> None:
    """A GitLab that was moved back costs one more request."""
    service.names = TRIGGER_JOBS_ALONE
    look(2)
    service.names = frozenset({"bridges"})
    assert look(2) == look(2) == frozenset({1, 2})
    assert asked(service)[2:] == [TRIGGER_JOBS, BRIDGES, BRIDGES]


def test_where_both_names_are_good_the_usual_one_is_asked(look: Look, service: Gitlab) -> None:
    """One request is enough."""
    service.names = BOTH_NAMES
    look(2)
    assert asked(service) == [BRIDGES]


def test_a_pipeline_nobody_knows_says_nothing_of_the_name(look: Look, service: Gitlab) -> None:
    """Both get a request, and the next one starts as before."""
    service.private = {FORK}
    assert look() is None
    service.private = set()
    assert look(2) == frozenset({1, 2})
    assert asked(service) == [BRIDGES, TRIGGER_JOBS, BRIDGES]


def test_the_names_of_many_hosts_are_not_kept(
    http: HTTP, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many names of hosts do not fill the memory."""
    monkeypatch.setattr("cki_notifier.sources.gitlab._MOST_REMEMBERED", 2)
    service, host = services.gitlab, services.gitlab.url.partition("//")[2]
    service.names = TRIGGER_JOBS_ALONE
    service.token = None
    gitlab = GitLab(http, {f"{host}{path}": Secret("x") for path in ("/a", "/b", "/c")})
    for path, requests in (("/a", 2), ("/b", 2), ("/a", 1), ("/c", 2), ("/a", 2)):
        service.path = path
        triggers(service, (PROJECT, 77), (CKI, 1))
        head = Pipeline(id=77, web_url=service.pipeline_url(PROJECT, 77))
        ids = gitlab.downstream_pipeline_ids(url_of(service), head, 1, Deadline(20))
        assert ids == frozenset({1})
        assert len(service.requests) == requests
        service.requests.clear()
