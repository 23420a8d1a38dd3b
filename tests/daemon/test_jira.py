"""Jira as a whole: a dry run shows the issues of each kind of Jira, or why there are none."""

import json
import subprocess
import sys
from collections import deque

import pytest

from tools.demo.scenario import scenario
from tools.notifier import complete
from tools.stand_ins import Services
from tools.stand_ins.jira import Kind

CHECKOUT, EMAIL = "redhat:2167003491", "cki@example.com"


@pytest.fixture
def jira(services: Services) -> Services:
    """The demo's services, and a Jira that takes a token."""
    deque(scenario(services), maxlen=0)
    services.jira.token, services.jira.email = "jira-token", EMAIL
    return services


def dry_run(services: Services, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command line to its end, with a configuration of Jira."""
    words = ["--checkout-id", CHECKOUT, "--status", "ready_to_report", "--dry-run", "--json"]
    environ = {
        "DATAWAREHOUSE_URL": services.warehouse.url,
        "DATAWAREHOUSE_TOKEN": services.warehouse.token,
        "JIRA_SERVER": services.jira.address,
        "JIRA_TOKEN_AUTH": "jira-token",
        **variables,
    }
    return subprocess.run(
        [sys.executable, "-m", "cki_notifier", *words],
        env=complete(environ),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("kind", list(Kind))
def test_a_dry_run_tells_of_each_kinds_issues(jira: Services, kind: Kind) -> None:
    """The message is the same for each kind of Jira."""
    jira.jira.kind = kind
    result = dry_run(jira, **({"JIRA_EMAIL": EMAIL} if kind == Kind.CLOUD else {}))
    assert result.returncode == 0, result.stderr
    merge_request = json.loads(result.stdout)["message"]["merge_request"]
    (issue,) = merge_request["jira_issues"]
    assert issue["key"] == "RHEL-61187"
    assert [issue["url"]] == merge_request["jira"]
    assert issue["summary"] == "ice: link flaps after resume"


def test_a_dry_run_says_what_to_do_about_a_refusal(jira: Services) -> None:
    """The message is there all the same."""
    jira.jira.kind = Kind.CLOUD
    result = dry_run(jira)
    assert result.returncode == 0
    assert "jira_issues" not in json.loads(result.stdout)["message"]["merge_request"]
    assert "it answers 403" in result.stderr
    assert "check JIRA_TOKEN_AUTH and JIRA_EMAIL" in result.stderr


def test_a_site_without_an_e_mail_is_a_fault(jira: Services) -> None:
    """Before anything is asked."""
    result = dry_run(jira, JIRA_SERVER="https://redhat.atlassian.net")
    assert result.returncode == 2
    assert "JIRA_EMAIL: is not set" in result.stderr
    assert jira.jira.requests == []
