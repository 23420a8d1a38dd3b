"""The HTTP port of a running daemon: probes, queue lengths, outcomes, and that it is given back."""

import contextlib
import html
import json
import resource
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.brokers.mock_kafka import TOPIC, MockCluster
from tests.brokers.stage import PATIENCE, Held, Stage, eventually
from tests.daemon.test_metrics import scrape
from tests.faults import meter
from tools.brokers.kafka import Kafka
from tools.brokers.proxy import Proxy
from tools.brokers.rabbitmq import RabbitMQ
from tools.processes import free_port
from tools.stand_ins import Services, Status, documents

QUEUES = ("main", "delay", "dead-letter")


@pytest.fixture(name="cluster")
def _cluster() -> Iterator[MockCluster]:
    """Return a mock of a Kafka cluster, which can be taken down."""
    cluster = MockCluster()
    yield cluster
    cluster.close()


@pytest.fixture(name="stage")
def _stage(
    rabbitmq: RabbitMQ, cluster: MockCluster, services: Services, tmp_path: Path
) -> Iterator[Stage]:
    """Everything around a daemon, with the mock as its Kafka."""
    with Stage(rabbitmq, cluster.address, services, tmp_path) as prepared:
        prepared.topic = TOPIC
        prepared.environment["KAFKA_TOPIC"] = TOPIC
        yield prepared


@pytest.fixture(name="port")
def _port(stage: Stage) -> int:
    """Return the port that daemons on the stage answer on."""
    port = free_port()
    stage.environment |= {"CKI_METRICS_ENABLED": "true", "CKI_METRICS_PORT": str(port)}
    return port


def get(port: int, path: str) -> tuple[int, str]:
    """Return the code and the body of an answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def readiness(port: int) -> tuple[int, list[str]]:
    """Return the code of /ready, and what it says is missing."""
    code, body = get(port, "/ready")
    document = json.loads(body)
    assert document["ready"] == (not document["missing"])
    return code, document["missing"]


def is_missing(port: int, *services: str) -> bool:
    """Tell whether exactly these are missing, each named at the beginning of its sentence."""
    code, missing = readiness(port)
    assert code == (503 if missing else 200)
    return [text.partition(":")[0] for text in missing] == list(services)


def queue_lengths(port: int) -> dict[str, int]:
    """Return the lengths of the queues in the metrics."""
    return {
        dict(labels)["queue"]: int(value)
        for (name, labels), value in scrape(port).items()
        if name == "cki_notifier_queue_messages"
    }


def fill(stage: Stage, checkout_id: str, **changes: Any) -> dict[str, object]:
    """Put a checkout into DataWarehouse; return a notification of its builds."""
    checkout = documents.checkout(checkout_id, **changes)
    stage.services.warehouse.add(documents.everything(checkout, [documents.build(checkout)]))
    return documents.notification(checkout, "build_setups_finished")


def test_readiness_tells_what_is_missing_and_liveness_asks_nobody(
    stage: Stage, cluster: MockCluster, port: int
) -> None:
    """Kafka, then RabbitMQ is down: the probe names it, recovers at once, and restarts nothing."""
    with Proxy(stage.rabbitmq.port) as proxy:
        daemon = stage.daemon(RABBITMQ_PORT=str(proxy.port))
        eventually(lambda: is_missing(port))
        eventually(lambda: set(queue_lengths(port)) == set(QUEUES))
        with cluster.down():
            eventually(lambda: is_missing(port, "kafka"))
            assert get(port, "/live")[0] == 200
        eventually(lambda: is_missing(port))
    eventually(lambda: is_missing(port, "rabbitmq"))
    eventually(lambda: queue_lengths(port) == {}, what="no old number is shown")
    assert get(port, "/live")[0] == 200
    with Proxy(stage.rabbitmq.port, port=proxy.port):
        eventually(lambda: is_missing(port))
        eventually(lambda: set(queue_lengths(port)) == set(QUEUES))
        assert daemon.stop() == 0


def test_a_daemon_that_is_alone_lives(stage: Stage, port: int) -> None:
    """With nothing there from the start it says what is missing, and waits for it."""
    daemon = stage.daemon(
        RABBITMQ_PORT="1", KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1", DATAWAREHOUSE_URL="http://[::1]:1",
        waits=False,
    )  # fmt: skip
    eventually(lambda: accepts(port), what="the port")
    assert get(port, "/live")[0] == 200
    eventually(lambda: is_missing(port, "rabbitmq", "kafka"))
    assert queue_lengths(port) == {}
    page = get(port, "/")[1]
    assert "This process does not consume the main queue" in page
    assert "2 problems" in page
    assert daemon.stop() == 0


def accepts(port: int) -> bool:
    """Tell whether a process listens."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True


