"""The doctor's findings about the services, with stand-ins: tokens, login pages, clocks."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest

from cki_notifier.configuration.settings import read_with_faults
from cki_notifier.doctor import services as doctor
from cki_notifier.doctor import web
from cki_notifier.doctor.check import Finding, examine
from cki_notifier.sources.transfer import Transfers
from tests.factories.environment import environment
from tools.stand_ins import (
    Dated,
    DripHeaders,
    Exchange,
    Fault,
    Garbage,
    Hang,
    Html,
    NoBackend,
    Redirect,
    Service,
    Services,
    Status,
    Warehouse,
    documents,
)

#: Only a failing test takes as long, in seconds.
PATIENCE = 60.0
#: For a service that says nothing, in seconds.
SHORT = 1.0
SERVICES = ("datawarehouse", "gitlab", "jira")
#: Where the token of each is to be renewed.
VARIABLES = {
    "datawarehouse": "DATAWAREHOUSE_TOKEN",
    "gitlab": "GITLAB_TOKENS for 127.0.0.1",
    "jira": "JIRA_TOKEN_AUTH",
}
Rows = dict[str, Finding]
Look = Callable[..., Rows]


@pytest.fixture
def services(services: Services) -> Services:
    """One of each service, each of which asks for a token."""
    services.gitlab.token = "gitlab-token"
    services.jira.token = "jira-token"
    return services


@pytest.fixture
def look(services: Services, transfers: Transfers) -> Look:
    """Ask all three services; return the findings by name, with GitLab's host left out."""
    host = urlsplit(services.gitlab.url).netloc
    usual = {
        "DATAWAREHOUSE_URL": services.warehouse.url,
        "DATAWAREHOUSE_TOKEN": services.warehouse.token,
        "GITLAB_TOKENS": f'{{"{host}": "TOKEN"}}',
        "TOKEN": "gitlab-token",
        "JIRA_SERVER": services.jira.url,
        "JIRA_TOKEN_AUTH": "jira-token",
    }

    def look(seconds: float = PATIENCE, **changes: str | None) -> Rows:
        config, faults = read_with_faults(environment(**(usual | changes)))
        found = examine(list(doctor.checks(transfers, config, faults)), seconds)
        return {it.name.replace(f" {host}", ""): it for it in found}

    return look


def stand_in(services: Services, name: str) -> Service:
    """Return a service by its name in the report."""
    return {
        "datawarehouse": services.warehouse,
        "gitlab": services.gitlab,
        "jira": services.jira,
    }[name]


def test_good_tokens_are_fine(look: Look, services: Services) -> None:
    """Each service is asked for next to nothing, with GET alone."""
    rows = look()
    assert {name: row.state for name, row in rows.items()} == {
        "datawarehouse": "ok",
        "datawarehouse clock": "skipped",
        "datawarehouse checkout": "skipped",
        "gitlab merge request": "skipped",
        "gitlab": "ok",
        "gitlab token": "ok",
        "gitlab clock": "skipped",
        "jira": "ok",
        "jira clock": "skipped",
    }
    assert rows["datawarehouse"].text.startswith("accepts the token; answered within ")
    assert rows["gitlab"].text.startswith("accepts the token of cki-bot;")
    assert rows["jira"].text.startswith("answers the search and accepts the token of CKI Bot;")
    asked = [it for name in SERVICES for it in stand_in(services, name).requests]
    assert {it.method for it in asked} == {"GET"}
    assert len(asked) == 5


@pytest.mark.parametrize("name", SERVICES)
def test_a_token_that_is_refused_is_to_be_renewed(
    look: Look, services: Services, name: str
) -> None:
    """The advice names the variable, the row shows no token; the others are fine."""
    services.warehouse.token = "new" if name == "datawarehouse" else services.warehouse.token
    services.gitlab.token = "new" if name == "gitlab" else services.gitlab.token
    services.jira.token = "new" if name == "jira" else services.jira.token
    rows = look(DATAWAREHOUSE_TOKEN="warehouse-token")
    assert [row.name.split()[0] for row in rows.values() if row.state == "failed"] == [name]
    assert rows[name].text.startswith("the token is refused (401)")
    assert f"renew the token in {VARIABLES[name]}" in rows[name].advice
    assert not [row for row in rows.values() if "-token" in row.text + row.advice]


