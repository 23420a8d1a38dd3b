"""The HTTP client: what is retried, how often, and for how long."""

import threading
import time

import pytest

from cki_notifier.notification.errors import Interrupted, Unavailable
from tests.sources.reading import PATH, Get, Item
from tools.stand_ins import (
    Drip,
    Fault,
    Garbage,
    Hang,
    Html,
    Reset,
    Status,
    Truncated,
    Warehouse,
)

#: Failures that may be over at the next try.
HICCUPS = [
    Status(429),
    Status(500),
    Status(502, b"<html>"),
    Truncated(),
    Reset(),
    Html(),
    Garbage(b'{"id": '),
]


@pytest.mark.parametrize("fault", HICCUPS, ids=repr)
def test_a_hiccup_is_tried_again_at_once(get: Get, service: Warehouse, fault: Fault) -> None:
    """A service that fails once costs the notification no delay."""
    service.answer("", fault, times=1)
    assert get() == Item("redhat:1")
    assert len(service.requests) == 2


@pytest.mark.parametrize(
    "fault",
    [
        *HICCUPS,
        *(Status(code) for code in (501, 503, 504, 599)),
        Truncated(0),
        Reset(0),
        Hang(30),
        Garbage(b""),
        Garbage(b'{"id": "\xff"}'),
    ],
    ids=repr,
)
def test_a_lasting_failure_is_unavailable(get: Get, service: Warehouse, fault: Fault) -> None:
    """For any fault, the error names the service and the path."""
    service.answer("", fault)
    with pytest.raises(Unavailable, match=f"datawarehouse: .*{PATH}") as error:
        get(0.2)
    assert error.value.service == "datawarehouse"
    assert error.value.hiccup


def test_few_tries_are_made(get: Get, service: Warehouse) -> None:
    """After three tries it is left to the delays."""
    service.answer("", Status(500))
    with pytest.raises(Unavailable, match="answered 500"):
        get()
    assert len(service.requests) == 3


def test_a_service_that_is_down_is_unavailable(get: Get, service: Warehouse) -> None:
    """A refused connection is retried, and works once the service is back."""
    service.down()
    with pytest.raises(Unavailable, match=f"datawarehouse: no response to GET {PATH}"):
        get(0.2)
    timer = threading.Timer(0.1, service.up)
    timer.start()
    assert get() == Item("redhat:1")
    timer.join()


@pytest.mark.parametrize("fault", [Hang(30), Drip(0.02)], ids=repr)
def test_one_deadline_covers_all_tries(get: Get, service: Warehouse, fault: Fault) -> None:
    """A slow service and many retries do not exceed the deadline."""
    service.latency = 0.3
    service.answer("", fault)
    started = time.monotonic()
    with pytest.raises(Unavailable):
        get(0.5)
    assert time.monotonic() - started < 2


@pytest.mark.parametrize("code", [429, 503])
def test_retry_after_is_honoured(get: Get, service: Warehouse, code: int) -> None:
    """A service that asks for a second gets it."""
    service.answer("", Status(code, headers={"Retry-After": "1"}), times=1)
    assert get() == Item("redhat:1")
    first, second = service.requests
    assert second.at - first.at > 0.95


@pytest.mark.parametrize("wish", ["30", "86400", "999999999", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_nobody_waits_for_hours(get: Get, service: Warehouse, wish: str) -> None:
    """A wait that ends after the deadline isn't begun, and none is longer than ten seconds."""
    service.answer("", Status(503, headers={"Retry-After": wish}))
    started = time.monotonic()
    with pytest.raises(Unavailable, match="answered 503") as error:
        get(10)
    assert time.monotonic() - started < 5
    assert len(service.requests) == 1
    assert error.value.retry_after == 10


@pytest.mark.parametrize(
    "wish",
    [
        "soon",
        "-5",
        "Mon, 01 Jan 2024 00:00:00 GMT",
        "Mon, 01 Jan 2024 00:00:99999999999999999999 GMT",
    ],
)
def test_a_wish_that_is_none_is_ignored(get: Get, service: Warehouse, wish: str) -> None:
    """A ``Retry-After`` nobody understands, or of a time gone by, asks for no wait."""
    service.answer("", Status(503, headers={"Retry-After": wish}))
    with pytest.raises(Unavailable, match="answered 503") as error:
        get(1)
    assert error.value.retry_after == 0


def test_stopping_ends_a_pause(get: Get, service: Warehouse) -> None:
    """When the process stops, nobody waits for the next try."""
    service.answer("", Status(503, headers={"Retry-After": "30"}))
    stopping = threading.Event()
    timer = threading.Timer(0.2, stopping.set)
    timer.start()
    started = time.monotonic()
    with pytest.raises(Interrupted):
        get(60, stopping=stopping)
    assert time.monotonic() - started < 5
    timer.join()
