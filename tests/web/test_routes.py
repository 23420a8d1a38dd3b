"""The answers of all addresses of the HTTP port."""

import json
import re
import time
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from cki_notifier import __version__
from cki_notifier.notification.models import Position
from cki_notifier.telemetry import metrics
from cki_notifier.telemetry.connections import Trouble
from cki_notifier.telemetry.outcomes import KEPT, Outcomes
from tests.factories.environment import environment, full_environment, read
from tests.factories.website import Scene, answering
from tests.properties import PATIENT
from tests.web.asking import document, page, show

MERGE_REQUEST = "https://gitlab.com/group/kernel/-/merge_requests/7"


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/page.js", "text/javascript; charset=utf-8"),
        ("/page.css", "text/css; charset=utf-8"),
        ("/outcomes.json", "application/json"),
        ("/waiting", "text/html; charset=utf-8"),
        ("/dead-letters", "text/html; charset=utf-8"),
        ("/metrics", "text/plain; version=0.0.4; charset=utf-8"),
        ("/live", "text/plain; charset=utf-8"),
        ("/ready", "application/json"),
    ],
)
def test_every_address_shows_something(path: str, content_type: str) -> None:
    """Each with the type of its content."""
    answer = show(Scene(), path)
    assert (answer.code, answer.content_type) == (HTTPStatus.OK, content_type)
    assert answer.body


@pytest.mark.parametrize("path", ["", "/page.html", "/metrics/", "/../server.py", "/%6cive", "*"])
def test_any_other_address_shows_nothing(path: str) -> None:
    """The port serves no other files."""
    assert show(Scene(), path).code == HTTPStatus.NOT_FOUND


def test_liveness_asks_no_dependency() -> None:
    """With RabbitMQ and Kafka away, the process is alive."""
    scene = Scene(kafka="it is down")
    scene.liveness.missing = "rabbitmq: it is down"
    assert show(scene, "/live").code == HTTPStatus.OK


def test_readiness_tells_what_is_missing() -> None:
    """503 and a sentence for each; 200 when there is none."""
    scene = Scene()
    assert document(scene, "/ready") == {"ready": True, "missing": []}
    scene.kafka = "it is down"
    scene.liveness.missing = "rabbitmq: not connected yet"
    answer = show(scene, "/ready")
    assert answer.code == HTTPStatus.SERVICE_UNAVAILABLE
    missing = ["rabbitmq: not connected yet", "kafka: it is down"]
    assert json.loads(answer.body) == {"ready": False, "missing": missing}


def test_metrics_have_what_waits_in_the_queues() -> None:
    """The numbers of the broker, without unknown ones."""
    scene = Scene(waiting={"main": 12, "dead-letter": 3})
    text = show(scene, "/metrics").body.decode()
    found = {
        sample.labels["queue"]: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "cki_notifier_queue_messages"
    }
    assert found == {"main": 12, "dead-letter": 3}
    assert "cki_notifier_in_flight 0.0" in text


def test_metrics_tell_since_when_the_oldest_notification_is_not_settled() -> None:
    """When it was first received, of those in flight and of those delayed; else nothing."""
    scene = Scene()
    name = "cki_notifier_oldest_notification_timestamp_seconds"

    def oldest(state: str) -> float:
        text = show(scene, "/metrics").body.decode()
        found = re.search(rf'^{name}{{state="{state}"}} (.*)$', text, re.MULTILINE)
        return time.time() - float(found[1]) if found else -1

    assert (oldest("in_hand"), oldest("delayed")) == (-1, -1)
    scene.take(1, "redhat:1")
    scene.delay("redhat:2", age=timedelta(hours=3))
    scene.delay("redhat:3", age=timedelta(hours=1))
    assert 0 <= oldest("in_hand") < 100
    assert 3 * 3600 <= oldest("delayed") < 3 * 3600 + 100


def test_metrics_come_in_the_format_that_is_asked_for() -> None:
    """Prometheus itself prefers OpenMetrics."""
    answer = show(Scene(), "/metrics", accept="application/openmetrics-text; version=1.0.0")
    assert answer.content_type.startswith("application/openmetrics-text; version=1.0.0")
    assert answer.body.endswith(b"# EOF\n")


@pytest.mark.parametrize("accept", ["", "application/openmetrics-text; version=1.0.0"])
def test_metrics_tell_of_the_process_and_not_when_they_began(accept: str) -> None:
    """In both formats: memory and the like are there, and no series is doubled by its age."""
    scene = Scene()
    scene.settle("redhat:1", seconds=0.1)
    text = show(scene, "/metrics", accept=accept).body.decode()
    for name in ("process_resident_memory_bytes", "process_start_time_seconds", "python_info"):
        assert re.search(f"^{name}[ {{]", text, re.MULTILINE)
    assert "_created" not in text
    assert "cki_notifier_in_flight_limit" in text


