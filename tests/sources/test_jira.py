"""Jira: the issues that a merge request's trailers lead to."""

import json

import msgspec
import pytest

from cki_notifier.configuration.settings import JiraConfig
from cki_notifier.notification.models import JiraIssue
from cki_notifier.sources.jira import JiraIssues
from cki_notifier.sources.transfer import Transfers
from cki_notifier.workers.deadline import Deadline
from tests.sources.reading import LINKS, Find, failed_look_ups
from tools.stand_ins import Garbage, Jira, documents

pytestmark = pytest.mark.usefixtures("issues")


def test_issues_come_in_the_order_of_their_links(find: Find, issues: Jira) -> None:
    """All fields of an issue are there, with the link of the trailer."""
    found = find(*LINKS)
    assert found is not None
    assert [issue.key for issue in found] == ["RHEL-2", "RHEL-1", "RHEL-3"]
    assert found[0] == JiraIssue(
        key="RHEL-2",
        url="https://redhat.atlassian.net/browse/RHEL-2",
        summary="issue 2",
        status="In Progress",
        priority="Major",
        components=("kernel / Networking",),
        fix_versions=("rhel-9.6",),
        labels=("kernel",),
    )
    assert len(issues.requests) == 1


def test_all_issues_are_asked_for_in_one_query(find: Find, issues: Jira) -> None:
    """By their keys, unvalidated, with the fields that are told and no more, and with the token."""
    find(*LINKS)
    [seen] = issues.requests
    assert (seen.method, seen.path) == ("GET", "/rest/api/2/search")
    assert seen.query["jql"] == ["key in (RHEL-1, RHEL-2, RHEL-3)"]
    assert seen.first("validateQuery").lower() == "false"
    assert seen.first("maxResults") == "3"
    assert ",".join(seen.query["fields"]).split(",") == [
        "summary",
        "status",
        "priority",
        "components",
        "fixVersions",
        "labels",
    ]
    assert seen.headers["authorization"] == "Bearer jira-token"


def test_an_unknown_key_does_not_cost_the_others(find: Find, issues: Jira) -> None:
    """It is left out without a failure, after one more request, as it may have moved."""
    before = failed_look_ups()
    found = find("https://redhat.atlassian.net/browse/RHEL-9", *LINKS[:1])
    assert found is not None
    assert [issue.key for issue in found] == ["RHEL-2"]
    assert find("https://redhat.atlassian.net/browse/RHEL-9") == ()
    assert failed_look_ups() == before
    searched, asked = "/rest/api/2/search", "/rest/api/2/issue/RHEL-9"
    assert [seen.path for seen in issues.requests] == [searched, asked] * 2


def test_links_may_be_written_differently(find: Find) -> None:
    """A key in lower case, twice, or behind a path is the same; the link stays as it was."""
    links = (
        "https://redhat.atlassian.net/browse/rhel-1",
        "https://redhat.atlassian.net/jira/browse/RHEL-1/?x=y#z",
        "http://other.example/browse/RHEL-2",
    )
    found = find(*links)
    assert found is not None
    assert [(issue.key, issue.url) for issue in found] == list(
        zip(["RHEL-1", "RHEL-1", "RHEL-2"], links, strict=True)
    )


@pytest.mark.parametrize(
    "links",
    [
        (),
        ("https://redhat.atlassian.net/RHEL-1",),
        ("https://redhat.atlassian.net/browse/RHEL",),
        ("https://redhat.atlassian.net/browse/RHEL-1)%20or%20key%20in%20(X-1",),
        ("https://[::1/browse/RHEL-1",),
    ],
)
def test_without_a_key_nothing_is_asked(find: Find, issues: Jira, links: tuple[str, ...]) -> None:
    """Only what has the form of a key gets into the query."""
    assert find(*links) is None
    assert issues.requests == []


@pytest.mark.parametrize("value", [None, documents.MISSING])
def test_what_an_issue_lacks_is_empty(find: Find, issues: Jira, value: object) -> None:
    """Consumers index without checking."""
    names = ("summary", "status", "priority", "components", "fixVersions", "labels")
    issues.add_issue(documents.jira_issue("RHEL-1", **dict.fromkeys(names, value)))
    assert find(LINKS[1]) == (
        JiraIssue(
            key="RHEL-1",
            url=LINKS[1],
            summary="",
            status="",
            priority="",
            components=(),
            fix_versions=(),
            labels=(),
        ),
    )


def test_a_part_without_a_name_is_left_out(find: Find, issues: Jira) -> None:
    """A list of names has names only."""
    issue = documents.jira_issue(
        "RHEL-1", components=[{"name": None}, {"name": "a"}, {}], status={}, priority={"name": None}
    )
    issues.add_issue(issue)
    found = find(LINKS[1])
    assert found is not None
    assert (found[0].components, found[0].status, found[0].priority) == (("a",), "", "")


def test_without_a_token_jira_is_read_anonymously(transfers: Transfers, issues: Jira) -> None:
    """A public Jira needs none."""
    issues.token = None
    jira = JiraIssues(transfers, JiraConfig(url=issues.url, token=None))
    assert len(jira.find(LINKS, Deadline(20)) or ()) == 3
    assert "authorization" not in issues.requests[0].headers


@pytest.mark.parametrize("text", ["\ud800", "\ude00\ud83d"])
def test_half_a_character_is_a_replacement_character(find: Find, issues: Jira, text: str) -> None:
    """Python's decoder lets it in, but no message can hold it; whole characters stay."""
    issue = documents.jira_issue(
        "RHEL-1",
        summary=f"{text}😀\\ud800",
        status={"name": text},
        priority={"name": text},
        components=[{"name": text}],
        fixVersions=[{"name": text}],
        labels=[text],
    )
    answer = {"issues": [issue], "warningMessages": [text]}
    issues.answer("", Garbage(json.dumps(answer).encode()))
    found = find(LINKS[1])
    assert found is not None
    mended = "\ufffd" * len(text)
    assert msgspec.json.decode(msgspec.json.encode(found[0]), type=JiraIssue) == JiraIssue(
        key="RHEL-1",
        url=LINKS[1],
        summary=f"{mended}😀\\ud800",
        status=mended,
        priority=mended,
        components=(mended,),
        fix_versions=(mended,),
        labels=(mended,),
    )