@pytest.mark.parametrize("name", SERVICES)
@pytest.mark.parametrize(
    ("fault", "text"),
    [
        (Status(403, b'{"detail": "No."}'), "the token is refused (403);"),
        (Status(403), "the token is refused (403), or a proxy refuses the request"),
        (Status(404), "answers 404 to GET /"),
        (NoBackend(), "answers 404 without a JSON object to GET /"),
        (NoBackend(b"default backend - 404"), "perhaps a proxy answers"),
        (Status(503), "answers 503 to GET /"),
        (Html(), "answers without JSON, perhaps with a login page"),
        (Garbage(b""), "answers without JSON"),
        (Garbage(b'{"hello": 1}'), "answers with unexpected JSON"),
        (Garbage(b"[1]"), "answers with unexpected JSON"),
        (Garbage(b"{"), "answers with unexpected JSON"),
        (Redirect("https://sso.example/login?next=/"), "redirects to https://sso.example, where"),
        (Redirect("http://[sso"), "redirects to an invalid URL"),
        (Redirect("/api/again"), "redirects to http://127.0.0.1:"),
    ],
)
def test_an_improper_answer_is_told_from_a_proper_one(
    look: Look, services: Services, name: str, fault: Fault, text: str
) -> None:
    """The row says what came and what it means; the advice, where to look."""
    stand_in(services, name).answer("", fault)
    row = look()[name]
    assert row.state == "failed"
    assert text in row.text
    assert "until this works" in row.text
    assert row.advice


def test_a_redirect_on_the_same_server_is_followed(look: Look, services: Services) -> None:
    """As the daemon does, with the token."""
    services.warehouse.answer("?limit=1", Redirect("/api/1/kcidb/checkouts?limit=2"), times=1)
    assert look()["datawarehouse"].state == "ok"


def test_no_token_goes_to_another_server(
    look: Look, services: Services, elsewhere: Warehouse
) -> None:
    """A redirect to it is told, and nobody asks there."""
    services.warehouse.answer("", Redirect(f"{elsewhere.url}/api/1/kcidb/checkouts?limit=1"))
    assert f"redirects to {elsewhere.url}" in look()["datawarehouse"].text
    assert elsewhere.requests == []


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_that_is_down_is_told(look: Look, services: Services, name: str) -> None:
    """The row has its address and libcurl's words, the advice the variable."""
    service = stand_in(services, name)
    service.down()
    row = look()[name]
    assert row.state == "failed"
    assert row.text.startswith(f"no answer from {service.url}: Failed to connect to 127.0.0.1")
    assert VARIABLES[name].partition("_")[0] in row.advice


@pytest.mark.parametrize("name", SERVICES)
@pytest.mark.parametrize("fault", [Hang(PATIENCE), DripHeaders(5)])
def test_a_service_that_hangs_does_not_hold_up_the_report(
    look: Look, services: Services, name: str, fault: Fault
) -> None:
    """It is given the time there is, and no more; it need not be silent to hang."""
    stand_in(services, name).answer("", fault)
    rows = look(SHORT)
    assert rows[name].state == "failed"
    assert rows[name].text.startswith("no answer")


