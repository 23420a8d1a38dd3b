"""A request to a service carries only the credentials configured for that service."""

import logging
from pathlib import Path

import pytest

from cki_notifier.configuration.certificates import certificate_authorities
from cki_notifier.configuration.secret import Secret
from cki_notifier.configuration.settings import JiraConfig
from cki_notifier.sources.http import HTTP, Server, whole
from cki_notifier.sources.jira import JiraIssues
from cki_notifier.sources.transfer import Transfers
from cki_notifier.workers.deadline import Deadline
from tools.stand_ins import Fault, Garbage, Html, Redirect, Services, Status

LINKS = ["https://issues.example.com/browse/RHEL-1"]


@pytest.fixture
def netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home directory with a password for every host, which no request may carry."""
    file = tmp_path / ".netrc"
    file.write_text("machine 127.0.0.1 login me password hush\ndefault login me password hush\n")
    file.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(file))


def look_up(transfers: Transfers, url: str, token: Secret | None = None) -> None:
    """Look an issue up in Jira, and ignore the result."""
    JiraIssues(transfers, JiraConfig(url=url, token=token), 30).find(LINKS, Deadline(30))


@pytest.mark.usefixtures("netrc")
@pytest.mark.parametrize("token", [None, Secret("jira-token")])
def test_jira_gets_no_password_of_the_home_directory(
    transfers: Transfers, services: Services, token: Secret | None
) -> None:
    """Neither read anonymously, nor in the place of the token; nobody else is asked."""
    services.jira.answer("", Redirect("/moved"), times=1)
    services.jira.answer("/moved", Redirect(f"{services.gitlab.url}/elsewhere"))
    look_up(transfers, services.jira.url, token)
    sent = [seen.headers.get("authorization") for seen in services.jira.requests]
    assert sent == ([f"Bearer {token.reveal()}"] * 2 if token else [None] * 2)
    assert services.gitlab.requests == []


@pytest.mark.usefixtures("netrc")
def test_no_other_service_gets_one(services: Services) -> None:
    """The same holds for those that are read with libcurl."""
    server = Server("gitlab", services.gitlab.url, [], "GITLAB_TOKENS")
    transfers = Transfers(certificate_authorities())
    services.gitlab.answer("", Status(200, b"{}"))
    HTTP(transfers).get(server, "/x", whole(dict), Deadline(30)).result()
    transfers.close()
    (seen,) = services.gitlab.requests
    assert "authorization" not in seen.headers


def test_no_cookie_is_kept(transfers: Transfers, services: Services) -> None:
    """The daemon drops cookies, so that no service gets those of another."""
    cookie = {"Set-Cookie": "session=hush; Path=/"}
    services.jira.answer("/search", Status(200, b'{"issues": []}', cookie))
    services.gitlab.answer("", Status(200, b"{}", cookie))
    jira = JiraIssues(transfers, JiraConfig(url=services.jira.url, token=None), 30)
    server = Server("gitlab", services.gitlab.url, [], "GITLAB_TOKENS")
    http = HTTP(transfers)
    for _ in range(2):
        assert jira.find(LINKS, Deadline(30)) == ()
        http.get(server, "/x", whole(dict), Deadline(30)).result()
    seen = [*services.jira.requests, *services.gitlab.requests]
    assert len(seen) == 6
    assert not [it for it in seen if "cookie" in it.headers]


def test_no_address_but_those_of_http_is_read(tmp_path: Path) -> None:
    """No file, and no other protocol, even if an address slipped through all checks."""
    secret = tmp_path / "secret"
    secret.write_text("hush")
    transfers = Transfers(certificate_authorities())
    for url in (f"file://{secret}", "ftp://127.0.0.1/", "gopher://127.0.0.1/", "dict://127.0.0.1/"):
        error = transfers.start(url, [], 30).exception(30)
        assert "is disabled" in str(error)
    transfers.close()


@pytest.mark.parametrize(
    "fault",
    [
        Html(b"<html>BODY</html>"),
        Garbage(b"{BODY"),
        Garbage(b'{"issues": "BODY"}'),
        Status(400, b'{"errorMessages": ["BODY"]}'),
        Status(401, b"BODY", {"X-Reason": "BODY"}),
        Status(429, b"BODY", {"Retry-After": "1"}),
        Status(503, b"BODY"),
    ],
    ids=repr,
)
def test_nobody_logs_what_jira_answered(
    transfers: Transfers, services: Services, caplog: pytest.LogCaptureFixture, fault: Fault
) -> None:
    """At any level that is heard; we say what went wrong, without the body."""
    caplog.set_level(logging.DEBUG)
    services.jira.answer("", fault)
    look_up(transfers, services.jira.url, Secret("hush"))
    assert "the message goes without RHEL-1" in caplog.text
    assert "BODY" not in caplog.text
    assert "hush" not in caplog.text
