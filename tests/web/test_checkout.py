"""The page of a checkout: all that the process knows of it, and the commands that show more."""

import json
import shlex
import subprocess
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cki_notifier.notification.models import Position
from cki_notifier.rules.explain import Step
from cki_notifier.web.rows import command
from tests.factories.environment import SECRETS, environment, full_environment, read
from tests.factories.website import Scene
from tests.properties import PATIENT
from tests.web.asking import document, page, show

MERGE_REQUEST = "https://gitlab.com/group/kernel/-/merge_requests/7"
MESSAGE = b'{"checkout":{"id":"redhat:1","tree":"<b>"}}'
STEPS = (
    Step("object-type", "checkout", "pass"),
    Step("superseded", "pipeline 7 < 9", "stop"),
)


class Work:
    """Waits for something."""

    waits_for = "an answer of gitlab"


def settle_all(scene: Scene) -> None:
    """Have a life of a checkout, between notifications of another one."""
    scene.settle("redhat:2")
    until = datetime(2026, 11, 20, 3, 12, 9, tzinfo=UTC)
    scene.settle(
        *("redhat:1", "delayed", "unavailable"),
        error="gitlab: answered <503>",
        event_id="e-1",
        next_try=until,
    )
    scene.settle("redhat:1", "ignored", "superseded", steps=STEPS, merge_request=MERGE_REQUEST)
    scene.settle(
        "redhat:1",
        event_id="e-1",
        attempt=2,
        position=Position(3, 1234),
        message=MESSAGE,
        steps=STEPS[:1],
    )
    scene.settle("redhat:1", "sent", "post-test", by="anna <a>", was_there=True)
    scene.settle("redhat:1", "dead-lettered", "not-found", letter="3d64328b9c12")
    scene.settle("redhat:2")


def history(scene: Scene, checkout_id: str = "redhat:1") -> Any:
    """Return what is known of a checkout."""
    return document(scene, "/checkout.json", id=[checkout_id])


def shown(scene: Scene, checkout_id: str = "redhat:1") -> str:
    """Return its page."""
    return page(scene, "/checkout", id=[checkout_id])


def test_a_checkout_has_its_notifications_in_order() -> None:
    """The oldest first, each with its details, and none of another checkout."""
    scene = Scene()
    settle_all(scene)
    told = history(scene)
    delayed, ignored, sent, by_hand, dead = told["notifications"]
    assert told["checkout_url"].endswith("/kcidb/checkouts/redhat%3A1")
    assert (told["merge_request"], told["merge_request_url"]) == ("kernel!7", MERGE_REQUEST)
    assert [it["number"] for it in told["notifications"]] == [2, 3, 4, 5, 6]
    assert (delayed["next_try"], delayed["event_id"]) == ("2026-11-20T03:12:09Z", "e-1")
    assert ignored["steps"] == [
        {"rule": "object-type", "saw": "checkout", "result": "pass"},
        {"rule": "superseded", "saw": "pipeline 7 < 9", "result": "stop"},
    ]
    assert "stage-not-reached" in ignored["not_looked_at"]
    assert (sent["partition"], sent["offset"], sent["attempt"]) == (3, 1234, 2)
    assert sent["message"] == json.loads(MESSAGE)
    assert sent["not_looked_at"] == []
    assert (by_hand["by"], by_hand["message"]) == ("anna <a>", None)
    assert dead["letter_command"] == "cki-notifier dead-letters show 3d64328b9c12"


def test_its_page_says_the_same() -> None:
    """Escaped, in words, with a table of the rules and the message folded up."""
    scene = Scene()
    settle_all(scene)
    text = shown(scene)
    assert text.count("<article ") == 5
    for part in (
        "gitlab: answered &lt;503&gt;",
        "the checkout&#x27;s merge request has a newer pipeline",
        '<th scope="row">superseded</th><td>stop</td><td>pipeline 7 &lt; 9</td></tr>',
        "Rules not reached: ",
        "partition 3 offset 1234",
        "2026-11-20 03:12:09 UTC",
        "cki-notifier dead-letters show 3d64328b9c12",
        "<dt>sent by hand by</dt><dd>anna &lt;a&gt;</dd>",
        '"tree": "&lt;b&gt;"',
        "https://datawarehouse.example/kcidb/checkouts/redhat%3A1",
        MERGE_REQUEST,
        "cki-notifier --checkout-id=redhat:1 --dry-run",
    ):
        assert part in text
    assert "<script" not in text, "it needs none"
    assert "Other replicas have their own pages" in text


def test_what_is_not_settled_is_there_as_well() -> None:
    """In flight, with the cause of the wait; delayed, with reason and next attempt."""
    scene = Scene()
    scene.take(1, "redhat:1", work=Work())
    scene.take(2, "redhat:2", work=Work())
    scene.delay("redhat:1", age=timedelta(hours=2), attempt=4)
    scene.delay("redhat:2")
    told = history(scene)
    (held,), (delayed,) = told["in_hand"], told["delayed"]
    assert (held["does"], held["event_id"]) == ("waits: an answer of gitlab", "event-1")
    assert (delayed["attempt"], delayed["reason"]) == (4, "unavailable")
    assert told["notifications"] == []
    text = shown(scene)
    assert "In flight now" in text
    assert "waits: an answer of gitlab" in text
    assert "Delayed now" in text
    assert "attempt 4 failed, next attempt" in text
    assert "redhat:2" not in text