def test_a_slow_service_is_a_warning(
    look: Look, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It answers, but every notification waits for it."""
    monkeypatch.setattr(web, "_SLOW_SECONDS", 0.1)
    services.warehouse.latency = 0.2
    row = look()["datawarehouse"]
    assert row.state == "warning"
    assert row.text.startswith("accepts the token, but answered only after ")


@pytest.mark.parametrize(
    ("ahead", "state", "text"),
    [
        (0, "ok", "within a minute of this machine's clock"),
        (300, "warning", "s ahead of this machine's clock"),
        (-300, "warning", "s behind this machine's clock"),
        (-100_000_000, "warning", "s behind this machine's clock"),
    ],
)
@pytest.mark.parametrize("name", SERVICES)
def test_clocks_that_are_apart_are_a_warning(  # noqa: PLR0917  # one service, one offset
    look: Look, services: Services, name: str, ahead: int, state: str, text: str
) -> None:
    """By more than a minute; each service's own says it."""
    stand_in(services, name).answer("", Dated(ahead))
    row = look()[f"{name} clock"]
    assert row.state == state
    assert row.text.endswith(text)


def test_a_cached_answer_is_as_old_as_it_says(look: Look, services: Services) -> None:
    """An answer from a proxy's cache has the time at which the proxy stored it."""
    dated = (datetime.now(UTC) - timedelta(minutes=5)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    headers = {"Date": dated, "Age": "300", "Content-Type": "application/json"}
    services.jira.answer("", Status(200, b'{"issues": [], "displayName": "CKI Bot"}', headers))
    assert look()["jira clock"].state == "ok"


@pytest.mark.parametrize("date", ["", "yesterday", "Fri, 99 Nov 2026 10:00:00 GMT"])
def test_a_date_that_is_none_tells_nothing(look: Look, services: Services, date: str) -> None:
    """Nothing is said of the clock then."""
    services.jira.answer("", Status(200, b'{"issues": []}', {"Date": date}))
    rows = look()
    assert (rows["jira"].state, rows["jira clock"].state) == ("ok", "skipped")


@pytest.mark.parametrize(("days", "state"), [(13, "warning"), (0, "warning"), (20, "ok")])
def test_a_gitlab_token_that_ends_soon_is_a_warning(
    look: Look, services: Services, days: int, state: str
) -> None:
    """Two weeks are enough to have a new one made."""
    ends = (datetime.now(UTC) + timedelta(days=days)).date()
    services.gitlab.token_ends = ends.isoformat()
    row = look()["gitlab token"]
    assert row.state == state
    assert f"on {ends}" in row.text


def test_a_gitlab_token_that_never_ends_is_fine(look: Look) -> None:
    """Older servers have such tokens."""
    assert look()["gitlab token"].text == "scopes read_api; the token does not expire"


def test_a_gitlab_token_that_may_not_read_merge_requests_is_a_warning(
    look: Look, services: Services
) -> None:
    """It is good for its user, but not for what the daemon reads."""
    services.gitlab.token_scopes = ["read_user"]
    row = look()["gitlab token"]
    assert row.state == "warning"
    assert "read_api" in row.advice


@pytest.mark.parametrize(
    "fault", [Status(403), Html(), Hang(0.5), Garbage(b'{"scopes": 1}'), Garbage(b"[]")]
)
def test_a_gitlab_that_does_not_tell_about_the_token_is_not_held_against_it(
    look: Look, services: Services, fault: Fault
) -> None:
    """Tokens of bots and older servers are not told about themselves."""
    services.gitlab.answer("/self", fault)
    rows = look()
    assert rows["gitlab"].state == "ok"
    assert rows["gitlab token"].state in {"skipped", "warning"}


def test_jira_without_a_token_is_read_anonymously(look: Look, services: Services) -> None:
    """Then nobody asks whose token it is."""
    services.jira.token = None
    row = look(JIRA_TOKEN_AUTH=None)["jira"]
    assert row.state == "ok"
    assert row.text.startswith("answers the search anonymously")
    assert not [seen for seen in services.jira.requests if "authorization" in seen.headers]


def test_what_is_not_configured_is_skipped(look: Look) -> None:
    """The row says what goes without."""
    rows = look(JIRA_SERVER=None, JIRA_TOKEN_AUTH=None, GITLAB_TOKENS=None)
    assert {name: rows[name].text for name in ("gitlab", "jira")} == {
        "gitlab": "GITLAB_TOKENS is not set: the daemon reads merge requests anonymously",
        "jira": "JIRA_SERVER is not set: messages have no issues",
    }


def test_a_host_that_is_not_ours_is_asked_over_https_alone(
    services: Services, transfers: Transfers
) -> None:
    """A token does not leave this machine in plain text."""
    changes = {"GITLAB_TOKENS": '{"gitlab.invalid": "TOKEN"}', "TOKEN": "secret"}
    changes |= {"DATAWAREHOUSE_URL": services.warehouse.url}
    config, faults = read_with_faults(environment(**changes))
    found = examine(list(doctor.checks(transfers, config, faults)), PATIENCE)
    (row,) = [it for it in found if it.name == "gitlab gitlab.invalid"]
    assert row.text.startswith("no answer from https://gitlab.invalid:")


def test_all_are_asked_at_once(look: Look, services: Services) -> None:
    """A report takes as long as the slowest service, not as all of them together."""
    all_came = threading.Barrier(3)

    class Together:
        """Answers truly when all three services were asked."""

        def __call__(self, exchange: Exchange) -> None:
            all_came.wait(PATIENCE)
            exchange.connection.answer(exchange.answer)

    for name in SERVICES:
        stand_in(services, name).answer("", Together(), times=1)
    assert {look()[name].state for name in SERVICES} == {"ok"}


def test_half_a_character_makes_no_service_another_one(look: Look, services: Services) -> None:
    """The daemon reads it, so it is fine."""
    services.warehouse.answer("", Garbage(rb'{"results": [{"id": "\ud800"}]}'))
    assert look()["datawarehouse"].state == "ok"


def add_checkout(services: Services, head: str | None = "head", **changes: object) -> None:
    """Give the services a checkout with two builds, of a merge request with a pipeline."""
    gitlab, url = services.gitlab, services.gitlab.merge_request_url("group/kernel", 7)
    own = gitlab.pipeline_url("cki/trusted", 55)
    checkout = documents.checkout("redhat:1", merge_request=url, pipeline=own)
    builds = [documents.build(checkout, it) for it in ("x86_64", "s390x")]
    services.warehouse.add(documents.everything(checkout, builds))
    pipeline = gitlab.pipeline_url("fork/kernel", 77) if head else None
    merge_request = documents.merge_request(url, head_pipeline=pipeline)
    bridges = [documents.bridge(gitlab.pipeline_url("fork/builds", 56))]
    gitlab.add_merge_request(documents.changed(merge_request, changes), bridges)
    gitlab.add_bridges(gitlab.pipeline_url("fork/builds", 56), [documents.bridge(own)])


def test_what_the_daemon_reads_is_read(look: Look, services: Services) -> None:
    """By the very requests that it makes, down to the pipelines that a pipeline triggered."""
    add_checkout(services)
    rows = look()
    assert rows["datawarehouse checkout"].state == rows["gitlab merge request"].state == "ok"
    text = "redhat:1 can be read, with its 2 builds and all other data"
    assert rows["datawarehouse checkout"].text == text
    url = services.gitlab.merge_request_url("group/kernel", 7)
    text = f"{url} can be read, with the downstream pipelines of its pipeline 77"
    assert rows["gitlab merge request"].text == text
    checkout = "/api/1/kcidb/checkouts/redhat%3A1"
    assert {it.target for it in services.warehouse.requests} == {
        *("/api/1/kcidb/checkouts?limit=1", checkout, f"{checkout}/all"),
        f"{checkout}/builds?limit=100",
    }
    project = "/api/v4/projects/"
    assert {it.target for it in services.gitlab.requests if project in it.target} == {
        f"{project}group%2Fkernel/merge_requests/7",
        f"{project}fork%2Fkernel/pipelines/77/bridges?per_page=100",
        f"{project}fork%2Fbuilds/pipelines/56/bridges?per_page=100",
    }
    assert {it.method for it in [*services.warehouse.requests, *services.gitlab.requests]} == {
        "GET"
    }


@pytest.mark.parametrize(
    ("match", "fault", "text"),
    [
        ("/all", Status(404), "no such checkout: redhat:1"),
        ("/all", Status(403), "check the token in DATAWAREHOUSE_TOKEN"),
        ("/all", NoBackend(), "without a JSON object"),
        ("/all", Garbage(b'{"checkouts": []}'), "can't be used"),
        ("/builds", Status(500), "answered 500"),
        ("redhat%3A1", Html(), "no JSON"),
    ],
)
def test_a_checkout_that_can_not_be_read_has_failed(
    look: Look, services: Services, match: str, fault: Fault, text: str
) -> None:
    """Though the token is good: no message about it would be sent."""
    add_checkout(services)
    services.warehouse.answer(match, fault)
    rows = look()
    assert rows["datawarehouse"].state == "ok"
    assert rows["datawarehouse checkout"].state == "failed"
    assert text in rows["datawarehouse checkout"].text
    assert rows["gitlab merge request"].state == "skipped"


@pytest.mark.parametrize("fault", [Status(401), Status(403), Status(404), Status(503), Html()])
def test_a_merge_request_that_can_not_be_read_has_failed(
    look: Look, services: Services, fault: Fault
) -> None:
    """A token that is good for its user may be bad for the project."""
    add_checkout(services)
    services.gitlab.answer("/merge_requests/", fault)
    rows = look()
    assert rows["gitlab"].state == rows["datawarehouse checkout"].state == "ok"
    assert rows["gitlab merge request"].state == "failed"
    assert "gitlab: " in rows["gitlab merge request"].text


def test_pipelines_that_are_refused_are_a_warning(look: Look, services: Services) -> None:
    """Messages go out, but some that need not."""
    add_checkout(services)
    services.gitlab.members_only = {"fork/kernel"}
    row = look()["gitlab merge request"]
    assert row.state == "warning"
    assert "not the downstream pipelines of its pipeline 77" in row.text


def test_pipelines_that_do_not_answer_have_failed(look: Look, services: Services) -> None:
    """An outage delays messages."""
    add_checkout(services)
    services.gitlab.answer("/bridges", Status(503))
    assert look()["gitlab merge request"].state == "failed"


def test_a_merge_request_need_not_have_a_pipeline(look: Look, services: Services) -> None:
    """A checkout need not have a merge request either."""
    add_checkout(services, None)
    assert look()["gitlab merge request"].state == "ok"
    services.warehouse.update_checkout("redhat:1", misc={"mr": None})
    assert look()["gitlab merge request"].state == "skipped"


def test_with_faulty_tokens_no_merge_request_is_tried(look: Look, services: Services) -> None:
    """An anonymous request would say nothing about the daemon's."""
    add_checkout(services)
    row = look(GITLAB_TOKENS='{"": "TOKEN"}')["gitlab merge request"]
    assert (row.state, services.gitlab.requests) == ("skipped", [])


@pytest.mark.parametrize("results", ["[]", "[1]", "{}", "null", '[{"id": 1}]', '[{"id": ""}]'])
def test_a_list_that_names_no_checkout_leaves_nothing_to_try(
    look: Look, services: Services, results: str
) -> None:
    """It may be a new DataWarehouse."""
    services.warehouse.answer("", Garbage(b'{"results": ' + results.encode() + b"}"))
    rows = look()
    assert rows["datawarehouse"].state == "ok"
    assert rows["datawarehouse checkout"].state == rows["gitlab merge request"].state == "skipped"


def test_a_group_is_no_gitlab_under_a_path(look: Look, services: Services) -> None:
    """The doctor is fine with nothing that the daemon would not use."""
    host = urlsplit(services.gitlab.url).netloc
    rows = look(GITLAB_TOKENS=f'{{"{host}/group": "TOKEN"}}')
    row = rows["gitlab/group"]
    assert row.state == "failed"
    assert "not a group" in row.advice
