"""Whether all is well: every kind of trouble is a problem, and nothing else is."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cki_notifier.rabbitmq.liveness import NOT_YET
from cki_notifier.telemetry import metrics, outcomes, unsettled
from cki_notifier.telemetry.connections import Trouble
from cki_notifier.web import health
from cki_notifier.web.neighbours import RUNBOOK
from tests.deploy.monitoring import files
from tests.factories.environment import environment, full_environment, read
from tests.factories.website import Scene, answering
from tests.web.asking import document, page

MINUTE = 60.0


class Clock:
    """The monotonic time of what remembers, which a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        """Return it."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Return the clock of outcomes, unfinished notifications and probes."""
    clock = Clock()
    for module in (outcomes, unsettled, health):
        monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture(autouse=True)
def _nobody_else() -> Iterator[None]:
    """Forget the connections of other tests."""
    with answering():
        yield


class Work:
    """Waits for something."""

    def __init__(self, waits_for: str) -> None:
        self.waits_for = waits_for


def only_problem(scene: Scene) -> Any:
    """Return the only problem; check that the page shows it without scripts."""
    told = document(scene)
    (problem,) = told["problems"]
    assert told["verdict"] == {"state": "problem", "says": "1 problem"}
    shown = page(scene)
    assert '<p id="verdict" data-state="problem" role="status">1 problem</p>' in shown
    assert f'<li id="problem-{problem["id"]}">' in shown
    assert f'href="{problem["runbook"]}"' in shown
    assert problem["means"]
    assert problem["do"]
    return problem


def verdict(scene: Scene) -> tuple[str, str]:
    """Return the verdict of a scene without problems."""
    told = document(scene)
    assert told["problems"] == []
    return told["verdict"]["state"], told["verdict"]["says"]


def test_without_a_problem_it_works() -> None:
    """With nothing to do, and with work in flight that has only begun."""
    scene = Scene(waiting={"main": 3, "delay": 7, "dead-letter": 0})
    assert verdict(scene) == ("fine", "working")
    for number in range(32):
        scene.take(number, "redhat:1")
    assert verdict(scene) == ("fine", "working"), "32 of 32 alone is no problem"
    assert 'id="problems" aria-label="Problems"' in page(scene)


def test_before_the_first_connection_it_starts() -> None:
    """Neither well nor ill: nothing is known yet; from the first failure on it is a problem."""
    scene = Scene(waiting={})
    scene.liveness.missing = NOT_YET
    assert verdict(scene) == ("unknown", "starting")
    metrics.connected.fails("rabbitmq", Trouble("connection refused"))
    assert only_problem(scene)["id"] == "rabbitmq"


@pytest.mark.parametrize(
    ("trouble", "says", "section"),
    [
        (
            Trouble("GET /a answered 401; check the token in A_TOKEN", refuses=True),
            "refuses our token",
            "ckinotifiertokenrefused",
        ),
        (Trouble("GET /a answered 503"), "answers 503", "ckinotifierservicefailing"),
        (Trouble("GET /a answered 429"), "answers 429", "ckinotifierservicefailing"),
        (
            Trouble("no response to GET /a: Connection refused"),
            "does not answer",
            "ckinotifierservicefailing",
        ),
        (
            Trouble("GET /a answered 200 without a JSON object"),
            "gives no valid answer",
            "ckinotifierservicefailing",
        ),
    ],
)
def test_a_service_is_told_of_by_what_it_answers(trouble: Trouble, says: str, section: str) -> None:
    """Since when, the last answer, what comes of it; a refused token is not called an outage."""
    scene = Scene()
    metrics.connected.fails("datawarehouse", trouble)
    for _ in range(12):
        metrics.connected.affects("datawarehouse")
    problem = only_problem(scene)
    assert problem["id"] == "datawarehouse"
    assert problem["says"] == f"DataWarehouse at datawarehouse.example {says}"
    assert datetime.now(UTC) - datetime.fromisoformat(problem["since"]) < timedelta(minutes=2)
    assert problem["answered"] == trouble.says
    assert problem["means"] == "Notifications that need it wait or are delayed: 12 since then."
    assert problem["runbook"] == f"{RUNBOOK}#{section}"
    (told,) = [it for it in document(scene)["connections"] if it["id"] == "datawarehouse"]
    assert (told["state"], told["says"]) == ("down", says)
    assert told["problem"].startswith(f"{problem['says']} since ")


