"""Each kind of Jira: asked as it has to be, by what its documentation says it answers."""

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import pytest

from cki_notifier.configuration.secret import Secret
from cki_notifier.configuration.settings import JiraConfig
from cki_notifier.sources.jira import JiraIssues
from cki_notifier.sources.transfer import Transfers
from cki_notifier.telemetry import metrics
from cki_notifier.workers import gate
from cki_notifier.workers.deadline import Deadline
from tests.sources.reading import LINKS, failed_look_ups
from tools.stand_ins import Garbage, Hang, Jira, Redirect, Services, Status, documents
from tools.stand_ins.jira import Kind

EMAIL = "cki@example.com"
KINDS = list(Kind)


class Client(Protocol):
    """Makes the daemon's own client, with a timeout in seconds."""

    def __call__(self, config: JiraConfig, seconds: float = 20) -> JiraIssues:
        """Return it."""


def config(issues: Jira, *, email: str | None = "", token: str = "") -> JiraConfig:
    """Return how a Jira is configured as it has to be, or otherwise."""
    if email == "":
        email = EMAIL if issues.kind == Kind.CLOUD else None
    return JiraConfig(url=issues.address, token=Secret(token or "jira-token"), email=email)


@pytest.fixture
def client(transfers: Transfers) -> Client:
    """Return the daemon's own client."""

    def client(config: JiraConfig, seconds: float = 20) -> JiraIssues:
        return JiraIssues(transfers, config, seconds)

    return client


def find(jira: JiraIssues, *links: str) -> list[tuple[str, str]] | None:
    """Return the keys of the issues that are found, and their links."""
    found = jira.find(links, Deadline(30))
    return None if found is None else [(issue.key, issue.url) for issue in found]


@pytest.fixture(params=KINDS, ids=lambda kind: kind.value)
def issues(request: pytest.FixtureRequest, services: Services) -> Jira:
    """A Jira of each kind with three issues."""
    jira = services.jira
    jira.kind, jira.email = request.param, EMAIL
    for number in (1, 2, 3):
        jira.add_issue(documents.jira_issue(f"RHEL-{number}", summary=f"issue {number}"))
    return jira


def test_each_kind_is_asked_as_it_has_to_be(client: Client, issues: Jira) -> None:
    """Nothing is asked at the start; the search and the credentials are those of the kind."""
    jira = client(config(issues))
    assert issues.requests == []
    for _ in range(2):
        assert find(jira, *LINKS) == [
            (f"RHEL-{number}", link) for number, link in zip((2, 1, 3), LINKS, strict=True)
        ]
    prefix = issues.address.removeprefix(issues.url)
    search, new = f"{prefix}/rest/api/2/search", f"{prefix}/rest/api/2/search/jql"
    paths = [seen.path for seen in issues.requests]
    assert (
        paths
        == {
            Kind.SERVER: [search, search],
            Kind.DATA_CENTER: [search, search],
            Kind.CLOUD: [new, new],
            Kind.GATEWAY: [
                search,
                new,
                new,
            ],  # at an address that is not the known one: learnt once
        }[issues.kind]
    )
    scheme = "Basic" if issues.kind == Kind.CLOUD else "Bearer"
    assert {seen.headers["authorization"].split()[0] for seen in issues.requests} == {scheme}


@pytest.mark.parametrize("names", [True, False])
def test_one_unknown_key_does_not_cost_the_others(
    client: Client, issues: Jira, *, names: bool
) -> None:
    """Whether the Cloud refuses the query and names it, or leaves it out."""
    issues.names_unknown_keys = names
    jira, before = client(config(issues)), failed_look_ups()
    links = [f"https://x.example/browse/RHEL-{number}" for number in (9, 1, 8, 3)]
    assert find(jira, *links) == [("RHEL-1", links[1]), ("RHEL-3", links[3])]
    assert find(jira, links[0]) == []
    assert failed_look_ups() == before


