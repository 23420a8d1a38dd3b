"""Jira: no failure of it delays a message for long."""

import json
import logging
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from cki_notifier.configuration.settings import JiraConfig
from cki_notifier.sources.jira import JiraIssues
from cki_notifier.sources.transfer import Transfers
from cki_notifier.workers.deadline import Deadline
from tests.sources.reading import LINKS, Find, failed_look_ups
from tools.processes import free_port
from tools.stand_ins import (
    Drip,
    Fault,
    Garbage,
    Hang,
    Html,
    Jira,
    Redirect,
    RedirectLoop,
    Reset,
    Services,
    Status,
    Truncated,
    Warehouse,
)


def answer(issues: object) -> Status:
    """Return a search's answer with any value in place of its issues."""
    return Garbage(json.dumps({"total": 1, "issues": issues}).encode())


@pytest.mark.parametrize(
    "fault",
    [
        *(Status(code) for code in (400, 401, 403, 404, 429, 500, 503, 204)),
        Status(500, b'{"errorMessages": ["no"]}'),
        Status(400, b"7"),
        Status(503, headers={"Retry-After": "86400"}),
        Status(200, b"x", {"Content-Encoding": "gzip"}),
        Html(),
        Truncated(),
        Reset(),
        Reset(0),
        Redirect("http://[::1/"),
        Redirect("ftp://127.0.0.1/"),
        Garbage(b""),
        Garbage(b"{"),
        Garbage(b"[]"),
        Garbage(b"null"),
        Garbage(b'"text"'),
        Garbage(b"\xff\xfe"),
        Garbage(b"[" * 100_000),
        Garbage(b"{}"),
        answer(None),
        answer({"key": "RHEL-1"}),
        answer([7]),
        answer([{"fields": {}}]),
        answer([{"key": 1}]),
        answer([{"key": "RHEL-1", "fields": None}]),
        answer([{"key": "RHEL-1", "fields": {"summary": 7}}]),
        answer([{"key": "RHEL-1", "fields": {"labels": "x"}}]),
        answer([{"key": "RHEL-1", "fields": {"components": [None]}}]),
        answer([{"key": "RHEL-1", "fields": {"status": "Open"}}]),
        answer([{"key": "RHEL-1", "fields": {"fixVersions": [{"name": 1}]}}]),
    ],
    ids=lambda fault: repr(fault)[:80],
)
def test_a_bad_answer_costs_the_extra_alone(
    find: Find, issues: Jira, caplog: pytest.LogCaptureFixture, fault: Fault
) -> None:
    """One line says so, a metric too, at once, and nothing is raised.

    Where Jira is down or refuses us, that is the line; which message goes without is INFO then.
    """
    caplog.set_level(logging.INFO)
    issues.answer("", fault)
    before = failed_look_ups()
    assert find(*LINKS) is None
    assert failed_look_ups() == before + 1
    [record] = [it for it in caplog.records if it.name == "cki_notifier.sources.jira"]
    assert record.message.startswith("jira: ")
    [loud] = [it for it in caplog.records if it.levelno >= logging.WARNING]
    assert loud.message.startswith("jira: ")
    assert "no answer within" not in record.message
    assert "the message goes without RHEL-2, RHEL-1, RHEL-3" in record.message
    assert "jira-token" not in caplog.text


def test_a_jira_that_is_down_costs_the_extra_alone(find: Find, issues: Jira) -> None:
    """And when it is back, the next message has the extra again."""
    before = failed_look_ups()
    issues.down()
    assert find(*LINKS) is None
    assert failed_look_ups() == before + 1
    issues.up()
    assert len(find(*LINKS) or ()) == 3


@pytest.mark.parametrize("fault", [Hang(30), Drip(0.01), RedirectLoop()], ids=repr)
def test_a_slow_jira_is_not_waited_for(
    find: Find, issues: Jira, caplog: pytest.LogCaptureFixture, fault: Fault
) -> None:
    """After its time the message goes without, however slowly something keeps coming."""
    caplog.set_level(logging.INFO)
    issues.answer("", fault)
    before, started = failed_look_ups(), time.monotonic()
    assert find(*LINKS) is None
    assert time.monotonic() - started < 5
    assert failed_look_ups() == before + 1
    assert "the message goes without" in caplog.text


def test_a_jira_that_drips_for_ever_is_down(
    find: Find, issues: Jira, caplog: pytest.LogCaptureFixture
) -> None:
    """Of the next messages one waits for it."""
    caplog.set_level(logging.INFO)
    issues.answer("", Drip(0.01))
    for count in (1, 5):
        with ThreadPoolExecutor() as threads:
            assert [it.result() for it in [threads.submit(find, *LINKS) for _ in range(count)]] == [
                None
            ] * count
    assert caplog.text.count("it is down, and retried about once a second") == 4


def test_the_notifications_deadline_ends_the_wait_too(jira: JiraIssues, issues: Jira) -> None:
    """The deadline may be shorter than Jira's timeout."""
    issues.answer("", Hang(30))
    started = time.monotonic()
    assert jira.find(LINKS, Deadline(1)) is None
    assert time.monotonic() - started < 5
    assert not jira.gate.is_down


def test_a_redirect_on_the_same_server_is_followed(find: Find, issues: Jira) -> None:
    """With the token, which Jira asks for."""
    issues.answer("/search", Redirect("/rest/api/2/issue/RHEL-2"), times=1)
    issues.answer("/issue/RHEL-2", Garbage(b'{"issues": [{"key": "RHEL-2"}]}'), times=1)
    assert [it.key for it in find(LINKS[0]) or ()] == ["RHEL-2"]
    assert [seen.headers["authorization"] for seen in issues.requests] == ["Bearer jira-token"] * 2


def test_a_redirect_s_address_is_not_logged(
    find: Find, issues: Jira, caplog: pytest.LogCaptureFixture
) -> None:
    """Jira chooses the address. The log says only why the redirect failed."""
    caplog.set_level(logging.INFO)
    port = free_port()
    issues.answer("", Redirect(f"http://127.0.0.1:{port}/made-up-path"))
    assert find(*LINKS) is None
    assert f"JIRA_SERVER redirects to http://127.0.0.1:{port}, which gets no token" in caplog.text
    assert "made-up-path" not in caplog.text


def test_a_redirect_elsewhere_gets_no_token(find: Find, issues: Jira, elsewhere: Warehouse) -> None:
    """It is not followed, and the other server gets no request."""
    issues.answer("", Redirect(f"{elsewhere.url}/login"))
    assert find(*LINKS) is None
    assert elsewhere.requests == []


def test_a_jira_that_is_down_at_the_start_does_not_matter(
    transfers: Transfers, services: Services
) -> None:
    """Nothing is asked of it before there is an issue to look up."""
    services.jira.down()
    config = JiraConfig(url=services.jira.url, token=None)
    assert JiraIssues(transfers, config).find((), Deadline(20)) is None
    services.jira.up()
    assert services.jira.requests == []
