"""Redirects: followed on the same server, and never to another, which would get the token."""

import msgspec
import pytest

from cki_notifier.notification.errors import Unavailable
from cki_notifier.sources.http import HTTP, Server, whole
from cki_notifier.workers.deadline import Deadline
from tests.sources.reading import CHECKOUTS, PATH, Get, Item
from tools.stand_ins import Garbage, Redirect, RedirectLoop, Warehouse


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("location", ["{url}{path}", "{path}", "./redhat:1", "./x/../redhat:1"])
def test_a_redirect_on_the_same_server_is_followed(
    get: Get, service: Warehouse, location: str, code: int
) -> None:
    """Absolute and relative addresses alike; the token goes along."""
    target = location.format(url=service.url, path=PATH)
    service.answer("/moved", Redirect(target, code))
    assert get(path=f"{CHECKOUTS}/moved") == Item("redhat:1")
    assert [seen.target for seen in service.requests] == [
        f"{CHECKOUTS}/moved",
        PATH,
    ]


def test_a_relative_redirect_starts_from_the_last_one(get: Get, service: Warehouse) -> None:
    """Each address is resolved against the one that redirected to it (RFC 9110, 10.2.2)."""
    service.answer("/first", Redirect("further/second"))
    service.answer("/second", Redirect("third"))
    service.answer("/further/third", Redirect("../redhat:1"))
    assert get(path=f"{CHECKOUTS}/first") == Item("redhat:1")
    assert service.requests[2].target == f"{CHECKOUTS}/further/third"


def test_a_redirect_loop_ends(get: Get, service: Warehouse) -> None:
    """A few redirects are followed, then the service is out of order."""
    service.answer("", RedirectLoop())
    with pytest.raises(Unavailable, match="answered 302"):
        get()
    assert len(service.requests) == 4


@pytest.mark.parametrize(
    "location",
    [
        "{other}/login",
        "//{other_host}/login",
        "http://{host}@{other_host}/login",
        "{url}@{other_host}/login",
        "{url}1/login",
        "https://{host}{path}",
        "http://localhost:{port}{path}",
        "ftp://{host}/login",
        "file:///etc/hostname",
        "http://[::1/login",
    ],
)
def test_a_redirect_elsewhere_is_never_followed(
    get: Get, service: Warehouse, elsewhere: Warehouse, location: str
) -> None:
    """The token leaves for no other server, and the same server isn't asked a second time."""
    host = service.url.removeprefix("http://")
    target = location.format(
        url=service.url,
        host=host,
        port=host.partition(":")[2],
        path=PATH,
        other=elsewhere.url,
        other_host=elsewhere.url.removeprefix("http://"),
    )
    service.answer("", Redirect(target))
    with pytest.raises(Unavailable, match="which gets no token") as error:
        get()
    assert elsewhere.requests == []
    assert len(service.requests) == 1
    assert service.token not in str(error.value)


def test_a_redirect_out_of_the_service_is_never_followed(
    http: HTTP, server: Server, service: Warehouse
) -> None:
    """Where a service is part of a host, the rest of the host is another one."""
    part = msgspec.structs.replace(server, url=service.url + "/api")
    service.answer("/api/one", Redirect("/login"))
    service.answer("/api/two", Redirect("/apiary"))
    for path in ("/one", "/two"):
        with pytest.raises(Unavailable, match="which gets no token"):
            http.get(part, path, whole(Item), Deadline(20)).result()
    assert [seen.target for seen in service.requests] == ["/api/one", "/api/two"]


@pytest.mark.parametrize("location", ["/\xe4\xff x", "/a\x01\xa0"])
def test_a_redirect_may_be_spelled_anyhow(get: Get, service: Warehouse, location: str) -> None:
    """On the same server it is followed, percent-encoded."""
    service.answer("/moved", Redirect(location))
    service.answer("", Garbage(b'{"id": "redhat:1"}'))
    assert get(path=f"{CHECKOUTS}/moved") == Item("redhat:1")
    assert service.requests[1].target.isascii()


@pytest.mark.parametrize("host", ["\xe4.example", "\xff\xfe", "\x80@x.example"])
def test_a_redirect_to_a_name_that_is_no_text_ends_nothing(
    get: Get, service: Warehouse, host: str
) -> None:
    """A hostile host may redirect with any bytes; the next request is answered."""
    service.answer("/moved", Redirect(f"http://{host}/"))
    with pytest.raises(Unavailable, match=r"redirects to .*, which gets no token"):
        get(path=f"{CHECKOUTS}/moved")
    assert get() == Item("redhat:1")