def test_a_topic_that_is_not_there_is_missing(
    rabbitmq: RabbitMQ, kafka: Kafka, services: Services, tmp_path: Path
) -> None:
    """Kafka answers, but our messages would get nowhere; the sentence names the topic."""
    port = free_port()
    with Stage(rabbitmq, kafka.bootstrap, services, tmp_path) as stage:
        stage.daemon(CKI_METRICS_ENABLED="true", CKI_METRICS_PORT=str(port))
        eventually(lambda: is_missing(port, "kafka"))
        assert stage.topic in readiness(port)[1][0]
        kafka.create_topic(stage.topic)
        eventually(lambda: is_missing(port))


def test_outcomes_are_told_with_their_reasons(stage: Stage, port: int) -> None:
    """Each notification with its outcome, its reason and its merge request."""
    gitlab = stage.services.gitlab
    sent = fill(stage, "redhat:1", merge_request=merge_request(stage, 1, "opened"))
    merged = fill(stage, "redhat:2", merge_request=merge_request(stage, 2, "merged"))
    delayed = fill(stage, "redhat:3")
    stage.services.warehouse.answer("redhat%3A3", Status(500))
    daemon = stage.daemon()
    stage.publish(sent, merged, delayed, b"no json")
    eventually(lambda: len(daemon.settled()) == 4)
    document = json.loads(get(port, "/outcomes.json")[1])
    rows = {row["checkout_id"]: row for row in document["outcomes"]}
    told = {name: (row["outcome"], row["reason"]) for name, row in rows.items()}
    assert told == {
        "redhat:1": ("sent", "pre-test"),
        "redhat:2": ("ignored", "merge-request-merged"),
        "redhat:3": ("delayed", "unavailable"),
        "": ("dead-lettered", "malformed"),
    }
    assert rows["redhat:1"]["merge_request_url"] == gitlab.merge_request_url("group/project", 1)
    assert rows["redhat:2"]["sentence"] == "the checkout's merge request is already merged"
    assert rows["redhat:2"]["merge_request"] == "project!2"
    assert "answered 500" in rows["redhat:3"]["error"]
    assert rows["redhat:1"]["checkout_url"] == (
        f"{stage.services.warehouse.url}/kcidb/checkouts/redhat%3A1"
    )
    states = {it["id"]: it["state"] for it in document["connections"]}
    host = gitlab.url.removeprefix("http://")
    assert (states["rabbitmq"], states["kafka"], states[f"gitlab:{host}"]) == ("up",) * 3
    page = get(port, "/")[1]
    assert all(html.escape(row["sentence"]) in page for row in rows.values())


def test_a_checkout_is_told_of_in_full(stage: Stage, port: int) -> None:
    """Rules, record and message of one sent, and the next attempt of one delayed."""
    sent = fill(stage, "redhat:1", merge_request=merge_request(stage, 1, "opened"))
    delayed = fill(stage, "redhat:2")
    stage.services.warehouse.answer("redhat%3A2", Status(500))
    daemon = stage.daemon()
    stage.publish(sent, delayed)
    eventually(lambda: len(daemon.settled()) == 2)
    (notice,) = json.loads(get(port, "/checkout.json?id=redhat:1")[1])["notifications"]
    assert (notice["outcome"], notice["attempt"]) == ("sent", 1)
    assert (notice["partition"], notice["offset"]) == (0, 0)
    assert f"-t {TOPIC} -p 0 -o 0 -c 1" in notice["record_command"]
    assert notice["message"]["checkout_id"] == "redhat:1"
    rules = {it["rule"]: it["result"] for it in notice["steps"]}
    assert {"object-type", "no-builds", "superseded"} <= rules.keys()
    assert set(rules.values()) == {"pass"}
    page = get(port, "/checkout?id=redhat:1")[1]
    assert html.escape(notice["record_command"]) in page
    assert "merge-request-merged" in page
    told = json.loads(get(port, "/checkout.json?id=redhat:2")[1])
    assert "answered 500" in told["notifications"][0]["error"]
    assert told["notifications"][0]["next_try"] >= told["notifications"][0]["time"]
    assert get(port, "/checkout?id=redhat:3")[0] == 404


def test_what_waits_is_told_of(stage: Stage, port: int) -> None:
    """The notification that waits for a service, since when, and its age in the metric."""
    held = Held()
    stage.services.warehouse.answer("/checkouts", held)
    stage.daemon()
    stage.publish(fill(stage, "redhat:1"))

    def in_hand() -> list[dict[str, str]]:
        found: list[dict[str, str]] = json.loads(get(port, "/outcomes.json")[1])["in_hand"]
        return [it for it in found if it["does"].startswith("waits: ")]

    (waiting,) = eventually(in_hand)
    assert waiting["checkout_id"] == "redhat:1"
    assert "datawarehouse" in waiting["does"]
    assert html.escape(waiting["does"]) in get(port, "/waiting")[1]
    oldest = "cki_notifier_oldest_notification_timestamp_seconds"
    label = frozenset({("state", "in_hand")})
    assert time.time() - scrape(port)[oldest, label] < PATIENCE
    held.may_answer.set()
    eventually(lambda: (oldest, label) not in scrape(port))


