"""The doctor's findings about Jira: the daemon's own search decides, and the advice helps."""

from collections.abc import Callable

import pytest

from cki_notifier.configuration.secret import Secret
from cki_notifier.configuration.settings import JiraConfig
from cki_notifier.doctor import web
from cki_notifier.doctor.check import Finding, State, examine
from cki_notifier.doctor.jira import jira_check
from cki_notifier.sources.jira import JiraIssues
from cki_notifier.sources.transfer import Transfers
from cki_notifier.workers.deadline import Deadline
from tools.stand_ins import Garbage, Jira, Redirect, Services, Status
from tools.stand_ins.jira import SITE, Kind

#: Only a failing test takes as long, in seconds.
PATIENCE = 60.0
LINK = "https://x.example/browse/RHEL-1"
EMAIL = "cki@example.com"
#: To a Jira at an address, with an email where one is set.
Look = Callable[[JiraConfig], Finding]
Finds = Callable[[JiraConfig], bool]


@pytest.fixture
def jira(services: Services) -> Jira:
    """A Jira that takes a token. The test sets its kind."""
    services.jira.token, services.jira.email = "jira-token", EMAIL
    return services.jira


@pytest.fixture
def look(transfers: Transfers) -> Look:
    """Return the doctor's finding about Jira."""

    def look(config: JiraConfig) -> Finding:
        return examine([jira_check(transfers, config)], PATIENCE)[0]

    return look


def config(url: str, email: str | None = None, token: str = "") -> JiraConfig:
    """Return a configuration, with the right token unless there is another."""
    return JiraConfig(url=url, token=Secret(token or "jira-token"), email=email)


@pytest.fixture
def finds(transfers: Transfers) -> Finds:
    """Tell whether the daemon gets an answer."""

    def finds(config: JiraConfig) -> bool:
        return JiraIssues(transfers, config, 20).find([LINK], Deadline(30)) is not None

    return finds


#: Each kind, with or without an email address, and the advice where it can't work.
CONFIGURATIONS = [
    (Kind.CLOUD, EMAIL, ""),
    (Kind.CLOUD, None, f"this is Jira Cloud: set JIRA_SERVER to {SITE}, JIRA_TOKEN_AUTH to an API"),
    (Kind.GATEWAY, None, ""),
    (Kind.GATEWAY, EMAIL, "renew the token in JIRA_TOKEN_AUTH"),
    (Kind.DATA_CENTER, None, ""),
    (Kind.DATA_CENTER, EMAIL, "unset JIRA_EMAIL: this is a Jira DataCenter"),
    (Kind.SERVER, None, ""),
    (Kind.SERVER, EMAIL, "unset JIRA_EMAIL: this is a Jira Server"),
]


@pytest.mark.parametrize("names", [True, False])
@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_ok_means_that_the_daemon_finds_issues(
    look: Look,
    finds: Finds,
    jira: Jira,
    configuration: tuple[Kind, str | None, str],
    *,
    names: bool,
) -> None:
    """Any other state means that the daemon finds none; then the advice helps."""
    kind, email, advice = configuration
    jira.kind, jira.names_unknown_keys = kind, names
    how = config(jira.address, email)
    row = look(how)
    assert (row.state == State.OK) == (not advice) == finds(how)
    assert row.advice.startswith(advice)
    if not advice:
        text = "answers the search and accepts the token of CKI Bot; answered within"
        assert row.text.startswith(text)


def test_a_cloud_that_names_no_address_is_one_all_the_same(look: Look, jira: Jira) -> None:
    """Its ``baseUrl`` may be any text."""
    jira.kind = Kind.CLOUD
    jira.answer("/serverInfo", Garbage(b'{"deploymentType": "Cloud", "baseUrl": "http://["}'))
    advice = look(config(jira.address)).advice
    assert advice.startswith("this is Jira Cloud: set JIRA_SERVER to https://NAME.atlassian.net")


@pytest.mark.parametrize("email", [None, EMAIL])
def test_a_token_that_is_wrong_is_to_be_renewed(look: Look, jira: Jira, email: str | None) -> None:
    """In the variable that holds it."""
    jira.kind = Kind.CLOUD if email else Kind.DATA_CENTER
    row = look(config(jira.address, email, "wrong"))
    assert row.text.startswith("the token is refused (401)")
    assert row.advice.startswith("renew the token in JIRA_TOKEN_AUTH")


@pytest.mark.parametrize("kind", list(Kind))
def test_a_jira_that_is_not_for_everybody_asks_for_a_token(
    look: Look, jira: Jira, kind: Kind
) -> None:
    """The row does not call a missing token a refused one."""
    jira.kind = kind
    row = look(JiraConfig(url=jira.address, token=None))
    assert row.text.startswith("Jira requires a token (401)")
    assert "JIRA_TOKEN_AUTH" in row.advice
    assert ("JIRA_EMAIL" in row.advice) == (kind == Kind.CLOUD)


def test_a_data_center_that_became_a_cloud_is_told(
    look: Look, jira: Jira, services: Services
) -> None:
    """The old URL redirects to the new one, which gets no token."""
    jira.kind = Kind.CLOUD
    services.warehouse.answer("", Redirect(f"{SITE}/rest/api/2/search"))
    row = look(config(services.warehouse.url))
    assert f"redirects to {SITE}, where cki-notifier sends no token" in row.text
    assert row.advice.startswith(f"this is Jira Cloud: set JIRA_SERVER to {SITE}")
    assert "JIRA_EMAIL to the email" in row.advice


def test_a_search_that_is_answered_as_for_anybody_is_not_fine(look: Look, jira: Jira) -> None:
    """A site that takes a wrong token for none shows public issues alone."""
    jira.answer("/search", Status(200, b'{"issues": [], "isLast": true}'))
    jira.kind = Kind.CLOUD
    row = look(config(jira.address, EMAIL, "wrong"))
    assert row.state == State.FAILED
    assert row.text == "the token is refused (401): searches and messages have public issues only"


@pytest.mark.parametrize(("slow", "state"), [(5.0, State.OK), (0.0, State.WARNING)])
def test_a_token_may_be_for_the_search_alone(
    look: Look, jira: Jira, monkeypatch: pytest.MonkeyPatch, slow: float, state: State
) -> None:
    """It needs no scope that tells whose it is; an answer that took long is a warning still."""
    monkeypatch.setattr(web, "_SLOW_SECONDS", slow)
    jira.kind = Kind.CLOUD
    jira.answer("/myself", Status(403, b"{}"))
    row = look(config(jira.address, EMAIL))
    assert row.state == state
    assert "Jira does not name the owner of the token" in row.text


@pytest.mark.parametrize("kind", list(Kind))
def test_the_request_is_the_daemons_own(look: Look, finds: Finds, jira: Jira, kind: Kind) -> None:
    """To the letter: path, query and credentials."""
    jira.kind = kind
    how = config(jira.address, EMAIL if kind == Kind.CLOUD else None)
    finds(how)
    daemons = [(it.target, it.headers["authorization"]) for it in jira.requests]
    jira.requests.clear()
    look(how)
    doctors = [(it.target, it.headers["authorization"]) for it in jira.requests]
    searches = [it for it in daemons if "/search" in it[0]]
    assert searches
    assert doctors[: len(searches)] == searches
