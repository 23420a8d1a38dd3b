"""No notification and no document has a token sent to another host than the one it is for."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cki_notifier.configuration.certificates import certificate_authorities
from cki_notifier.configuration.secret import Secret
from cki_notifier.configuration.settings import DataWarehouseConfig
from cki_notifier.notification.errors import InvalidDocument, NotFound, NotifierError
from cki_notifier.sources.datawarehouse import DataWarehouse
from cki_notifier.sources.gitlab import GitLab, Pipeline
from cki_notifier.sources.http import HTTP
from cki_notifier.sources.transfer import Transfers
from cki_notifier.workers.deadline import Deadline
from tests.properties import PATIENT
from tests.security.everybody import Everybody
from tools.stand_ins import Services

MERGE_REQUEST = "/group/kernel/-/merge_requests/7"
API = "/api/v4/projects/group%2Fkernel/merge_requests/7"
#: Ids that would lead elsewhere if they were put into an address as they are.
HOSTILE_IDS = [
    "../../../../admin",
    "..",
    ".",
    "....",
    "redhat:1/../../users",
    "redhat:1?x=y&limit=0",
    "redhat:1#fragment",
    "@evil.example/",
    "//evil.example/",
    "\\\\evil.example\\",
    "redhat:1\r\nHost: evil.example\r\n\r\nGET /evil HTTP/1.1",
    "redhat:\n1",
    "redhat:\x001",
    "%2e%2e%2fadmin",
    "redhat:%00%0d%0a",
    "redhat:ünï→\u202e\U0001f427",
    " redhat:1 ",
    "redhat:" + "x" * 100_000,
]


@pytest.fixture
def gitlab(http: HTTP) -> GitLab:
    """A client with a token for gitlab.com, and one for a port of another host."""
    return GitLab(http, {"gitlab.com": Secret("hush"), "git.example:8080": Secret("hush")})


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://gitlab.com", "gitlab.com:443"),
        ("HTTPS://GitLab.COM", "gitlab.com:443"),
        ("https://git.example:8080", "git.example:8080"),
    ],
)
def test_a_token_goes_to_its_host(
    gitlab: GitLab, everybody: Everybody, deadline: Deadline, origin: str, host: str
) -> None:
    """Over TLS, to the one endpoint."""
    gitlab.merge_request(origin + MERGE_REQUEST, "misc.mr.url", deadline)
    (seen,) = everybody.requests
    assert (seen.host, seen.is_secret, seen.target) == (host, True, API)
    assert seen.headers["private-token"] == "hush"


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://evil.example", "evil.example:443"),
        ("https://gitlab.com.evil.example", "gitlab.com.evil.example:443"),
        ("https://evil-gitlab.com", "evil-gitlab.com:443"),
        ("https://gitlab.com.", "gitlab.com.:443"),
        ("https://gitlab.com:8443", "gitlab.com:8443"),
        ("https://xn--gtlab-1sa.com", "xn--gtlab-1sa.com:443"),
        ("https://evil.example/gitlab.com", "evil.example:443"),
        ("https://git.example", "git.example:443"),
        ("https://git.example:80", "git.example:80"),
        ("https://169.254.169.254", "169.254.169.254:443"),
    ],
)
def test_no_other_host_gets_a_token(
    gitlab: GitLab, everybody: Everybody, deadline: Deadline, origin: str, host: str
) -> None:
    """However alike its name is: it is read anonymously, and only where merge requests are."""
    gitlab.merge_request(origin + MERGE_REQUEST, "misc.mr.url", deadline)
    (seen,) = everybody.requests
    assert seen.host == host
    assert re.fullmatch(
        r"/api/v4/projects/(gitlab\.com%2F)?group%2Fkernel/merge_requests/7", seen.target
    )
    assert {"private-token", "authorization", "cookie"}.isdisjoint(seen.headers)


@pytest.mark.parametrize(
    "origin", ["http://gitlab.com", "http://GITLAB.com", "http://gitlab.com:80"]
)
def test_a_token_for_https_is_not_sent_in_plain_text(
    gitlab: GitLab, everybody: Everybody, deadline: Deadline, origin: str
) -> None:
    """A document that says http instead of https does not have it told to the network."""
    gitlab.merge_request(origin + MERGE_REQUEST, "misc.mr.url", deadline)
    (seen,) = everybody.requests
    assert not seen.is_secret
    assert "private-token" not in seen.headers


@pytest.mark.parametrize(
    "url",
    [
        f"https://evil.example@gitlab.com{MERGE_REQUEST}",
        f"https://gitlab.com@evil.example{MERGE_REQUEST}",
        f"https://gitlab.com:hush@evil.example{MERGE_REQUEST}",
        f"https://evil.example\\@gitlab.com{MERGE_REQUEST}",
        f"https://evil.example\\.gitlab.com{MERGE_REQUEST}",
        f"https://gitlab.com%2eevil.example{MERGE_REQUEST}",
        f"https://gitlab.com%00.evil.example{MERGE_REQUEST}",
        f"https://g\u0456tlab.com{MERGE_REQUEST}",  # a Cyrillic letter
        f"https://gitlab\u3002com{MERGE_REQUEST}",  # a full stop of another script
        f"https://gitlab.com\uff0fevil.example{MERGE_REQUEST}",  # a slash of another script
        f"https://gitlab.com:443:80{MERGE_REQUEST}",
        f"https://gitlab.com:\u0664\u0664\u0663{MERGE_REQUEST}",  # digits of another script
        f"https://gitlab.com:65536{MERGE_REQUEST}",
        f"https://[::1%25lo]{MERGE_REQUEST}",
        f"https://[::1{MERGE_REQUEST}",
        f"https://gitlab.com\r\nHost: evil.example{MERGE_REQUEST}",
        f"https://gitlab.com{MERGE_REQUEST}\n",
        f"https://git\tlab.com{MERGE_REQUEST}",
        f" https://gitlab.com{MERGE_REQUEST}",
        f"\x00https://gitlab.com{MERGE_REQUEST}",
        f"https://gitlab.com{MERGE_REQUEST}?\x1b[31m",
        f"https:gitlab.com{MERGE_REQUEST}",
        f"https:///gitlab.com{MERGE_REQUEST}",
        f"//gitlab.com{MERGE_REQUEST}",
        f"ftp://gitlab.com{MERGE_REQUEST}",
        f"file://{MERGE_REQUEST}",
        f"javascript://gitlab.com{MERGE_REQUEST}",
        "https://gitlab.com/group/../-/merge_requests/7",
        "https://gitlab.com/../kernel/-/merge_requests/7",
        "https://gitlab.com/group/%2e%2e/-/merge_requests/7",
        "https://gitlab.com/group/kernel/-/merge_requests/7/../../issues",
        "https://gitlab.com/group/kernel%2F..%2Fx/-/merge_requests/7",
        "https://gitlab.com/group/kernel/-/merge_requests/" + "7" * 5_000,
    ],
)
def test_an_address_that_may_be_read_in_two_ways_is_none(
    gitlab: GitLab, everybody: Everybody, deadline: Deadline, url: str
) -> None:
    """The document is invalid, and no host gets a request."""
    with pytest.raises(InvalidDocument, match="is not the address of a merge request"):
        gitlab.merge_request(url, "misc.mr.url", deadline)
    assert everybody.requests == []


@pytest.mark.parametrize(
    "web_url", ["https://evil.example/fork/kernel/-/pipelines/77", "https://evil.example/", "x"]
)
def test_a_pipeline_elsewhere_is_asked_for_at_the_merge_requests_host(
    gitlab: GitLab, everybody: Everybody, deadline: Deadline, web_url: str
) -> None:
    """Of a pipeline's address only the project counts, never the host."""
    head = Pipeline(id=77, web_url=web_url)
    url = f"https://gitlab.com{MERGE_REQUEST}"
    with pytest.raises(NotifierError):  # what everybody answers is no list
        gitlab.downstream_pipeline_ids(url, head, 1, deadline)
    assert {seen.host for seen in everybody.requests} == {"gitlab.com:443"}