@pytest.mark.parametrize("query", [{}, {"id": [""]}, {"id": ["redhat:7"]}, {"id": ["<b>\x1b"]}])
def test_a_checkout_that_is_not_known_is_404(query: dict[str, list[str]]) -> None:
    """The page says so."""
    scene = Scene()
    scene.settle("redhat:70")
    for path in ("/checkout", "/checkout.json"):
        assert show(scene, path, query).code == HTTPStatus.NOT_FOUND
    text = page(scene, "/checkout", **query)
    assert "This process has no record of this checkout" in text
    assert "<b>" not in text


def test_what_has_no_id_shares_a_page() -> None:
    """So an unreadable body has a page too."""
    scene = Scene()
    scene.settle("", "dead-lettered", "malformed", error="not JSON", letter="3d64328b9c12")
    assert 'href="checkout?id=">without an id</a>' in page(scene)
    text = page(scene, "/checkout")
    assert "cki-notifier dead-letters show 3d64328b9c12" in text
    assert "--dry-run" not in text


def test_the_record_is_shown_by_one_command() -> None:
    """With the brokers and how to talk to them, and nothing secret."""
    scene = Scene(read(full_environment()))
    scene.settle("redhat:1", position=Position(3, 1234))
    (sent,) = history(scene)["notifications"]
    words = shlex.split(sent["record_command"])
    assert words == [
        *("kcat", "-C", "-e", "-b", "kafka.example:9092", "-X", "security.protocol=SASL_SSL"),
        *("-X", "sasl.mechanism=SCRAM-SHA-512", "-t", "other-topic", "-p", "3", "-o", "1234"),
        *("-c", "1", "-f", r"%k\n%h\n%s\n"),
    ]
    everything = shown(scene) + json.dumps(history(scene))
    assert not [it for it in SECRETS.values() if it in everything]
    assert "hush" not in everything


def test_where_nothing_is_sent_there_is_no_record() -> None:
    """An onlooker has no topic."""
    scene = Scene(read(environment(CKI_DEPLOYMENT_ENVIRONMENT="development")))
    scene.settle("redhat:1")
    (sent,) = history(scene)["notifications"]
    assert (sent["topic"], sent["record_command"], sent["partition"]) == ("", "", None)


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))))
@PATIENT
def test_a_shell_reads_the_words_that_were_meant(words: list[str]) -> None:
    """With any characters; unprintable ones give no command."""
    line = command("printf", r"%s\0", *words)
    if not line:
        assert not all(word.isprintable() for word in words)
        return
    done = subprocess.run(["/bin/sh", "-c", line], capture_output=True, check=True)
    assert done.stdout.decode().split("\0")[:-1] == (words or [""])


@pytest.mark.parametrize("evil", ["-rf", "$(touch /tmp/x)", "a'b", 'a"b', "a;b|c&d>e", "`x`", "\\"])
def test_an_id_is_no_part_of_a_command(evil: str) -> None:
    """It is one word, and no option."""
    scene = Scene()
    scene.settle(evil)
    words = shlex.split(history(scene, evil)["dry_run_command"])
    assert words == ["cki-notifier", f"--checkout-id={evil}", "--dry-run"]


def test_an_id_that_is_too_long_has_a_page() -> None:
    """The link has the cut id and finds the checkout; no other link or command uses it."""
    scene = Scene()
    scene.settle("x" * 600)
    scene.take(1, "x" * 600)
    (row,) = document(scene)["outcomes"]
    cut = row["checkout_id"]
    assert len(cut) == 500
    told = history(scene, cut)
    assert (len(told["notifications"]), len(told["in_hand"])) == (1, 1)
    assert (told["checkout_url"], told["dry_run_command"]) == ("", "")


def test_a_page_does_not_grow_without_end() -> None:
    """The newest 100, with half a megabyte of messages; it says that there are more."""
    scene = Scene()
    for _ in range(103):
        scene.settle("redhat:1", message=b'{"a":"' + b"x" * 10_000 + b'"}')
    told = history(scene)
    assert (told["left_out"], len(told["notifications"])) == (3, 100)
    assert told["notifications"][-1]["message"]
    assert told["notifications"][0]["message"] is None
    text = shown(scene)
    assert "3 older outcomes are not shown" in text
    assert len(text) < 700_000


@given(st.text(st.characters()))
@PATIENT
def test_any_text_stays_text(text: str) -> None:
    """No text of a notification, a rule or a message adds markup."""

    def settled(text: str) -> Scene:
        scene = Scene()
        message = json.dumps({"a": text}).encode()
        scene.settle(
            *("redhat:1", "delayed", "unavailable"),
            status=text,
            merge_request=text or "x",
            error=text or "x",
            event_id=text or "x",
            letter=text or "x",
            by=text or "x",
            message=message,
            steps=(Step("status", text, "pass"),),
        )
        return scene

    tags = shown(settled(text)).count("<") - shown(settled("x")).count("<")
    assert tags <= 0, "a link or a command may be missing"
    assert tags > -20
