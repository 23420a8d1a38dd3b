"""The page of what waits, and what outcomes.json says of it."""

import time
from datetime import timedelta

from cki_notifier.web.status import MOST_SHOWN
from tests.factories.website import Scene
from tests.web.asking import document, page


class Work:
    """Waits for something."""

    waits_for = "an answer of <gitlab>"


def test_what_is_in_hand_says_for_what_it_waits() -> None:
    """Its checkout, its try, since when, and since when it is known at all."""
    scene = Scene()
    scene.take(1, "redhat:1", work=Work())
    told = document(scene)
    (held,) = told["in_hand"]
    assert held.pop("since").endswith("Z")
    assert held.pop("first_seen").endswith("Z")
    assert held == {
        "checkout_id": "redhat:1",
        "checkout_page": "checkout?id=redhat%3A1",
        "status": "ready_to_report",
        "event_id": "event-1",
        "attempt": 1,
        "does": "waits: an answer of <gitlab>",
    }
    shown = page(scene, "/waiting")
    assert "waits: an answer of &lt;gitlab&gt;" in shown
    assert '<a href="checkout?id=redhat%3A1">redhat:1</a>' in shown
    assert f"Being processed: 0 of at most {told['in_flight_limit']}." in shown


def test_what_was_in_hand_when_the_connection_broke_is_no_more() -> None:
    """The page says so until the process consumes again."""
    scene = Scene()
    scene.take(1, "redhat:1")
    assert "redelivers" not in page(scene, "/waiting")
    scene.liveness.missing = "rabbitmq: it is down"
    assert "RabbitMQ redelivers the notifications it had in flight" in page(scene, "/waiting")


def test_what_is_delayed_says_why_and_until_when() -> None:
    """And how many others the retry queues hold."""
    scene = Scene(waiting={"main": 0, "delay": 12, "dead-letter": 0})
    scene.delay("redhat:1", age=timedelta(hours=2), attempt=3, error="gitlab: <503>")
    (delayed,) = document(scene)["delayed"]
    assert (delayed["checkout_id"], delayed["attempt"]) == ("redhat:1", 3)
    assert (delayed["reason"], delayed["error"]) == ("unavailable", "gitlab: <503>")
    assert delayed["first_seen"] < delayed["until"]
    shown = page(scene, "/waiting")
    for part in (
        "a service failed or did not answer",
        "gitlab: &lt;503&gt;",
        "attempt 3 failed, next attempt",
        "The retry queues hold about 11 more.",
    ):
        assert part in shown
    scene.waiting["delay"] = 1
    assert "retry queues hold" not in page(scene, "/waiting")


def test_lists_are_bounded_and_tell_how_many_there_are() -> None:
    """However many there are, 50 of each are shown."""
    scene = Scene()
    for number in range(60):
        scene.take(number, f"redhat:{number}")
        scene.delay(f"delayed:{number}")
    told = document(scene)
    assert (told["in_hand_count"], len(told["in_hand"])) == (60, MOST_SHOWN)
    assert (told["delayed_count"], len(told["delayed"])) == (60, MOST_SHOWN)
    assert page(scene, "/waiting").count("<p>… and 10 more.</p>") == 2


def test_nothing_that_waits_is_said_as_well() -> None:
    """And what has no id shares a page."""
    scene = Scene(waiting={})
    assert page(scene, "/waiting").count("<p>Nothing.</p>") == 2
    scene.take(1, "")
    assert ">without an id</a>" in page(scene, "/waiting")


def test_a_page_costs_no_more_the_more_waits() -> None:
    """With 500 outcomes, the page stays about as cheap as it is when nothing waits."""

    def seconds(scene: Scene) -> float:
        tries = []
        for _ in range(5):
            started = time.thread_time()
            page(scene)
            tries.append(time.thread_time() - started)
        return min(tries)

    idle, busy = Scene(), Scene()
    for number in range(500):
        idle.settle(f"redhat:{number}")
        busy.settle(f"redhat:{number}")
    for number in range(1_000):
        busy.delay(f"redhat:{number}", age=timedelta(minutes=number))
    for number in range(32):
        busy.take(number, f"redhat:{number}")
    assert seconds(busy) < 2 * seconds(idle)
    assert len(page(busy)) < 100_000
