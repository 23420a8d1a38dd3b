"""The HTTP edge: what each response means."""

import time
from collections.abc import Mapping

import pytest

from cki_notifier.notification.errors import InvalidDocument, NotFound, Unavailable
from cki_notifier.sources.http import HTTP, Reading, Server, whole
from cki_notifier.telemetry import metrics
from cki_notifier.workers.deadline import Deadline
from tests.sources.raw import Raw
from tests.sources.reading import PATH, Get, Item
from tools.processes import free_port
from tools.stand_ins import (
    Drip,
    Fault,
    Garbage,
    Hang,
    Html,
    NoBackend,
    Redirect,
    RedirectLoop,
    Reset,
    Status,
    Truncated,
    Warehouse,
)


def test_the_json_that_is_expected_is_the_document(get: Get, service: Warehouse) -> None:
    """A 200 with the expected JSON takes one request."""
    assert get() == Item("redhat:1")
    assert [seen.target for seen in service.requests] == [PATH]


def test_a_document_comes_with_its_headers(http: HTTP, server: Server) -> None:
    """Header names are in lower case, however they were sent."""

    def content_type(item: Item, headers: Mapping[str, str]) -> tuple[Item, str]:
        return item, headers["content-type"]

    read = http.get(
        server, PATH, Reading(Item, content_type, wants_headers=True), Deadline(20)
    ).result()
    assert read == (Item("redhat:1"), "application/json")


def test_a_document_comes_without_headers_nobody_wants(http: HTTP, server: Server) -> None:
    """They would cost as much as the body."""
    reading = Reading(Item, lambda _, headers: headers)
    assert http.get(server, PATH, reading, Deadline(20)).result() == {}


def test_what_is_read_of_a_document_may_be_wrong(http: HTTP, server: Server) -> None:
    """The reader's own word is what the one who waits hears."""

    def refuse(item: Item, _headers: Mapping[str, str]) -> str:
        raise InvalidDocument(f"{item.id} is no good")

    with pytest.raises(InvalidDocument, match="redhat:1 is no good"):
        http.get(server, PATH, Reading(Item, refuse), Deadline(20)).result()


