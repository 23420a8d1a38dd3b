"""The page of dead letters: found and filtered, read seldom, without blocking other requests.

In the daemon, ``dead_letters/`` reads them; here a stand-in does.
"""

import re
import shlex
import socket
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import unescape
from http import HTTPStatus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cki_notifier.notification.errors import Unavailable
from cki_notifier.web import letters
from cki_notifier.web.letters import Letter, Letters, Reading
from cki_notifier.web.request import Request
from tests.factories.website import Scene, served
from tests.properties import PATIENT
from tests.web.asking import page
from tests.web.test_server import PATIENCE, ask


def letter(number: int, reason: str = "not-found") -> Letter:
    """Return one of many."""
    return Letter(id=f"{number:012x}", checkout_id=f"redhat:{number}", reason=reason)


class Later:
    """The monotonic time this many seconds later."""

    def __init__(self, seconds: float) -> None:
        self._now = time.monotonic() + seconds

    def monotonic(self) -> float:
        """Return it."""
        return self._now


@dataclass
class Queue:
    """Has letters to be read, and counts how often they are.

    Attributes:
        trouble: why they can't be read.
        may_answer: lets the one who reads go on.
    """

    letters: Sequence[Letter]
    trouble: str = ""
    reads: int = 0
    may_answer: threading.Event = field(default_factory=threading.Event)
    is_being_read: threading.Event = field(default_factory=threading.Event)
    total: int = 0

    def __post_init__(self) -> None:
        """Answer at once."""
        self.may_answer.set()

    def read(self) -> Reading:
        """Return them."""
        self.reads += 1
        self.is_being_read.set()
        self.may_answer.wait(30)
        if self.trouble:
            raise Unavailable("rabbitmq", self.trouble)
        count = len(self.letters)
        return Reading(tuple(self.letters), self.total or count, count)


def shown(*found: Letter, total: int = 0, **query: list[str]) -> str:
    """Return the page of letters."""
    queue = Queue(found, total=total)
    return page(Scene(letters=queue.read), "/dead-letters", **query)


def ids(text: str) -> list[str]:
    """Return the ids of the letters on a page, in its order."""
    return re.findall(r'<h2 id="letter-\d+"><code>(\w+)</code>', text)


def test_a_letter_is_told_in_full() -> None:
    """Its checkout, its reason, and the commands that show, retry and discard it."""
    text = shown(
        Letter(
            id="3d64328b9c12",
            checkout_id="redhat:1",
            status="ready_to_report",
            reason="not-found",
            sentence="a service still does not know the object after all retries",
            error="gitlab: <404>",
            attempts=7,
            first_seen=datetime(2026, 11, 20, 3, 12, 9, tzinfo=UTC),
            exchange="cki.exchange",
            routing_key="datawarehouse.checkout.new",
            body='{"a": "<b>"}',
            bytes=12,
        )
    )
    for part in (
        '<a href="checkout?id=redhat%3A1">redhat:1</a> ready_to_report',
        "after all retries <code>not-found</code>",
        "gitlab: &lt;404&gt;",
        "<dt>attempts</dt><dd>7</dd>",
        "2026-11-20 03:12:09 UTC",
        "cki.exchange datawarehouse.checkout.new",
        "<code>cki-notifier dead-letters show 3d64328b9c12</code>",
        "<code>cki-notifier dead-letters retry 3d64328b9c12</code>",
        "<code>cki-notifier dead-letters discard 3d64328b9c12</code>",
        "<code>cki-notifier dead-letters show 3d64328b9c12 --body | cki-notifier explain -</code>",
        "The body, 12 bytes",
        '  "a": "&lt;b&gt;"',
        "1 dead letter at ",
    ):
        assert part in text
    assert "<script" not in text
    assert "<form" not in text, "nothing can be changed here"


def test_a_letter_that_says_nothing_is_shown() -> None:
    """A body that is no JSON, and no other facts."""
    text = shown(Letter(id="a", checkout_id=None, reason="unknown", body="\\xff\x1b[31m", bytes=6))
    assert ">without an id</a>" in text
    assert "\\xff\\x1b[31m" in text
    assert "<dt>attempts</dt>" not in text


def test_a_long_body_is_cut() -> None:
    """The command shows all of it."""
    text = shown(
        Letter(id="a", checkout_id=None, reason="malformed", body="x" * 16_384, bytes=9**9)
    )
    assert "387,420,489 bytes" in text
    assert len(text) < 12_000


def test_there_are_50_on_a_page() -> None:
    """The others are one link away, and back; a page that is not there says so."""
    many = [letter(number) for number in range(120)]
    first, second, third = (shown(*many, page=[str(it)]) for it in (1, 2, 3))
    assert [len(ids(it)) for it in (first, second, third)] == [50, 50, 20]
    assert ids(first)[0] == letter(0).id
    assert ids(third)[-1] == letter(119).id
    assert "51 to 100 of 120 shown" in second
    assert ('page=1">' in second, 'page=3">' in second) == (True, True)
    assert ("page=0" in first, "page=4" in third) == (False, False)
    assert "no such page" in shown(*many, page=["4"])
    assert "1 to 50 of 120 shown" in shown(*many, page=["x"])
    assert "no such page" in shown(*many, page=["9" * 18])