@pytest.mark.parametrize("checkout_id", HOSTILE_IDS, ids=lambda text: repr(text[:20]))
def test_an_id_is_one_segment_of_the_path_whatever_it_holds(
    http: HTTP, everybody: Everybody, deadline: Deadline, checkout_id: str
) -> None:
    """DataWarehouse gets one request, for a checkout."""
    config = DataWarehouseConfig(url="https://warehouse.example", token=Secret("hush"))
    warehouse = DataWarehouse(http, config)
    with pytest.raises(InvalidDocument, match="was asked for"):
        warehouse.checkout(checkout_id, deadline)
    (seen,) = everybody.requests
    assert seen.host == "warehouse.example:443"
    assert re.fullmatch(r"/api/1/kcidb/checkouts/[A-Za-z0-9_.~%-]+", seen.target)
    assert not re.fullmatch(r"\.+", seen.target.rpartition("/")[2])


def test_any_id_is_one_segment_of_the_path(deadline: Deadline) -> None:
    """Any text that JSON can hold."""
    transfers = Transfers(certificate_authorities())
    with Services() as services:
        config = DataWarehouseConfig(
            url=services.warehouse.url, token=Secret(services.warehouse.token)
        )
        warehouse = DataWarehouse(HTTP(transfers), config)

        @PATIENT
        @given(st.text(min_size=1))
        def look(checkout_id: str) -> None:
            with pytest.raises(NotFound):
                warehouse.everything(checkout_id, deadline)
            target = services.warehouse.requests[-1].target
            assert re.fullmatch(r"/api/1/kcidb/checkouts/[A-Za-z0-9_.~%-]+/all", target)

        look()
    transfers.close()
