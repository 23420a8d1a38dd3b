"""The HTTP edge: what each response means."""

from collections.abc import Iterator

import pytest

from cki_notifier.configuration.certificates import certificate_authorities
from cki_notifier.notification.errors import InvalidDocument, NotFound, Unavailable
from cki_notifier.sources.http import HTTP, Page, Reading, Server, whole
from cki_notifier.sources.transfer import Transfers
from cki_notifier.workers.deadline import Deadline
from tests.sources.reading import PATH, Get, Item
from tools.stand_ins import Garbage, Status, Warehouse


def test_the_json_that_is_expected_is_the_document(get: Get, service: Warehouse) -> None:
    """A 200 with the expected JSON takes one request."""
    assert get() == Item("redhat:1")
    assert [seen.target for seen in service.requests] == [PATH]


def test_a_document_comes_with_its_headers(http: HTTP, server: Server) -> None:
    """Header names are in lower case, however they were sent."""

    def content_type(page: Page[Item]) -> tuple[Item, str]:
        return page.document, page.headers["content-type"]

    read = http.get(
        server, PATH, Reading(Item, content_type, wants_headers=True), Deadline(20)
    ).result()
    assert read == (Item("redhat:1"), "application/json")


def test_a_document_comes_without_headers_nobody_wants(http: HTTP, server: Server) -> None:
    """They would cost as much as the body."""
    reading = Reading(Item, lambda page: page.headers)
    assert http.get(server, PATH, reading, Deadline(20)).result() == {}


def test_what_is_read_of_a_document_may_be_wrong(http: HTTP, server: Server) -> None:
    """The reader's own word is what the one who waits hears."""

    def refuse(page: Page[Item]) -> str:
        raise InvalidDocument(f"{page.document.id} is no good")

    with pytest.raises(InvalidDocument, match="redhat:1 is no good"):
        http.get(server, PATH, Reading(Item, refuse), Deadline(20)).result()


@pytest.mark.parametrize("body", [b"[]", b"null", b'"text"', b"7", b"[" * 100_000])
def test_json_of_another_kind_is_unavailable(get: Get, service: Warehouse, body: bytes) -> None:
    """A list where an object belongs is no document of this service; asking again won't help."""
    service.answer("", Garbage(body))
    with pytest.raises(
        Unavailable, match=f"datawarehouse: GET {PATH} answered JSON of another kind"
    ):
        get()
    assert len(service.requests) == 1


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"id": 5}', r"`\$\.id`"),
        (b'{"id": null}', r"`\$\.id`"),
        (b"{}", "`id`"),
        (b'{"more": ' + b"[" * 100_000 + b"]" * 100_000 + b', "id": "x"}', "nested too deeply"),
    ],
    ids=["type", "null", "missing", "nested"],
)
def test_a_wrong_field_is_named(get: Get, service: Warehouse, body: bytes, text: str) -> None:
    """A document of the right kind that can't be used is invalid, and asked for once."""
    service.answer("", Garbage(body))
    with pytest.raises(InvalidDocument, match=f"datawarehouse: .*{PATH}.*{text}"):
        get()
    assert len(service.requests) == 1


def test_404_is_not_found(get: Get, service: Warehouse) -> None:
    """It may be a race, which the delays are for: it isn't asked for again at once."""
    service.remove("redhat:1")
    with pytest.raises(NotFound, match=f"datawarehouse: GET {PATH} answered 404"):
        get()
    assert len(service.requests) == 1


@pytest.mark.parametrize("code", [401, 403])
def test_a_refused_token_is_loud(
    get: Get, service: Warehouse, caplog: pytest.LogCaptureFixture, code: int
) -> None:
    """The log names the variable to check, tells no token, and it isn't asked again at once."""
    service.answer("", Status(code))
    with pytest.raises(Unavailable, match=f"answered {code}; check .*DATAWAREHOUSE_TOKEN") as error:
        get()
    assert len(service.requests) == 1
    [record] = caplog.records
    assert record.levelname == "ERROR"
    assert f"answered {code}; check the token in DATAWAREHOUSE_TOKEN" in record.message
    assert service.token not in record.message + str(error.value)


def test_a_server_does_not_print_its_token(server: Server, service: Warehouse) -> None:
    """Nor any other header, wherever it is printed."""
    assert service.url in repr(server)
    assert service.token not in f"{server} {server!r}"


@pytest.mark.parametrize("code", [204, 206, 300, 304, 400, 405, 410, 451])
def test_another_status_is_unavailable(get: Get, service: Warehouse, code: int) -> None:
    """What nobody expects is asked for once and left to the delays."""
    service.answer("", Status(code))
    with pytest.raises(Unavailable, match=f"answered {code}"):
        get()
    assert len(service.requests) == 1


def test_documents_are_read_side_by_side(http: HTTP, service: Warehouse, server: Server) -> None:
    """A document is on its way before anybody waits for it."""
    service.latency = 1.5
    pending = [http.get(server, PATH, whole(Item), Deadline(20)) for _ in range(2)]
    assert [it.result() for it in pending] == [Item("redhat:1")] * 2
    first, second = service.requests
    assert second.at - first.at < service.latency


@pytest.fixture
def bounded() -> Iterator[HTTP]:
    """An HTTP edge that takes no body over a hundred bytes."""
    transfers = Transfers(certificate_authorities(), largest_body_bytes=100)
    yield HTTP(transfers)
    transfers.close()


def test_a_body_over_the_bound_is_unavailable(bounded: HTTP, server: Server) -> None:
    """A service that sends without end is out of order."""
    with pytest.raises(Unavailable, match="no response"):
        bounded.get(server, PATH, whole(Item), Deadline(0.2)).result()
