"""The services' stand-ins on the loopback, and the project's own clients that read from them."""

import threading
from urllib.parse import urlsplit

import pytest

from cki_notifier.configuration.secret import Secret
from cki_notifier.configuration.settings import DataWarehouseConfig, JiraConfig
from cki_notifier.notification.models import JiraIssue
from cki_notifier.sources.datawarehouse import DataWarehouse
from cki_notifier.sources.gitlab import GitLab
from cki_notifier.sources.http import HTTP, Server, whole
from cki_notifier.sources.jira import JiraIssues
from cki_notifier.sources.load import Loader
from cki_notifier.sources.transfer import Transfers
from cki_notifier.workers.deadline import Deadline
from tests.sources.reading import PATH, Find, Get, Item
from tools.stand_ins import Jira, Services, Warehouse, documents

#: The longest that the tests wait for Jira, in seconds.
LOOK_UP_SECONDS = 1.5


@pytest.fixture
def services(services: Services) -> Services:
    """One of each service, up, with nothing in it; GitLab and Jira ask for a token too."""
    services.gitlab.token = "gitlab-token"
    services.jira.token = "jira-token"
    return services


@pytest.fixture
def http(transfers: Transfers) -> HTTP:
    """The HTTP edge."""
    return HTTP(transfers)


@pytest.fixture
def warehouse(services: Services, http: HTTP) -> DataWarehouse:
    """A client of the warehouse's stand-in."""
    token = Secret(services.warehouse.token)
    return DataWarehouse(http, DataWarehouseConfig(url=services.warehouse.url, token=token))


@pytest.fixture
def gitlab(services: Services, http: HTTP) -> GitLab:
    """A client that has a token for GitLab's stand-in and for no other host."""
    return GitLab(http, {urlsplit(services.gitlab.url).netloc: Secret("gitlab-token")})


@pytest.fixture
def jira(transfers: Transfers, services: Services) -> JiraIssues:
    """A client of Jira's stand-in that is less patient than the daemon's."""
    config = JiraConfig(url=services.jira.url, token=Secret("jira-token"))
    return JiraIssues(transfers, config, LOOK_UP_SECONDS)


@pytest.fixture
def loader(warehouse: DataWarehouse, gitlab: GitLab, jira: JiraIssues) -> Loader:
    """A loader that asks all three services."""
    return Loader(warehouse, gitlab, jira)


@pytest.fixture
def deadline() -> Deadline:
    """A deadline that no test reaches."""
    return Deadline(30)


@pytest.fixture
def service(services: Services) -> Warehouse:
    """A server with one checkout."""
    services.warehouse.add(documents.everything(documents.checkout("redhat:1")))
    return services.warehouse


@pytest.fixture
def server(service: Warehouse) -> Server:
    """The same server, as the HTTP edge knows it."""
    return Server(
        name="datawarehouse",
        url=service.url,
        headers=[f"Authorization: Token {service.token}"],
        token_variable="DATAWAREHOUSE_TOKEN",
    )


@pytest.fixture
def get(http: HTTP, server: Server) -> Get:
    """Read the server's checkout."""

    def get(
        seconds: float = 20, *, path: str = PATH, stopping: threading.Event | None = None
    ) -> Item:
        return http.get(server, path, whole(Item), Deadline(seconds, stopping)).result()

    return get


@pytest.fixture
def issues(services: Services) -> Jira:
    """A Jira with three issues."""
    for number in (1, 2, 3):
        services.jira.add_issue(documents.jira_issue(f"RHEL-{number}", summary=f"issue {number}"))
    return services.jira


@pytest.fixture
def find(jira: JiraIssues, deadline: Deadline) -> Find:
    """Look up issues, and wait for them."""

    def find(*links: str) -> tuple[JiraIssue, ...] | None:
        return jira.find(links, deadline)

    return find