def test_an_outcome_is_told_in_full() -> None:
    """Everything that the page shows of it, and its links."""
    scene = Scene()
    scene.settle(
        "redhat:1/2",
        merge_request=MERGE_REQUEST,
        seconds=0.12345,
        event_id="e-1",
        attempt=3,
        position=Position(2, 1234),
        was_there=True,
        by="anna",
    )
    (row,) = document(scene)["outcomes"]
    assert row.pop("time").endswith("Z")
    assert row == {
        "number": 1,
        "checkout_id": "redhat:1/2",
        "checkout_url": "https://datawarehouse.example/kcidb/checkouts/redhat%3A1%2F2",
        "checkout_page": "checkout?id=redhat%3A1%2F2",
        "merge_request": "kernel!7",
        "merge_request_url": MERGE_REQUEST,
        "status": "build_setups_finished",
        "outcome": "sent",
        "reason": "pre-test",
        "stage": "pre-test",
        "sentence": "the checkout's builds are ready for testing",
        "error": "",
        "seconds": 0.123,
        "event_id": "e-1",
        "attempt": 3,
        "partition": 2,
        "offset": 1234,
        "next_try": None,
        "letter": "",
        "was_there": True,
        "by": "anna",
        "note": "by hand by anna; attempt 3; already in the topic",
    }


def test_what_failed_tells_when_it_is_tried_again_and_where_it_lies() -> None:
    """The next try, and the id among the dead letters; in words, too."""
    scene = Scene()
    until = datetime(2026, 11, 20, 3, 12, 9, tzinfo=UTC)
    scene.settle("redhat:1", "delayed", "unavailable", next_try=until)
    scene.settle("redhat:2", "dead-lettered", "not-found", letter="3d64328b9c12")
    dead, delayed = document(scene)["outcomes"]
    assert (delayed["next_try"], delayed["note"]) == (
        "2026-11-20T03:12:09Z",
        "next attempt 03:12:09 UTC",
    )
    assert (dead["letter"], dead["note"]) == ("3d64328b9c12", "dead letter 3d64328b9c12")
    shown = page(scene)
    assert "next attempt 03:12:09 UTC" in shown
    assert "dead letter 3d64328b9c12" in shown


def test_a_notification_without_a_checkout_has_no_link() -> None:
    """A notification with a cut id has no link to DataWarehouse either."""
    scene = Scene()
    scene.settle("", "dead-lettered", "malformed", error="not JSON")
    scene.settle("x" * 1000, "ignored", "status", merge_request="https://" + "x" * 1000)
    cut, malformed = document(scene)["outcomes"]
    assert (malformed["checkout_url"], malformed["stage"], malformed["error"]) == (
        "",
        "",
        "not JSON",
    )
    assert malformed["sentence"] == "the body is not a valid notification"
    assert (cut["checkout_url"], cut["merge_request_url"]) == ("", "")


@pytest.mark.parametrize(
    ("url", "shown", "link"),
    [
        ("", "", ""),
        ("http://gitlab.example:8080/a/b/c/-/merge_requests/12", "c!12", None),
        ("https://elsewhere.example/12", "https://elsewhere.example/12", None),
        ("javascript:alert(1)", "javascript:alert(1)", ""),
        ("//gitlab.com/a/b/-/merge_requests/1", "//gitlab.com/a/b/-/merge_requests/1", ""),
        ("http://[", "http://[", ""),
        ("https://a/\u202eb", "https://a/\\u202eb", ""),
    ],
)
def test_a_merge_request_is_linked_when_its_address_can_be(
    url: str, shown: str, link: str | None
) -> None:
    """Its name is short, as people say it; what is no address of the web is only shown."""
    scene = Scene()
    scene.settle("redhat:1", "ignored", "superseded", merge_request=url)
    (row,) = document(scene)["outcomes"]
    assert (row["merge_request"], row["merge_request_url"]) == (
        shown,
        url if link is None else link,
    )


@pytest.mark.parametrize(
    ("after", "numbers"),
    [
        ([], [3, 2, 1]),
        (["1"], [3, 2]),
        (["3"], []),
        (["-1"], [3, 2, 1]),
        (["x"], [3, 2, 1]),
        (["9" * 18], []),
        (["9" * 5_000], [3, 2, 1]),
        (["\u0661"], [3, 2, 1]),
    ],
)
def test_only_what_is_new_can_be_asked_for(after: list[str], numbers: list[int]) -> None:
    """So a page that refreshes itself costs little."""
    scene = Scene()
    for _ in range(3):
        scene.settle()
    found = document(scene, after=after)["outcomes"]
    assert [row["number"] for row in found] == numbers


