"""Run the services of compose.yaml without a container engine.

The tests use the file's commands, variables and files. `laptop.py` replaces the images.
"""

import contextlib
import json
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.brokers.stage import eventually
from tests.deploy.compose import project
from tests.deploy.compose.laptop import Laptop
from tests.deploy.compose.story import decision, scenes
from tests.deploy.monitoring.files import alerts, panels, variable_queries
from tests.factories.contract import VALIDATOR
from tools.brokers.kafka import read_topic
from tools.processes import listens

#: A generous time limit: Prometheus scrapes every 5 s.
_SECONDS = 60.0

_NOTIFIER, _PROMETHEUS = 8000, 9090

_OLDEST = "cki_notifier_oldest_notification_timestamp_seconds"
_AUDIT = "cki_notifier_audit_"

#: A checkout that is not part of the demo.
_STRANGER = "nobody:1"


@pytest.fixture(scope="module")
def laptop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laptop]:
    """Start all services, and settle all notifications of the demo."""
    machine = Laptop(tmp_path_factory.mktemp("laptop"))
    with contextlib.ExitStack() as stack:
        for broker in (machine.rabbitmq(), machine.kafka()):
            stack.callback(broker.kill)  # no data to keep
            broker.start()
        for _ in range(2):  # a second `up` starts it again
            made = machine.run(project.command("topic"), "topic")
            assert made.returncode == 0, made.stderr
        for process in (machine.prometheus(), machine.stand_ins(), machine.notifier()):
            stack.enter_context(process)
        # Prometheus calculates no increase for a new series.
        eventually(lambda: _targets(machine) == {"up"}, seconds=_SECONDS)
        published = machine.run(project.command("publish"), "publish")
        assert published.returncode == 0, published.stderr
        count = len(scenes())
        eventually(lambda: len(outcomes(machine)) == count, seconds=_SECONDS)
        yield machine


def outcomes(laptop: Laptop) -> list[dict[str, Any]]:
    """Return the outcomes on the status page."""
    found: list[dict[str, Any]] = laptop.get(_NOTIFIER, "/outcomes.json")["outcomes"]
    return found


def ask(laptop: Laptop, query: str) -> list[Any]:
    """Return Prometheus' answer, which must not be an error."""
    answer = laptop.get(_PROMETHEUS, "/api/v1/query", query=query)
    assert answer["status"] == "success", answer
    assert not answer.get("warnings"), answer
    found: list[Any] = answer["data"]["result"]
    return found


def _targets(laptop: Laptop) -> set[str]:
    targets = laptop.get(_PROMETHEUS, "/api/v1/targets")["data"]["activeTargets"]
    return {target["health"] for target in targets}


def _as_grafana_asks(laptop: Laptop, query: str) -> str:
    """Return a query of the dashboard with its variables filled in."""
    values = {
        "$__rate_interval": "20s",  # four times the data source's interval
        "$environment": "staging",
        "$namespace": ".*",
        "$job": "cki-notifier",
        "$instance": laptop.led("cki-notifier:8000"),
    }
    for name, value in values.items():
        query = query.replace(name, value)
    return query


def test_each_notification_of_the_demo_ends_as_it_should(laptop: Laptop) -> None:
    """The outcomes are those of the demo."""
    expected = Counter(
        (scene.checkout or "", decision(scene).outcome, decision(scene).reason)
        for scene in scenes()
    )
    seen = Counter(
        (row["checkout_id"], row["outcome"], row["reason"])
        for row in outcomes(laptop)
        if row["checkout_id"] != _STRANGER
    )
    assert seen == expected


@pytest.mark.parametrize("address", ["kafka:9092", "127.0.0.1:9094"])
def test_the_messages_are_in_the_topic(laptop: Laptop, address: str) -> None:
    """Readers in a container and on the laptop get all sent messages, and no others."""
    expected = Counter(scene.checkout for scene in scenes() if decision(scene).outcome == "sent")
    count = expected.total()
    assert count > 0
    records = read_topic(
        laptop.led(address),
        laptop.environment("cki-notifier")["KAFKA_TOPIC"],
        seconds=_SECONDS,
        until=lambda seen: len(seen) >= count,
    )
    assert Counter(record.key for record in records) == expected
    for record in records:
        VALIDATOR.validate(json.loads(record.value))
        assert record.headers["ce_source"] == laptop.environment("publish")["DATAWAREHOUSE_URL"]


def test_one_more_is_published_as_described(laptop: Laptop) -> None:
    """The arguments in docs/compose.md replace the command, as in `compose run`."""
    words = project.command("publish", "--checkout-id", _STRANGER, "--status", "ready_to_report")
    published = laptop.run(words, "publish")
    assert published.returncode == 0, published.stderr
    eventually(lambda: any(row["checkout_id"] == _STRANGER for row in outcomes(laptop)))


#: The services whose health checks run on any machine.
_CHECKED = ("cki-notifier", "kafka", "stand-ins")