def test_a_query_that_is_refused_without_a_name_is_asked_one_by_one(
    client: Client, issues: Jira
) -> None:
    """No more than a few of them."""
    text = b'{"errorMessages": ["Issue does not exist or you do not have permission to see it."]}'
    issues.answer("/search", Status(400, text))
    links = [f"https://x.example/browse/RHEL-{number}" for number in (9, 1)]
    assert find(client(config(issues)), *links) == [("RHEL-1", links[1])]


def test_a_token_that_no_request_is_good_for_is_refused(
    client: Client, issues: Jira, caplog: pytest.LogCaptureFixture
) -> None:
    """A refused query says nothing about hidden issues."""
    issues.answer("/search", Status(400, b'{"errorMessages": ["The field can not be viewed."]}'))
    issues.answer("/issue/", Status(401))
    assert find(client(config(issues)), *LINKS) is None
    assert "it answers 401" in caplog.text


def test_nobody_is_asked_for_what_is_late(client: Client, issues: Jira) -> None:
    """After the message's timeout, its other issues get no request."""
    issues.names_unknown_keys = False
    jira = client(config(issues), 0.5)
    issues.latency = 0.3
    find(jira, *(f"https://x.example/browse/RHEL-{number}" for number in range(10, 18)))
    assert len([seen for seen in issues.requests if "/issue/" in seen.path]) < 8


def test_a_moved_issue_is_found_for_its_link(client: Client, issues: Jira) -> None:
    """Under its new key, with the link as it was; with one query where that is clear."""
    issues.move_issue("RHEL-1", "OTHER-7")
    assert find(client(config(issues)), *LINKS) == [
        ("RHEL-2", LINKS[0]),
        ("OTHER-7", LINKS[1]),
        ("RHEL-3", LINKS[2]),
    ]
    assert not [seen for seen in issues.requests if "/issue/" in seen.path]


@pytest.mark.parametrize("names", [True, False])
def test_several_moved_issues_are_told_apart(client: Client, issues: Jira, *, names: bool) -> None:
    """And from an unknown one; also where a merge request names an issue by both its keys."""
    issues.names_unknown_keys = names
    issues.move_issue("RHEL-1", "A-7")
    issues.move_issue("RHEL-3", "B-2")
    links = ["https://x.example/browse/RHEL-9", "https://x.example/browse/b-2", *LINKS]
    assert find(client(config(issues)), *links) == [
        ("B-2", links[1]),
        ("RHEL-2", LINKS[0]),
        ("A-7", LINKS[1]),
        ("B-2", LINKS[2]),
    ]


@pytest.mark.parametrize("code", [401, 403, 404])
def test_an_issue_that_may_not_be_seen_is_left_out(client: Client, issues: Jira, code: int) -> None:
    """A Data Center refuses it in its own way; that is no word about the token."""
    issues.answer("/issue/", Status(code, b"{}"))
    jira, before, refusals = client(config(issues)), failed_look_ups(), refused()
    assert find(jira, "https://x.example/browse/RHEL-9", *LINKS[:1]) == [("RHEL-2", LINKS[0])]
    assert failed_look_ups() == before
    assert refused() == refusals  # nobody is alerted
    assert not jira.gate.is_down


@pytest.mark.parametrize("fault", [Status(503), Garbage(b"{"), Garbage(b"{}"), Hang(30)], ids=repr)
def test_what_is_found_is_sent_when_the_rest_fails(
    client: Client, issues: Jira, caplog: pytest.LogCaptureFixture, fault: Status
) -> None:
    """The warning names what is missing, and nothing else."""
    issues.answer("/issue/", fault)
    jira, before = client(config(issues), 1), failed_look_ups()
    assert find(jira, "https://x.example/browse/RHEL-9", *LINKS[:1]) == [("RHEL-2", LINKS[0])]
    assert failed_look_ups() == before + 1
    assert "the message goes without RHEL-9" in caplog.text
    assert "RHEL-2" not in caplog.text
    assert not jira.gate.is_down


def refused() -> float:
    """Return how many requests were refused as with a bad token, which alerts somebody."""
    name = "cki_notifier_request_seconds_count"
    return sum(
        metrics.REGISTRY.get_sample_value(name, {"service": "jira", "code": code}) or 0
        for code in ("401", "403")
    )