@pytest.mark.parametrize("body", [b"[]", b"null", b'"text"', b"7", b"[" * 100_000])
def test_json_of_another_kind_is_unavailable(get: Get, service: Warehouse, body: bytes) -> None:
    """A list where an object belongs is no document of this service; asking again won't help."""
    service.answer("", Garbage(body))
    with pytest.raises(
        Unavailable, match=f"datawarehouse: GET {PATH} answered JSON of another type"
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


@pytest.mark.parametrize("body", [b"{}", b' {"detail": ["x"]}\r\n', b'{"detail": "\\ud800"}'])
def test_a_404_with_an_object_is_the_services_word(
    get: Get, service: Warehouse, body: bytes
) -> None:
    """With any fields, and even with half a character in a text."""
    service.answer("", Status(404, body))
    with pytest.raises(NotFound):
        get()


#: Answers of proxies without a backend.
NOBODYS_WORDS = (
    NoBackend().body,
    b"",
    b"default backend - 404",
    b"404 page not found\n",
    b"null",
    b"404",
    b'"not found"',
    b"[]",
    b'[{"detail": "Not found."}]',
    b"{",
    b'{"detail": "Not fou',
    b"{detail}",
    b"{}<html>",
    b"\xff",
    b'{"more": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
)


@pytest.mark.parametrize("body", NOBODYS_WORDS, ids=lambda body: repr(body[:20]))
def test_a_404_without_an_object_is_not_the_services_word(
    http: HTTP, service: Warehouse, server: Server, body: bytes
) -> None:
    """A proxy answers so whose service is away: nothing is known of the object, not for long."""
    service.answer("", NoBackend(body), times=2)
    pending = http.get(server, PATH, whole(Item), Deadline(20))
    assert pending.result() == Item("redhat:1")
    assert len(service.requests) == 3
    service.answer("", NoBackend(body))
    with pytest.raises(Unavailable, match=f"GET {PATH} answered 404 without a JSON obj") as error:
        http.get(server, PATH, whole(Item), Deadline(0.1)).result()
    assert (error.value.hiccup, error.value.held) == (True, False)


def test_a_proxy_without_a_backend_is_a_service_that_is_down(
    http: HTTP, service: Warehouse, server: Server
) -> None:
    """Three objects make it so, as of a login page; the service's own 404 says that it is back."""

    def ask(name: str) -> None:
        with pytest.raises(Unavailable):
            http.get(server, f"/api/1/{name}", whole(Item), Deadline(0.1), name).result()

    service.answer("", NoBackend())
    for name in ("one", "two", "three"):
        assert not http.gate(server).is_down
        ask(name)
    assert http.gate(server).is_down
    assert metrics.connected.states("datawarehouse")[""].trouble is not None
    service.clear()
    service.answer("", Status(404))
    with pytest.raises(NotFound):
        http.get(server, PATH, whole(Item), Deadline(20)).result()
    assert metrics.connected.states("datawarehouse")[""].trouble is None


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
    """No header is printed anywhere."""
    assert service.url in repr(server)
    assert service.token not in f"{server} {server!r}"


def test_a_refusal_is_not_the_last_word_when_others_were_answered_since(
    http: HTTP, service: Warehouse, server: Server
) -> None:
    """With two documents, the failure of one may be seen long after the other arrived."""
    service.answer("", Status(401), times=1)
    pending = http.get(server, PATH, whole(Item), Deadline(20))
    deadline = Deadline(20)
    while not service.requests and deadline.remaining():
        time.sleep(0.01)
    time.sleep(1.1)
    assert http.get(server, PATH, whole(Item), Deadline(20)).result() == Item("redhat:1")
    assert pending.result() == Item("redhat:1")


@pytest.mark.parametrize("code", [204, 206, 300, 304, 400, 405, 410, 451])
def test_another_status_is_unavailable(get: Get, service: Warehouse, code: int) -> None:
    """An unexpected code leads to one request, and then to the retry queues."""
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


def test_a_document_over_its_bound_is_asked_for_once(
    http: HTTP, service: Warehouse, server: Server
) -> None:
    """Each document has a bound of its own; one that is larger will be so the next time, too."""
    reading = Reading(Item, lambda item, _: item, most_bytes=100)
    with pytest.raises(Unavailable, match="the body is larger than 100 bytes") as error:
        http.get(server, PATH, reading, Deadline(20)).result()
    assert (error.value.hiccup, error.value.held) == (False, False)
    assert len(service.requests) == 1
    assert http.get(server, PATH, whole(Item), Deadline(20)).result() == Item("redhat:1")


def test_a_document_of_too_many_objects_is_invalid(
    http: HTTP, service: Warehouse, server: Server
) -> None:
    """Few bytes can become many objects, which need far more room."""
    reading = Reading(Item, lambda item, _: item, most_objects=1_000)
    for count, is_fine in ((999, True), (1_000, False)):
        service.clear()
        more = b", ".join([b"{}"] * count)
        service.answer("", Garbage(b'{"id": "redhat:1", "more": [' + more + b"]}"))
        if is_fine:
            assert http.get(server, PATH, reading, Deadline(20)).result() == Item("redhat:1")
        else:
            with pytest.raises(InvalidDocument, match=f"{PATH}.*more than 1000 objects"):
                http.get(server, PATH, reading, Deadline(20)).result()


#: Faults, and whether each is about the service as a whole.
JUDGED: list[tuple[Fault, bool]] = [
    (Hang(30), True),
    (Reset(0), False),
    (Status(429), True),
    *((Status(code), False) for code in (500, 502, 503, 504, 401, 403, 418)),
    (Truncated(), False),
    (Truncated(0), False),
    (Reset(), False),
    (Drip(1), False),
    (Html(), False),
    (NoBackend(), False),
    (NoBackend(b""), False),
    (Garbage(b"x"), False),
    (Redirect("http://elsewhere.invalid/"), False),
    (RedirectLoop(), False),
]


@pytest.mark.parametrize("judged", JUDGED, ids=lambda it: repr(it[0]))
def test_one_object_is_told_from_the_service(
    http: HTTP, service: Warehouse, server: Server, judged: tuple[Fault, bool]
) -> None:
    """A service that begins to answer is up: the failure is about that one object."""
    fault, is_service = judged
    service.answer("redhat:1", fault)
    reading = Reading(Item, lambda item, _: item, seconds=0.8)
    for path in (PATH, f"{PATH}/builds", f"{PATH}/all"):
        with pytest.raises(Unavailable):
            http.get(server, path, reading, Deadline(1), "redhat:1").result()
    gate = http.gate(server)
    assert gate.is_down == is_service


@pytest.mark.parametrize("data", [b"", b"HTTP/1.1 200 OK\r\n", b"x", b"SSH-2.0-OpenSSH_9.6\r\n"])
def test_a_first_byte_is_enough(
    http: HTTP, service: Warehouse, server: Server, data: bytes
) -> None:
    """A connection closed without a byte is the service's failure, anything else the object's."""
    service.answer("redhat:1", Raw(data))
    with pytest.raises(Unavailable):
        http.get(server, PATH, whole(Item), Deadline(0.1), "redhat:1").result()
    assert http.gate(server).is_down == (not data)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:{}", "http://nobody.invalid", "https://127.0.0.1:{}"]
)
def test_who_can_not_be_reached_is_down(http: HTTP, service: Warehouse, url: str) -> None:
    """Refused, unknown, or without TLS where TLS was asked for."""
    port = free_port() if url.startswith("http:") else int(service.url.rpartition(":")[2])
    server = Server("datawarehouse", url.format(port), [], "DATAWAREHOUSE_TOKEN")
    with pytest.raises(Unavailable, match="no response") as error:
        http.get(server, PATH, whole(Item), Deadline(0.1)).result()
    assert error.value.held
    assert http.gate(server).is_down


def test_three_objects_in_a_row_are_the_service(
    http: HTTP, service: Warehouse, server: Server
) -> None:
    """If all objects fail, the service is down, with any answers."""
    service.answer("", Status(500))
    gate = http.gate(server)
    for number in range(3):
        assert not gate.is_down
        with pytest.raises(Unavailable):
            http.get(server, PATH, whole(Item), Deadline(0.1), f"redhat:{number}").result()
    assert gate.is_down


def test_a_host_that_is_asked_is_not_forgotten_for_many_others(http: HTTP) -> None:
    """Any document may name a host; the state of one in use does not depend on how many do."""

    def gitlab(name: str) -> Server:
        return Server("gitlab", f"http://{name}", [], "GITLAB_TOKENS", host=name)

    warehouse = http.gate(Server("datawarehouse", "http://warehouse", [], "DATAWAREHOUSE_TOKEN"))
    used, unused = http.gate(gitlab("used")), http.gate(gitlab("unused"))
    for number in range(1_000):
        http.gate(gitlab(f"host-{number}"))
        assert http.gate(gitlab("used")) is used
    assert http.gate(gitlab("unused")) is not unused
    again = http.gate(Server("datawarehouse", "http://warehouse", [], "DATAWAREHOUSE_TOKEN"))
    assert again is warehouse