@pytest.mark.parametrize("service", _CHECKED)
def test_what_is_up_is_healthy(laptop: Laptop, service: str) -> None:
    """The health check succeeds, the daemon's after the topic exists."""
    eventually(lambda: laptop.check(service).returncode == 0, what=f"a healthy {service}")


def test_prometheus_is_healthy_where_its_check_looks(laptop: Laptop) -> None:
    """Prometheus answers at the address of its health check."""
    *_, address = laptop.command(project.healthcheck("prometheus"))
    with urllib.request.urlopen(address, timeout=30) as answer:  # noqa: S310  # the loopback
        assert answer.status == 200


@pytest.mark.parametrize("service", _CHECKED)
def test_what_is_not_there_is_not_healthy(tmp_path: Path, service: str) -> None:
    """Each health check fails if no service listens."""
    assert Laptop(tmp_path).check(service).returncode


def test_a_daemon_that_is_not_ready_is_not_healthy(laptop: Laptop) -> None:
    """Without RabbitMQ, the daemon answers but is not healthy."""
    machine = Laptop(laptop.folder)
    kafka = {"KAFKA_BOOTSTRAP_SERVERS": laptop.led("kafka:9092")}
    with machine.notifier(kafka, waits=False):
        eventually(lambda: listens(machine.port(_NOTIFIER)))
        assert machine.check("cki-notifier").returncode


def test_the_doctor_finds_nothing_wrong(laptop: Laptop) -> None:
    """The doctor reports no errors, only a warning about the demo's dead letter."""
    result = laptop.run(["python", "-m", "cki_notifier", "doctor", "--json"], "cki-notifier")
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_stand_ins_end_when_asked_to(laptop: Laptop) -> None:
    """SIGTERM ends the stand-ins at once, with exit code 0."""
    with Laptop(laptop.folder).stand_ins() as stand_ins:
        assert stand_ins.stop() == 0


def test_prometheus_scrapes_every_target(laptop: Laptop) -> None:
    """The daemon, RabbitMQ and Prometheus are up, under their job names."""
    up = {"cki-notifier", "rabbitmq", "prometheus"}
    eventually(lambda: {series["metric"]["job"] for series in ask(laptop, "up == 1")} == up)


def test_prometheus_evaluates_every_alert(laptop: Laptop) -> None:
    """Prometheus loads each rule and answers its query."""
    names = {alert["alert"] for alert in alerts()}

    def health() -> dict[str, str]:
        groups = laptop.get(_PROMETHEUS, "/api/v1/rules")["data"]["groups"]
        return {rule["name"]: rule["health"] for group in groups for rule in group["rules"]}

    assert health().keys() == names
    eventually(lambda: "unknown" not in health().values(), seconds=_SECONDS)
    assert set(health().values()) == {"ok"}


def test_no_alert_says_that_the_daemon_is_down(laptop: Laptop) -> None:
    """The job has the name that the alerts select."""
    (alert,) = (alert for alert in alerts() if alert["alert"] == "CKINotifierDown")
    eventually(lambda: ask(laptop, alert["expr"]) == [])


@pytest.mark.parametrize(
    "query",
    [target["expr"] for panel in panels() for target in panel["targets"]],
)
def test_every_query_of_the_dashboard_is_answered(laptop: Laptop, query: str) -> None:
    """Prometheus answers each query, and has data after the demo's notifications."""
    # An alert fires after a minute at the earliest.
    asked = _as_grafana_asks(laptop, query).replace('="firing"', '=~"pending|firing"')
    assert "$" not in asked
    if _OLDEST in query or _AUDIT in query:  # empty: no notification waits, and no audit runs
        ask(laptop, asked)
        return
    eventually(lambda: ask(laptop, asked), seconds=_SECONDS, what=asked)


def test_the_choices_of_the_dashboard_have_values(laptop: Laptop) -> None:
    """Grafana's queries find environment, job and instance. There is no namespace."""
    found = []
    for query in variable_queries():
        selector, label = query.removeprefix("label_values(").removesuffix(")").rsplit(", ", 1)
        answer = laptop.get(
            _PROMETHEUS,
            f"/api/v1/label/{label}/values",
            **{"match[]": _as_grafana_asks(laptop, selector)},
        )
        found += answer["data"]
    assert found == ["staging", "cki-notifier", laptop.led("cki-notifier:8000")]


def test_the_dead_letter_of_the_demo_raises_alerts(laptop: Laptop) -> None:
    """Prometheus shows both alerts of docs/compose.md, with their texts filled in."""
    expected = {"CKINotifierNewDeadLetters", "CKINotifierDeadLettersWaiting"}

    def raised() -> dict[str, dict[str, str]]:
        found = laptop.get(_PROMETHEUS, "/api/v1/alerts")["data"]["alerts"]
        return {alert["labels"]["alertname"]: alert["annotations"] for alert in found}

    eventually(lambda: expected <= raised().keys(), seconds=_SECONDS, what=" and ".join(expected))
    for texts in raised().values():
        assert "{{" not in " ".join(texts.values())
        assert "error expanding template" not in texts["description"]
    assert "malformed" in raised()["CKINotifierNewDeadLetters"]["summary"]