def test_it_tells_what_the_process_is() -> None:
    """Version, environment, since when, and how much there is to do."""
    scene = Scene(waiting={"main": 2})
    with metrics.in_flight.track_inprogress():
        status = document(scene)
    process = status["process"]
    assert (process["version"], process["environment"]) == (__version__, "production")
    assert process["sends"] is True
    assert process["started"][:19] <= status["now"][:19]
    assert (status["in_flight"], status["waiting"], status["last_sent"]) == (1, {"main": 2}, None)


def test_it_tells_what_it_is_connected_to() -> None:
    """Each with what we have to do with it, and whether it answers."""
    scene = Scene(read(full_environment()), kafka="it is down")
    with answering(datawarehouse=True, jira=False):
        connections = document(scene)["connections"]
    assert [(it["id"], it["about"], it["state"]) for it in connections] == [
        ("rabbitmq", "other.queue", "up"),
        ("copies", "", "up"),
        ("kafka", "other-topic", "down"),
        ("datawarehouse", "datawarehouse.example", "up"),
        ("gitlab:gitlab.com", "gitlab.com", "unknown"),
        ("jira", "jira.example", "down"),
    ]
    kafka, jira = [it["problem"] for it in connections if it["problem"]]
    assert kafka == "Kafka does not answer (it is down). Notifications wait until Kafka answers."
    assert re.fullmatch(
        r"Jira at jira.example answers 503 since \d\d:\d\d UTC \(GET /api/1/x answered 503\). "
        "Messages are sent without their Jira issues.",
        jira,
    )


def test_each_gitlab_is_told_of_by_itself() -> None:
    """One that answers does not hide one that is down; those that are down come first."""
    scene = Scene(read(full_environment()))
    with answering(datawarehouse=True):
        metrics.connected.works("gitlab", "gitlab.com")
        metrics.connected.fails("gitlab", Trouble("answered 503"), "down.example:8443")
        metrics.connected.works("gitlab", "evil\x1b.example")
        connections = [it for it in document(scene)["connections"] if it["name"] == "GitLab"]
        shown = page(scene)
        samples = show(scene, "/metrics").body.decode()
    assert [(it["id"], it["state"]) for it in connections] == [
        ("gitlab:down.example:8443", "down"),
        ("gitlab:evil\\x1b.example", "up"),
        ("gitlab:gitlab.com", "up"),
    ]
    assert "GitLab at down.example:8443 answers 503 since" in connections[0]["problem"]
    assert '<li id="connection-gitlab:down.example:8443" data-state="down">' in shown
    assert 'connected{dependency="gitlab",host="down.example:8443"} 0.0' in samples
    assert 'connected{dependency="gitlab",host="gitlab.com"} 1.0' in samples
    assert 'connected{dependency="datawarehouse"} 1.0' in samples


def test_no_more_gitlabs_are_shown_than_fit_on_a_page() -> None:
    """Any document may name one; what is down is shown before all others."""
    scene = Scene(read(full_environment()))
    with answering():
        for number in range(100):
            metrics.connected.works("gitlab", f"{number}.example")
        metrics.connected.fails("gitlab", Trouble("answered 503"), "77.example")
        connections = [it for it in document(scene)["connections"] if it["name"] == "GitLab"]
    assert len(connections) == 20
    assert connections[0]["id"] == "gitlab:77.example"


def test_copies_that_are_held_up_are_a_problem() -> None:
    """The page never says that all is well while a queue takes nothing."""
    scene = Scene()
    scene.liveness.held_up = ["rabbitmq: 3 copies wait for the queue q.dead-letter: it is full"]
    (copies,) = [it for it in document(scene)["connections"] if it["id"] == "copies"]
    assert (copies["state"], copies["says"]) == ("down", "accept no notifications")
    assert "3 copies wait for the queue q.dead-letter: it is full" in copies["problem"]
    assert show(scene, "/ready").code == HTTPStatus.OK
    scene.liveness.stands_still = True
    answer = show(scene, "/ready")
    assert answer.code == HTTPStatus.SERVICE_UNAVAILABLE
    assert "q.dead-letter" in answer.body.decode()