def wrong(issues: Jira) -> JiraConfig:
    """Return a configuration that this kind refuses."""
    if issues.kind == Kind.CLOUD:
        return config(issues, email=None)  # a bearer token at a site
    return config(issues, token="wrong")


def test_what_lasts_is_said_once(
    client: Client, issues: Jira, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what to do; it counts each time, and shows as a service that does not work."""
    monkeypatch.setattr(gate, "LONGEST_PROBE_SECONDS", 0.01)
    caplog.set_level(logging.DEBUG)
    jira, before = client(wrong(issues)), failed_look_ups()
    for _ in range(4):
        assert find(jira, *LINKS) is None
        time.sleep(0.02)
    said = [it for it in caplog.records if it.levelno >= logging.WARNING]
    assert [it.levelname for it in said] == ["ERROR"]
    code = 403 if issues.kind == Kind.CLOUD else 401
    assert f"it answers {code}" in said[0].message
    assert "check JIRA_TOKEN_AUTH and JIRA_EMAIL" in said[0].message
    assert failed_look_ups() == before + 4
    assert metrics.connected.states("jira")[""].trouble is not None
    assert "jira-token" not in caplog.text
    issues.token = None
    assert find(jira, *LINKS) is not None
    assert metrics.connected.states("jira")[""].trouble is None


def test_what_lasts_is_asked_for_rarely(client: Client, issues: Jira) -> None:
    """A wrong token is not sent once a second, which could lock the user out."""
    jira = client(wrong(issues))
    find(jira, *LINKS)
    asked = len(issues.requests)
    time.sleep(1.5)
    find(jira, *LINKS)
    assert len(issues.requests) == asked


def test_without_a_search_the_address_is_to_be_checked(
    client: Client, issues: Jira, caplog: pytest.LogCaptureFixture
) -> None:
    """A path that is not Jira's."""
    url = f"{issues.url}/no-jira"
    jira = client(JiraConfig(url=url, token=Secret("jira-token"), email=None))
    issues.token = None
    issues.kind = Kind.SERVER if issues.kind == Kind.GATEWAY else issues.kind
    assert find(jira, *LINKS) is None
    assert "it answers 404" in caplog.text
    assert "check JIRA_SERVER" in caplog.text


def test_an_address_that_leads_to_another_is_to_be_replaced(
    client: Client, issues: Jira, services: Services, caplog: pytest.LogCaptureFixture
) -> None:
    """As one of a Data Center that has become a Cloud does."""
    services.warehouse.answer("", Redirect(f"{issues.address}/rest/api/2/search/jql"))
    jira = client(JiraConfig(url=services.warehouse.url, token=Secret("jira-token"), email=None))
    assert find(jira, *LINKS) is None
    assert f"JIRA_SERVER redirects to {issues.url}, which gets no token" in caplog.text
    assert not [seen for seen in issues.requests if "authorization" in seen.headers]


def test_a_cloud_for_nothing_is_none_any_more(client: Client, services: Services) -> None:
    """A proxy that answers 410 once makes no Cloud of a Data Center."""
    services.jira.add_issue(documents.jira_issue("RHEL-2"))
    services.jira.answer("", Status(410), times=1)
    jira = client(config(services.jira))
    assert find(jira, LINKS[0]) is None
    services.jira.clear()
    jira.gate.passed()
    assert find(jira, LINKS[0]) == [("RHEL-2", LINKS[0])]


def test_many_at_once_learn_that_it_is_a_cloud(client: Client, services: Services) -> None:
    """Each of the first lookups may be the one that is logged."""
    services.jira.kind = Kind.GATEWAY
    services.jira.add_issue(documents.jira_issue("RHEL-2"))
    services.jira.latency = 0.05
    jira = client(config(services.jira))
    with ThreadPoolExecutor(10) as threads:
        found = list(threads.map(lambda _: find(jira, LINKS[0]), range(10)))
    assert [len(it or ()) for it in found] == [1] * 10