def test_they_are_filtered_by_reason_and_searched() -> None:
    """By plain links; each keeps the other filters."""
    many = [letter(1), letter(2, "malformed"), letter(21, "malformed")]
    text = shown(*many, q=["REDHAT:2"])
    assert ids(text) == [letter(2).id, letter(21).id]
    assert "all (2)</a>" in text
    assert "malformed (2)</a>" in text
    assert 'href="dead-letters?q=REDHAT%3A2&amp;reason=malformed"' in text
    assert ids(shown(*many, reason=["not-found"])) == [letter(1).id]
    assert ids(shown(*many, reason=["malformed"], q=["redhat:21"])) == [letter(21).id]
    assert "No dead letter matches." in shown(*many, q=["<nothing>"])
    assert "<nothing>" not in shown(*many, q=["<nothing>"])


def test_it_says_when_there_are_more_than_were_read() -> None:
    """The page says that it shows only some of them."""
    text = shown(letter(1), letter(2), total=70_000)
    assert re.search(r"70,000 dead letters at .*\. The process read 2 of them, and shows 2\.", text)


def test_where_nothing_is_read_the_page_says_so() -> None:
    """With the command that shows them."""
    text = page(Scene(), "/dead-letters")
    assert "The dead letters are not shown: this environment uses no dead-letter queue." in text
    assert "cki-notifier dead-letters list" in text


def test_what_can_not_be_read_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure is retried sooner than a result."""
    queue = Queue([letter(1)], trouble="it is <down>\x1b")
    site = Scene(letters=queue.read).site()
    request = Request(path="/dead-letters", query={})
    text = site.answer(request).body.decode()
    assert "The dead letters are not shown: it is &lt;down&gt;\\x1b." in text
    queue.trouble = ""
    site.answer(request)
    assert queue.reads == 1
    monkeypatch.setattr(letters, "time", Later(11))
    assert ids(site.answer(request).body.decode()) == [letter(1).id]


def test_each_look_of_ours_is_one_delivery_a_minute_at_most(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With any number of readers; requests for other pages don't read them."""
    queue = Queue([letter(1)])
    site = Scene(letters=queue.read).site()
    for path in ("/", "/outcomes.json", "/waiting", "/metrics", "/checkout"):
        site.answer(Request(path=path, query={}))
    assert queue.reads == 0
    for number in range(5):
        site.answer(Request(path="/dead-letters", query={"page": [str(number)]}))
    assert queue.reads == 1
    monkeypatch.setattr(letters, "time", Later(61))
    site.answer(Request(path="/dead-letters", query={}))
    assert queue.reads == 2


def test_who_comes_while_they_are_read_waits_for_nobody() -> None:
    """One thread reads; the others are free for other pages."""
    queue = Queue([letter(1)])
    queue.may_answer.clear()
    cache = Letters(queue.read)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(cache.look)
        assert queue.is_being_read.wait(30)
        assert "still reading" in cache.look().trouble
        queue.may_answer.set()
        assert first.result(30).reading
    assert cache.look().reading
    assert queue.reads == 1


def test_what_was_read_before_is_shown_while_it_is_read_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It says of when it is."""
    queue = Queue([letter(1)])
    cache = Letters(queue.read)
    before = cache.look()
    queue.is_being_read.clear()
    queue.may_answer.clear()
    monkeypatch.setattr(letters, "time", Later(61))
    with ThreadPoolExecutor(1) as pool:
        again = pool.submit(cache.look)
        assert queue.is_being_read.wait(30)
        assert cache.look() == before
        queue.may_answer.set()
        assert again.result(30).as_of != before.as_of


def test_reading_holds_up_no_other_page() -> None:
    """Many may ask for letters while RabbitMQ takes its time; the page and probes are answered."""
    queue = Queue([letter(1)])
    queue.may_answer.clear()
    with (
        served(Scene(letters=queue.read)) as port,
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as first,
    ):
        first.sendall(b"GET /dead-letters HTTP/1.1\r\n\r\n")
        assert queue.is_being_read.wait(30)
        for _ in range(5):
            assert "still reading" in ask(port, "/dead-letters")[1]
            for path in ("/", "/live", "/ready"):
                assert ask(port, path)[0].status == HTTPStatus.OK
        queue.may_answer.set()
        first.settimeout(PATIENCE)
        assert b"200 OK" in first.recv(65_536)


def test_a_bug_in_reading_is_not_remembered() -> None:
    """The next one who looks reads again."""
    calls: list[int] = []

    def read() -> Reading:
        calls.append(1)
        raise LookupError("nobody expected this")

    cache = Letters(read)
    for _ in range(2):
        with pytest.raises(LookupError):
            cache.look()
    assert len(calls) == 2


@given(st.text(st.characters()))
@PATIENT
def test_any_text_stays_text(text: str) -> None:
    """No text of a letter adds markup or becomes a part of a command."""

    def made(text: str) -> str:
        return shown(
            Letter(
                id=text or "x",
                checkout_id=text,
                status=text,
                reason=text,
                error=text,
                exchange=text,
                routing_key=text,
                body=text,
                bytes=len(text),
            )
        )

    found = made(text)
    commands = re.findall(r"<dt>(?:show|retry|discard)</dt><dd><code>(.*?)</code>", found)
    missing = 24 if not commands else 0  # the markup of four of them
    assert made("x").count("<") - found.count("<") in {missing, missing + 4}
    assert len(commands) in {0, 3}
    assert all(shlex.split(unescape(it))[3:] == [text or "x"] for it in commands)