def merge_request(stage: Stage, number: int, state: str) -> str:
    """Have a merge request in a state; return its address."""
    url = stage.services.gitlab.merge_request_url("group/project", number)
    stage.services.gitlab.add_merge_request(documents.merge_request(url, state=state))
    return url


def test_queue_lengths_are_the_brokers(stage: Stage, port: int) -> None:
    """The backlog, all retry queues together, and the dead letters."""
    held = Held()
    stage.services.warehouse.answer("/checkouts", held)
    stage.daemon(CKI_NOTIFIER_IN_FLIGHT="1", CKI_NOTIFIER_SHUTDOWN_SECONDS="1")
    stage.publish(*(fill(stage, f"redhat:{number}") for number in range(20)))
    with stage.channel() as channel:
        for queue in ("retry.10m", "retry.1h", "retry.1h", "dead-letter"):
            channel.basic_publish("", f"{stage.queue}.{queue}", b"any")
    wanted = {"main": 4, "delay": 3, "dead-letter": 1}
    eventually(lambda: queue_lengths(port) == wanted, what=f"{wanted}")
    assert stage.waiting(stage.queue) == 4
    document = json.loads(get(port, "/outcomes.json")[1])
    assert (document["waiting"], document["in_flight"]) == (wanted, 1)
    held.may_answer.set()


def test_an_onlooker_has_the_port_as_well(stage: Stage, port: int) -> None:
    """A daemon that sends nothing asks no Kafka and counts no queues of others."""
    daemon = stage.daemon(
        CKI_DEPLOYMENT_ENVIRONMENT="development", KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1"
    )
    stage.publish(fill(stage, "redhat:1"))
    eventually(daemon.settled)
    assert is_missing(port)
    samples = scrape(port)
    info = frozenset({"version": _version(port), "environment": "development"}.items())
    assert samples["cki_notifier_info", info] == 1
    assert queue_lengths(port) == {}
    assert "messages are printed, not published" in get(port, "/")[1]


def _version(port: int) -> str:
    return str(json.loads(get(port, "/outcomes.json")[1])["process"]["version"])


def test_a_daemon_without_file_descriptors_lives_and_ends(stage: Stage, port: int) -> None:
    """A probe waits without a busy loop, or takes the place of a silent client."""
    daemon = stage.daemon()
    process = meter.find(daemon.log.parent)
    limits = leave_no_descriptor(process)
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as waiting:
        waiting.sendall(b"GET /live HTTP/1.1\r\n\r\n")
        worked = meter.worked(process)
        time.sleep(1)
        assert meter.worked(process) - worked < 0.3
        resource.prlimit(process, resource.RLIMIT_NOFILE, limits)
        assert b"200 OK" in waiting.recv(65_536)
    with contextlib.ExitStack() as silent:
        for _ in range(5):
            silent.enter_context(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE))
        assert get(port, "/live")[0] == 200
        leave_no_descriptor(process)
        assert get(port, "/live")[0] == 200
        assert get(port, "/ready")[0] in {200, 503}  # connecting to Kafka needs one as well
        assert get(port, "/live")[0] == 200
        assert daemon.stop() == 0


def leave_no_descriptor(process: int) -> tuple[int, int]:
    """Have a process not get another file descriptor; return the limits it had."""
    numbers = {int(it.name) for it in Path(f"/proc/{process}/fd").iterdir()}
    free = next(number for number in range(len(numbers) + 1) if number not in numbers)
    hard = resource.prlimit(process, resource.RLIMIT_NOFILE)[1]
    return resource.prlimit(process, resource.RLIMIT_NOFILE, (free, hard))


def test_a_daemon_that_stops_is_live_and_not_ready_and_gives_the_port_back(
    stage: Stage, port: int
) -> None:
    """While it finishes what is in flight it answers; after that the port is free."""
    notification = fill(stage, "redhat:1")
    held = Held()
    stage.services.warehouse.answer("/checkouts", held)
    daemon = stage.daemon()
    stage.publish(notification)
    eventually(lambda: stage.services.warehouse.requests)
    daemon.terminate()
    eventually(lambda: "stopping" in "".join(readiness(port)[1]))
    assert get(port, "/live")[0] == 200
    held.may_answer.set()
    assert daemon.wait(seconds=60) == 0
    assert len(daemon.settled()) == 1
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("0.0.0.0", port))  # noqa: S104  # as the daemon does
        again.listen()
