"""One bad thing never holds up the rest: a real daemon, and something bad beside what is good.

More of each, and how long the good ones take, is the fault suite's table of bad neighbours.
"""

import time
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.brokers.stage import Held, Stage, eventually
from tests.daemon.test_failures import fill
from tests.daemon.test_metrics import scrape
from tools.processes import free_port
from tools.stand_ins import Hang, Services, Status, documents

#: The time for the good ones, in seconds: far less than a bad one takes.
SOON = 8.0


@pytest.fixture(name="other")
def _other() -> Iterator[Services]:
    """Another GitLab, with what belongs to it."""
    with Services() as others:
        yield others


def fill_with_merge_requests(
    stage: Stage, services: Services, count: int
) -> list[dict[str, object]]:
    """Put checkouts of merge requests on a GitLab into DataWarehouse; return notifications."""
    notifications = []
    for number in range(count):
        url = services.gitlab.merge_request_url("group/kernel", number + 1)
        services.gitlab.add_merge_request(documents.merge_request(url))
        checkout = documents.checkout(f"redhat:needs-gitlab-{number}", merge_request=url)
        stage.services.warehouse.add(documents.everything(checkout, [documents.build(checkout)]))
        notifications.append(documents.notification(checkout, "build_setups_finished"))
    return notifications


def keys_in_time(stage: Stage, *keys: str) -> None:
    """Make sure that records with these keys come soon."""
    begun = time.monotonic()
    seen = {it.key for it in stage.records_until(lambda it: set(keys) <= {one.key for one in it})}
    assert set(keys) <= seen
    assert time.monotonic() - begun < SOON


def test_a_gitlab_that_is_down_holds_up_only_what_needs_it(stage: Stage) -> None:
    """One worker, and more bad ones than the prefetch; all are sent when the host is back."""
    services = stage.services
    bad = fill_with_merge_requests(stage, services, 20)
    services.gitlab.down()
    daemon = stage.daemon(CKI_NOTIFIER_IN_FLIGHT="1")
    stage.publish(*bad)
    stage.publish(*fill(stage, "redhat:good-1", "redhat:good-2"))
    keys_in_time(stage, "redhat:good-1", "redhat:good-2")
    services.gitlab.up()
    assert len(stage.keys(22)) == 22
    stage.finish(daemon)


def test_a_gitlab_that_hangs_holds_up_only_what_needs_it(stage: Stage) -> None:
    """Those that wait for its answer free their worker, and the others go to a retry queue."""
    services = stage.services
    bad = fill_with_merge_requests(stage, services, 20)
    services.gitlab.answer("", Hang(60))
    stage.daemon(CKI_NOTIFIER_IN_FLIGHT="2")
    stage.publish(*bad)
    stage.publish(*fill(stage, "redhat:good-1", "redhat:good-2"))
    keys_in_time(stage, "redhat:good-1", "redhat:good-2")


def test_one_of_two_gitlabs_is_down(stage: Stage, other: Services) -> None:
    """The other one answers, its notifications are sent, and the metric tells them apart."""
    port = free_port()
    bad = fill_with_merge_requests(stage, other, 10)
    other.gitlab.down()
    url = stage.services.gitlab.merge_request_url("group/kernel", 1)
    stage.services.gitlab.add_merge_request(documents.merge_request(url))
    good = documents.checkout("redhat:good", merge_request=url)
    stage.services.warehouse.add(documents.everything(good, [documents.build(good)]))
    stage.daemon(CKI_NOTIFIER_IN_FLIGHT="2", CKI_METRICS_ENABLED="true", CKI_METRICS_PORT=str(port))
    stage.publish(*bad, documents.notification(good, "build_setups_finished"))
    keys_in_time(stage, "redhat:good")
    hosts = {
        dict(labels)["host"]: value
        for (name, labels), value in scrape(port).items()
        if name == "cki_notifier_connected" and dict(labels)["dependency"] == "gitlab"
    }
    assert hosts == {
        other.gitlab.url.removeprefix("http://"): 0.0,
        stage.services.gitlab.url.removeprefix("http://"): 1.0,
    }