def test_jira_delays_nothing() -> None:
    """Its consequence differs from that of the others."""
    scene = Scene(read(full_environment()))
    metrics.connected.fails("jira", Trouble("answered 503"))
    problem = only_problem(scene)
    assert problem["means"] == "Messages are sent without their Jira issues."
    assert problem["runbook"].endswith("#ckinotifierenrichmentfailing")


def test_rabbitmq_and_kafka_are_told_of() -> None:
    """Since when they are away, in the words of what failed."""
    scene = Scene(kafka="no answer within 2 s")
    scene.liveness.missing = "rabbitmq: can't connect to one:5672"
    metrics.connected.fails("rabbitmq", Trouble("can't connect to one:5672"))
    metrics.connected.fails("kafka", Trouble("no answer within 2 s"))
    rabbitmq, kafka = document(scene)["problems"]
    assert (rabbitmq["id"], rabbitmq["answered"]) == ("rabbitmq", "can't connect to one:5672")
    assert (kafka["id"], kafka["answered"]) == ("kafka", "no answer within 2 s")
    assert rabbitmq["since"]
    assert kafka["since"]
    assert document(scene)["verdict"]["says"] == "2 problems"


def test_kafka_that_confirms_nothing_is_not_called_well() -> None:
    """It answers, and yet the metric says that it is down: so does the page."""
    scene = Scene()
    metrics.connected.fails("kafka", Trouble("not enough replicas in sync"))
    problem = only_problem(scene)
    assert problem["says"] == "Kafka answers but confirms no messages"
    assert problem["answered"] == "not enough replicas in sync"
    (kafka,) = [it for it in document(scene)["connections"] if it["id"] == "kafka"]
    assert (kafka["state"], kafka["says"]) == ("down", "confirms nothing")


def test_copies_that_are_held_are_told_of() -> None:
    """Each queue, and why."""
    scene = Scene()
    scene.liveness.held_up = ["rabbitmq: 3 copies wait for the queue q.dead-letter: it is full"]
    problem = only_problem(scene)
    assert problem["id"] == "copies"
    assert problem["says"] == "3 copies wait for the queue q.dead-letter: it is full"


def test_that_rabbitmq_accepts_nothing_is_told_in_its_own_words() -> None:
    """An alarm of memory or disk holds for all queues, and needs another remedy."""
    scene = Scene()
    says = "RabbitMQ accepts no messages: low on memory; 3 copies wait"
    scene.liveness.held_up = [f"rabbitmq: {says}"]
    problem = only_problem(scene)
    assert (problem["id"], problem["says"]) == ("blocked", says)
    assert problem["runbook"].endswith("#ckinotifierrabbitmqblocked")


@pytest.mark.parametrize(("count", "says"), [(1, "1 dead letter"), (1066, "1,066 dead letters")])
def test_dead_letters_are_a_problem(count: int, says: str) -> None:
    """However well all else goes."""
    problem = only_problem(Scene(waiting={"main": 0, "delay": 0, "dead-letter": count}))
    assert (problem["id"], problem["says"]) == ("dead-letters", says)
    assert "cki-notifier dead-letters list" in problem["do"]


def test_nothing_settled_for_two_minutes_is_a_problem(clock: Clock) -> None:
    """Until then, the last outcome or each notification in flight is younger."""
    scene = Scene()
    scene.settle()
    clock.now += 60 * MINUTE
    scene.take(1, "redhat:1", work=Work("Kafka's confirmation"))
    scene.take(2, "redhat:2", work=Work("Kafka's confirmation"))
    scene.take(3, "redhat:3", work=Work("an answer of gitlab"))
    assert verdict(scene) == ("fine", "working"), "it came only just now"
    clock.now += 1.9 * MINUTE
    assert verdict(scene) == ("fine", "working")
    clock.now += 0.2 * MINUTE
    problem = only_problem(scene)
    assert problem["id"] == "standstill"
    assert problem["says"] == "No outcomes, with 3 in flight"
    assert problem["means"] == "2 of them wait: Kafka's confirmation."
    since = datetime.now(UTC) - datetime.fromisoformat(problem["since"])
    assert timedelta(minutes=2) < since < timedelta(minutes=4)
    scene.settle()
    assert verdict(scene) == ("fine", "working"), "another one was settled: it goes on"


def test_what_is_left_in_the_queue_is_a_problem_for_one_who_worked_before(clock: Clock) -> None:
    """RabbitMQ hands nothing out any more; one who never had anything stands by, perhaps."""
    scene = Scene(waiting={"main": 1_200, "delay": 0, "dead-letter": 0})
    clock.now += 3 * MINUTE
    assert verdict(scene) == ("unknown", "standing by")
    scene.settle()
    assert verdict(scene) == ("fine", "working")
    clock.now += 3 * MINUTE
    problem = only_problem(scene)
    assert problem["says"] == "No outcomes, with 1,200 in the main queue"
    scene.waiting["main"] = 0
    assert verdict(scene) == ("fine", "working")


