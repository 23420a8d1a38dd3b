"""Any response of a service costs a bounded amount of memory and time."""

import gzip
import json
from collections.abc import Iterator

import pytest
from prometheus_client import generate_latest

from cki_notifier.configuration.certificates import certificate_authorities
from cki_notifier.configuration.secret import Secret
from cki_notifier.configuration.settings import DataWarehouseConfig, JiraConfig
from cki_notifier.notification.errors import Unavailable
from cki_notifier.sources.datawarehouse import DataWarehouse
from cki_notifier.sources.gitlab import GitLab, Pipeline
from cki_notifier.sources.http import HTTP, MOST_PAGES
from cki_notifier.sources.jira import JiraIssues
from cki_notifier.sources.transfer import TransferError, Transfers
from cki_notifier.telemetry import metrics
from cki_notifier.workers.deadline import Deadline
from tools.stand_ins import Garbage, Services, Status, documents
from tools.stand_ins.server import Exchange


class EndlessPages:
    """A list whose every page has a next one."""

    def __call__(self, exchange: Exchange) -> None:
        """Send the next page, in the form of each of the services."""
        number = int(exchange.request.first("page") or "0") + 1
        following = f"http://x.example/?page={number}"
        body = {"results": [], "next": following} if "kcidb" in exchange.request.path else []
        headers = {"Link": f'<{following}>; rel="next"'}
        Status(200, json.dumps(body).encode(), headers)(exchange)


@pytest.fixture
def http() -> Iterator[HTTP]:
    """The HTTP edge."""
    transfers = Transfers(certificate_authorities())
    yield HTTP(transfers)
    transfers.close()


@pytest.fixture
def warehouse(services: Services, http: HTTP) -> DataWarehouse:
    """A client of a warehouse."""
    token = Secret(services.warehouse.token)
    return DataWarehouse(http, DataWarehouseConfig(url=services.warehouse.url, token=token))


def bridges(services: Services, http: HTTP, deadline: Deadline) -> frozenset[int] | None:
    """Read the pipelines of a merge request, in search of one that is not there."""
    url = services.gitlab.merge_request_url("group/kernel", 7)
    head = Pipeline(id=77, web_url=services.gitlab.pipeline_url("group/kernel", 77))
    return GitLab(http, {}).downstream_pipeline_ids(url, head, 1, deadline)


def test_builds_have_so_many_pages_at_most(
    services: Services, warehouse: DataWarehouse, deadline: Deadline
) -> None:
    """A warehouse that always names another page is out of order."""
    services.warehouse.answer("/builds", EndlessPages())
    with pytest.raises(Unavailable, match="never end"):
        warehouse.builds("redhat:1", deadline)
    assert len(services.warehouse.requests) == MOST_PAGES


def test_bridges_have_so_many_pages_at_most(
    services: Services, http: HTTP, deadline: Deadline
) -> None:
    """And so is a GitLab, but a message can do without them."""
    services.gitlab.answer("/bridges", EndlessPages())
    assert bridges(services, http, deadline) is None
    assert len(services.gitlab.requests) == MOST_PAGES


@pytest.mark.parametrize("text", ["<", "<>;", '<x>;rel="prev",', "<x>; rel=next"])
def test_a_header_that_leads_to_further_pages_is_read_once(
    services: Services, http: HTTP, deadline: Deadline, text: str
) -> None:
    """Were each part of it looked at again and again, 100 kB would take minutes."""
    link = "<?page=2" + text * (100_000 // len(text))
    services.gitlab.answer("page=2", Garbage(b"[]"))
    services.gitlab.answer("/bridges", Status(200, b"[]", {"Link": link}))
    assert bridges(services, http, deadline) == frozenset()


@pytest.mark.parametrize(
    "headers", [{"X": "a" * 1_000_000}, {f"X-{number}": "a" * 1_000 for number in range(1_000)}]
)
def test_headers_are_read_up_to_a_size(
    services: Services, http: HTTP, headers: dict[str, str]
) -> None:
    """One that is too long, or too many of them, are no response."""
    services.warehouse.answer("", Status(200, b"{}", headers))
    with pytest.raises(TransferError):
        http.transfers.start(services.warehouse.url, [], 30).result()


@pytest.mark.parametrize("body", [b" " * 20_000_000, b'{"issues": []' + b" " * 20_000_000 + b"}"])
@pytest.mark.parametrize("packed", [True, False])
def test_jiras_answer_is_read_up_to_a_size(
    services: Services,
    http: HTTP,
    deadline: Deadline,
    caplog: pytest.LogCaptureFixture,
    body: bytes,
    *,
    packed: bool,
) -> None:
    """Twenty megabytes are not waited for, packed or not; the message goes without the extra."""
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"} if packed else {}
    services.jira.answer("", Status(200, gzip.compress(body) if packed else body, headers))
    jira = JiraIssues(http.transfers, JiraConfig(url=services.jira.url, token=None), 30)
    assert jira.find(["https://x.example/browse/A-1"], deadline) is None
    bound = "grows more than 100 times" if packed else "is larger than 8388608 bytes"
    assert bound in caplog.text


def test_a_description_with_many_issues_does_not_make_jira_look_down(
    services: Services, http: HTTP, deadline: Deadline
) -> None:
    """No more are asked for than fit into an address, and few of the rest one by one."""
    links = [f"https://x.example/browse/{'K' * 50}-{number}" for number in range(50_000)]
    services.jira.add_issue(documents.jira_issue(f"{'K' * 50}-7"))
    services.jira.token = None
    jira = JiraIssues(http.transfers, JiraConfig(url=services.jira.url, token=None), 30)
    found = jira.find([*links, f"https://x.example/browse/{'L' * 1_000_000}-1"], deadline)
    assert [issue.key for issue in found or ()] == [f"{'K' * 50}-7"]
    seen, *single = services.jira.requests
    assert len(seen.target) < 8_000
    assert len(single) == 10
    assert not jira.gate.is_down


def test_a_status_that_nobody_knows_is_no_metric_of_its_own() -> None:
    """Unknown statuses don't add series, which would stay in memory for ever."""
    for number in range(100):
        metrics.settled(f"hostile-{number}", "ignored", "status", 0.1)
    text = generate_latest(metrics.REGISTRY).decode()
    assert "hostile" not in text
    assert 'outcome="ignored"' in text
