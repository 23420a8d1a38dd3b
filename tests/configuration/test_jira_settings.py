"""Jira's three variables: which of them fit together, and what kind of Jira they lead to."""

import pytest

from cki_notifier.configuration.secret import Secret
from cki_notifier.configuration.settings import JiraConfig
from tests.factories.environment import environment, faults, read

SITE, GATEWAY = "https://redhat.atlassian.net", "https://api.atlassian.com/ex/jira/1-2"
OWN, EMAIL = "https://issues.redhat.com/jira", "cki@example.com"


@pytest.mark.parametrize(
    ("server", "email", "token", "is_cloud"),
    [
        (SITE, EMAIL, "t", True),
        (SITE + "/", None, None, True),  # public issues are for everybody
        (GATEWAY, None, "t", True),
        (GATEWAY, EMAIL, "t", True),  # tokens with scopes are taken there
        (OWN, EMAIL, "t", True),  # a Cloud behind a proxy
        (OWN, None, "t", False),
        (OWN, None, None, False),
        ("https://atlassian.net.example", None, "t", False),
    ],
)
def test_what_fits_is_taken(
    server: str, email: str | None, token: str | None, *, is_cloud: bool
) -> None:
    """Nothing is a fault but what can't work; a Cloud is known by its address or by the email."""
    jira = read(environment(JIRA_SERVER=server, JIRA_EMAIL=email, JIRA_TOKEN_AUTH=token)).jira
    assert jira == JiraConfig(
        url=server.rstrip("/"), token=Secret(token) if token else None, email=email
    )
    assert jira.is_cloud == is_cloud


@pytest.mark.parametrize(
    ("server", "email", "token", "expected"),
    [
        (None, EMAIL, "t", ["JIRA_SERVER: is not set, but JIRA_EMAIL is"]),
        (OWN, EMAIL, None, ["JIRA_TOKEN_AUTH: is not set, but JIRA_EMAIL is"]),
        (None, EMAIL, None, ["JIRA_SERVER: is not set", "JIRA_TOKEN_AUTH: is not set"]),
        (SITE, None, "t", [f"JIRA_EMAIL: is not set, but {SITE} is a site of Jira Cloud; set"]),
        ("https://REDHAT.atlassian.net", None, "t", ["JIRA_EMAIL: is not set"]),
        (SITE + "/jira", EMAIL, "t", ["JIRA_SERVER: has the path '/jira'"]),
        (SITE + "/browse/RHEL-1", None, None, ["JIRA_SERVER: has the path '/browse/RHEL-1'"]),
        ("https://api.atlassian.com", None, "t", ["JIRA_SERVER: names no site"]),
        (GATEWAY + "/rest/api/2", None, "t", ["JIRA_SERVER: names no site"]),
        (GATEWAY, None, None, ["JIRA_TOKEN_AUTH: is not set, but api.atlassian.com"]),
        (SITE, "cki", "t", ["JIRA_EMAIL: is not an email address"]),
        (SITE, "a:b@example.com", "t", ["JIRA_EMAIL: is not an email address"]),
        (SITE, "a@exämple.com", "t", ["JIRA_EMAIL: is not an email address"]),
        (SITE, "a@b@c", "t", ["JIRA_EMAIL: is not an email address"]),
        (
            SITE,
            "hush",
            "two\nlines",
            ["JIRA_EMAIL: is not an", "JIRA_TOKEN_AUTH: contains a"],
        ),
        (
            "redhat.atlassian.net",
            EMAIL,
            "t",
            ["JIRA_SERVER: 'redhat.atlassian.net' is not an"],
        ),
        (SITE, None, "two\nlines", ["JIRA_EMAIL: is not set", "JIRA_TOKEN_AUTH: contains a line"]),
    ],
)
def test_what_can_not_work_is_a_fault(
    server: str | None, email: str | None, token: str | None, expected: list[str]
) -> None:
    """All at once, each by the variable to change, none of them told twice, no secret shown."""
    environ = environment(JIRA_SERVER=server, JIRA_EMAIL=email, JIRA_TOKEN_AUTH=token)
    found = sorted(faults(environ))
    assert len(found) == len(expected)
    for fault, beginning in zip(found, sorted(expected), strict=True):
        assert fault.startswith(beginning)
        assert "hush" not in fault