def test_what_waits_while_nothing_is_consumed_is_one_problem(clock: Clock) -> None:
    """The lost consumer is the only problem; RabbitMQ redelivers the notifications in flight."""
    scene = Scene(waiting={"main": 12, "delay": 0, "dead-letter": 0})
    scene.take(1, "redhat:1")
    scene.settle()
    scene.liveness.missing = "rabbitmq: it is down"
    clock.now += 3 * MINUTE
    scene.liveness.tick()
    assert only_problem(scene)["id"] == "rabbitmq"


def test_what_is_delayed_for_more_than_an_hour_is_a_problem() -> None:
    """How many, which is the oldest, and why."""
    scene = Scene()
    scene.delay("redhat:1", age=timedelta(minutes=59))
    assert verdict(scene) == ("fine", "working")
    scene.delay("redhat:2", age=timedelta(hours=2))
    scene.delay("redhat:3", age=timedelta(hours=5), error="gitlab: it answers 404")
    problem = only_problem(scene)
    assert (problem["id"], problem["says"]) == ("delayed", "2 delayed for more than an hour")
    assert problem["answered"] == "gitlab: it answers 404"
    assert "The oldest is redhat:3." in problem["means"]


def test_a_loop_that_hangs_is_a_problem(clock: Clock) -> None:
    """Its last state is no longer trusted."""
    scene = Scene()
    scene.liveness.silent_for = lambda: clock.now  # type: ignore[method-assign]  # it hangs
    assert only_problem(scene)["id"] == "loop"


def test_an_onlooker_without_problems_works() -> None:
    """It knows nothing of the queues of others."""
    scene = Scene(read(environment(CKI_DEPLOYMENT_ENVIRONMENT="development")), waiting={})
    assert verdict(scene) == ("fine", "working")


def test_hostile_words_are_shown_as_they_are() -> None:
    """From any service: they are escaped and of bounded length."""
    scene = Scene()
    metrics.connected.fails(
        "gitlab", Trouble("<b>\x1b\u202e answered" + "x" * 5_000), "<i>.example"
    )
    scene.delay("<u>" + "x" * 1_000, age=timedelta(hours=2), error="<s>" * 1_000)
    scene.liveness.held_up = ["rabbitmq: <q>\x1b"]
    shown = page(scene)
    assert not re.search(r"<([biusq])>", shown)
    assert "&lt;b&gt;\\x1b\\u202e answered" in shown
    assert all(
        len(text) < 1_200
        for it in document(scene)["problems"]
        for text in filter(None, it.values())
    )


def test_each_problem_leads_to_a_section_of_the_runbook(clock: Clock) -> None:
    """At the address that the alerts lead to."""
    scene = Scene(read(full_environment()), kafka="down", waiting={"main": 9, "dead-letter": 1})
    scene.liveness.missing = "rabbitmq: down"
    scene.liveness.held_up = ["rabbitmq: q: full"]
    scene.liveness.silent_for = lambda: clock.now  # type: ignore[method-assign]  # it hangs
    for name in ("datawarehouse", "jira"):
        metrics.connected.fails(name, Trouble("answered 503"))
    metrics.connected.fails("gitlab", Trouble("answered 401", refuses=True), "gitlab.example")
    scene.take(1, "redhat:1")
    scene.delay("redhat:2", age=timedelta(hours=2))
    clock.now += 3 * MINUTE

    def links() -> set[str]:
        return {it["runbook"] for it in document(scene)["problems"]}

    found = links()
    assert len(document(scene)["problems"]) == 9
    scene.kafka = scene.liveness.missing = ""
    metrics.connected.fails("kafka", Trouble("not in sync"))
    scene.liveness.held_up = ["rabbitmq: RabbitMQ accepts no messages: low on disk"]
    found |= links()
    assert "standstill" in {it["id"] for it in document(scene)["problems"]}
    headings = re.findall(r"^## (\w+)$", files.RUNBOOK.read_text(), re.MULTILINE)
    assert found <= {f"{RUNBOOK}#{it.lower()}" for it in headings}
    addresses = {rule["annotations"]["runbook_url"].partition("#")[0] for rule in files.alerts()}
    assert addresses == {RUNBOOK}