def test_an_onlooker_says_that_it_sends_nothing() -> None:
    """Neither Kafka nor the queues are its business, and what is not configured is not missed."""
    scene = Scene(read(environment(CKI_DEPLOYMENT_ENVIRONMENT="development")), waiting={})
    with answering():
        connections = {it["id"]: it for it in document(scene)["connections"]}
        shown = page(scene)
    assert connections["rabbitmq"]["about"] == "a temporary queue"
    assert connections["kafka"]["says"] == "not used here"
    assert connections["jira"]["says"] == "not configured"
    assert "development: messages are printed, not published" in shown
    assert shown.count(">unknown<") == 3


def test_the_page_shows_the_same_without_scripts() -> None:
    """Rows, problems and numbers are in it as it comes."""
    scene = Scene(kafka="it is <down>", waiting={"main": 1_234, "delay": 0, "dead-letter": 1})
    scene.settle("redhat:1", seconds=12.6, merge_request=MERGE_REQUEST)
    shown = page(scene)
    assert '<p id="verdict" data-state="problem" role="status">2 problems</p>' in shown
    assert ">Kafka does not answer</strong>" in shown
    assert '<p class="answered">it is &lt;down&gt;</p>' in shown
    assert ">1 dead letter</strong>" in shown
    assert ">1,234<" in shown
    assert ">13 s<" in shown
    assert f'href="{MERGE_REQUEST}">kernel!7</a>' in shown
    assert 'href="checkout?id=redhat%3A1"' in shown
    assert "1 of 1 shown" in shown
    assert "No outcomes yet." in page(Scene())


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, 3),
        ({"q": ["redhat:1 KERNEL!7"]}, 1),
        ({"q": ["https://datawarehouse.example/kcidb/checkouts/redhat%3A2"]}, 1),
        ({"outcome": ["ignored", "delayed"]}, 2),
        ({"outcome": ["nonsense"]}, 3),
        ({"q": ["redhat:1"], "outcome": ["ignored"]}, 0),
    ],
)
def test_the_page_can_be_searched_by_its_address(query: dict[str, list[str]], found: int) -> None:
    """By words and by outcomes."""
    scene = Scene()
    scene.settle("redhat:1", merge_request=MERGE_REQUEST)
    scene.settle("redhat:2", "ignored", "superseded")
    scene.settle("redhat:3", "delayed", "bug")
    shown = page(scene, **query)
    assert f"{found} of 3 shown" in shown
    assert shown.count("<tr ") == 1 + found, "with the head"


@given(st.text(st.characters()))
@PATIENT
def test_any_text_stays_text(text: str) -> None:
    """No text of a notification or an error adds markup to the page."""
    scene = Scene()
    scene.settle(
        text, "delayed", "unavailable", status=text, merge_request=text, error=text, seconds=1
    )
    tame = Scene()
    tame.settle("x", "delayed", "unavailable")
    assert page(scene).count("<") - page(tame).count("<") == 0
    row = document(scene)["outcomes"][0]
    assert all(row[name].isprintable() for name in ("checkout_id", "status", "error"))
    assert row["merge_request_url"].startswith(("http:", "https:")) or not row["merge_request_url"]


@pytest.mark.parametrize(
    ("age", "told"),
    [
        (timedelta(seconds=90), "1 min ago"),
        (timedelta(minutes=59, seconds=10), "59 min ago"),
        (timedelta(hours=47, minutes=30), "47 h ago"),
        (timedelta(days=3, hours=1), "3 days ago"),
        (timedelta(hours=-1), "0 s ago"),
    ],
)
def test_an_age_is_told_in_one_unit(age: timedelta, told: str) -> None:
    """Roughly, as people say it; a clock that was set back does no harm."""
    scene = Scene(outcomes=Outcomes(lambda: datetime.now(UTC) - age))
    scene.settle()
    assert page(scene).count(told) == 2, "of the outcome, and of the last message sent"


def test_a_word_is_looked_for_once_however_often_it_is_asked_for() -> None:
    """A search as long as a request may be costs little more than one for a word."""
    scene = Scene()
    for _ in range(KEPT):
        scene.settle("redhat:" + "a" * 400, merge_request="https://gitlab.example/" + "b" * 400)

    def cpu_seconds(search: str) -> float:
        tries = []
        for _ in range(3):
            started = time.thread_time()
            assert f"1 to 50 of {KEPT} shown" in page(scene, q=[search])
            tries.append(time.thread_time() - started)
        return min(tries)

    assert cpu_seconds("a " * 8_000) < 3 * cpu_seconds("a")


def test_what_a_browser_loads_is_small() -> None:
    """Without a framework: all of the pages' files together, uncompressed."""
    assets = (files("cki_notifier.web") / "assets").iterdir()
    sizes = {it.name: len(it.read_bytes()) for it in assets}
    assert {"page.html", "page.js", "page.css", "frame.html"} <= sizes.keys()
    assert sum(sizes.values()) < 40_000