def test_a_slow_checkout_holds_up_only_itself(stage: Stage) -> None:
    """Most notifications behind it go to a retry queue; one that needs no request does not wait."""
    slow, *good = fill(stage, "redhat:slow", "redhat:good-1", "redhat:good-2")
    held = Held()
    stage.services.warehouse.answer("redhat%3Aslow", held)
    daemon = stage.daemon(CKI_NOTIFIER_IN_FLIGHT="2")
    again = [slow | {"timestamp": f"2026-11-20T10:15:{second:02}+00:00"} for second in range(30)]
    unseen = [it | {"status": "updated"} for it in again]
    stage.publish(slow, *again, *unseen, *good)
    keys_in_time(stage, "redhat:good-1", "redhat:good-2")

    def outcomes() -> Counter[str]:
        """Count them in the log, which is written a moment later."""
        return Counter(line["outcome"] for line in daemon.settled())

    expected = {"ignored": 30, "delayed": 28, "sent": 2}  # one is at work, and two wait behind it
    eventually(lambda: outcomes() == expected, what=f"{expected}")
    held.may_answer.set()
    eventually(lambda: stage.waiting(f"{stage.queue}.retry.5s") == 0, what="all come back")


def test_a_full_dead_letter_queue_holds_up_nothing_else(stage: Stage) -> None:
    """The daemon holds and shows refused copies, and publishes them when there is room."""
    port = free_port()
    name = f"{stage.queue}.dead-letter"
    with stage.channel() as channel:
        full = {"x-max-length": 0, "x-overflow": "reject-publish"}
        channel.queue_declare(name, durable=True, arguments=full)
    stage.daemon(CKI_NOTIFIER_IN_FLIGHT="2", CKI_METRICS_ENABLED="true", CKI_METRICS_PORT=str(port))
    stage.publish(*(b"bad %d" % number for number in range(30)))
    stage.publish(*fill(stage, "redhat:good-1"))
    keys_in_time(stage, "redhat:good-1")

    def held() -> float:
        return scrape(port)["cki_notifier_parking_held", frozenset({("queue", name)})]

    eventually(lambda: held() == 2, what="the share of the prefetch is held, no more")
    with stage.channel() as channel:
        channel.queue_delete(name)
    eventually(lambda: stage.waiting(name) >= 1, what="a dead letter")
    eventually(lambda: held() == 0, what="nothing is held")


def test_a_queue_that_somebody_else_consumes_alone_is_tried_ever_more_seldom(stage: Stage) -> None:
    """A refused consumer retries with pauses, and consumes once it may."""
    (good,) = fill(stage, "redhat:1")
    with stage.channel() as channel:
        channel.queue_declare(stage.queue, durable=True, arguments={"x-queue-type": "classic"})
        channel.basic_consume(stage.queue, lambda *_: None, exclusive=True)
        daemon = stage.daemon(waits=False)
        eventually(lambda: "ACCESS_REFUSED" in daemon.text(), what="the refusal")
        time.sleep(5)
        assert 2 <= daemon.text().count("reconnecting") <= 4
    stage.publish(good)
    keys_in_time(stage, "redhat:1")


def test_what_a_deleted_queue_had_handed_out_is_finished_at_sigterm(stage: Stage) -> None:
    """The deliveries are nowhere else; the daemon ends as soon as they are done."""
    port = free_port()
    notifications = fill(stage, *(f"redhat:{number}" for number in range(4)))
    held = Held()
    stage.services.warehouse.answer("/checkouts", held)
    daemon = stage.daemon(
        CKI_NOTIFIER_IN_FLIGHT="1", CKI_METRICS_ENABLED="true", CKI_METRICS_PORT=str(port)
    )
    stage.publish(*notifications)
    eventually(lambda: stage.waiting(stage.queue) == 0)
    with stage.channel() as channel:
        channel.queue_delete(stage.queue)
    eventually(lambda: _connected(port) == 0, what="no connection")
    daemon.terminate()
    time.sleep(1)
    begun = time.monotonic()
    held.may_answer.set()
    assert daemon.wait(seconds=SOON) == 0
    assert time.monotonic() - begun < SOON
    assert len(stage.keys(4)) == 4


def _connected(port: int) -> float:
    return scrape(port)["cki_notifier_connected", frozenset({("dependency", "rabbitmq")})]


def test_one_object_that_fails_does_not_make_the_service_down(stage: Stage) -> None:
    """A checkout that answers 500 at all of its addresses is delayed alone."""
    port = free_port()
    bad, *good = fill(stage, "redhat:bad", "redhat:good-1", "redhat:good-2")
    stage.services.warehouse.answer("redhat%3Abad", Status(500))
    daemon = stage.daemon(CKI_METRICS_ENABLED="true", CKI_METRICS_PORT=str(port))
    stage.publish(bad, bad | {"status": "unknown"}, bad | {"status": "ready_to_report"})
    eventually(lambda: len(daemon.settled()) == 3)
    assert "down" not in daemon.text()
    stage.publish(*good)
    keys_in_time(stage, "redhat:good-1", "redhat:good-2")
    samples = scrape(port)
    assert samples["cki_notifier_connected", frozenset({("dependency", "datawarehouse")})] == 1
