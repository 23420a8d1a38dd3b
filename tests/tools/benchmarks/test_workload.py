"""The published notifications, and the stand-in's documents."""

import json
from collections import Counter
from itertools import islice
from typing import Any

import msgspec
import pytest

from cki_notifier.checkout.documents import BuildPage, Checkout, Everything
from cki_notifier.checkout.triage import Evidence, overall_status
from cki_notifier.notification.parse import parse
from cki_notifier.notification.reasons import IgnoreReason
from cki_notifier.rules.explain import SILENT
from cki_notifier.rules.filter import BEFORE_LOADING
from cki_notifier.rules.rule import first_match
from cki_notifier.sources.gitlab import MergeRequestDocument
from tools.benchmarks.checkouts import PLACEHOLDER, Shape, checkout_id, number_of, pages, template
from tools.benchmarks.workload import Kind, Notification, big_notification, judge, workload
from tools.brokers.kafka import Record

GITLAB = "http://127.0.0.1:1234"
MIB = 1024 * 1024


def take(how_many: int, *, merge_requests: bool = False, returned: int = 0) -> list[Notification]:
    """Return the first notifications."""
    endless = workload(GITLAB, merge_requests=merge_requests, returned=returned)
    return list(islice(endless, how_many))


def shown(shape: Shape, page: str) -> tuple[bytes, str]:
    """Return a page about a checkout of a shape, and its number."""
    number = number_of(shape, 17)
    return number.encode().join(template(pages(shape, GITLAB)[page])), number


def test_four_of_ten_are_pre_test_and_four_post_test_and_two_noise() -> None:
    """The mix is exact in each handful, so that it is even over time."""
    notifications = take(50)

    for start in range(0, 50, 5):
        kinds = Counter(it.kind for it in notifications[start : start + 5])
        assert kinds == {Kind.PRE_TEST: 2, Kind.POST_TEST: 2, Kind.NOISE: 1}


def test_all_checkouts_are_different() -> None:
    """There are no duplicates, and the order does not matter."""
    assert len({it.checkout_id for it in take(600)}) == 600


@pytest.mark.parametrize("percent", [0, 10, 33, 100])
def test_so_many_of_a_hundred_are_returned(percent: int) -> None:
    """They are spread evenly, and the others are new."""
    notifications = take(200, returned=percent)

    assert sum(it.is_returned for it in notifications) == 2 * percent
    assert sum(it.is_returned for it in notifications[:100]) == percent


@pytest.mark.parametrize("merge_requests", [False, True])
def test_bodies_are_about_the_checkout_they_name(*, merge_requests: bool) -> None:
    """The id, the object, the pipeline and the merge request have the same number."""
    for it in take(50, merge_requests=merge_requests):
        body = json.loads(it.body)
        number = it.checkout_id.partition(":")[2]
        assert body["id"] == body["object"]["id"] == it.checkout_id
        assert PLACEHOLDER not in it.body.decode()
        assert it.body.decode().count(number) >= 4
        assert ("mr" in body["object"]["misc"]) is merge_requests
        assert it.routing_key == f"datawarehouse.{body['object_type']}.{body['status']}"


def test_noise_alone_is_ignored_before_anything_is_loaded() -> None:
    """Each kind of noise comes, and the daemon's own rules see what needs no request."""
    ignored = Counter[IgnoreReason | None]()
    for it in take(50):
        reason = first_match(BEFORE_LOADING, parse(it.body), SILENT)
        assert (reason is not None) is (it.kind is Kind.NOISE)
        ignored[reason] += 1

    assert set(ignored) == {
        None,
        IgnoreReason.OBJECT_TYPE,
        IgnoreReason.STATUS,
        IgnoreReason.RETRIGGERED,
        IgnoreReason.ORIGIN,
        IgnoreReason.OUTCOME_UNCHANGED,
    }


def test_post_test_documents_hold_what_is_promised() -> None:
    """8 builds, 200 tests, 200 testresults and 10 occurrences, which excuse all that failed."""
    body, number = shown(Shape.PLAIN, "/all")
    everything = msgspec.json.decode(body, type=Everything)

    lists = (everything.builds, everything.tests, everything.testresults or ())
    assert [len(it) for it in lists] == [8, 200, 200]
    assert len(everything.issueoccurrences or ()) == 10
    assert everything.checkouts[0].id == checkout_id(number)
    evidence = Evidence(
        builds=everything.builds,
        tests=everything.tests,
        testresults=everything.testresults or (),
        issueoccurrences=everything.issueoccurrences or (),
    )
    assert overall_status(evidence) == "success"
    untriaged = msgspec.structs.replace(evidence, issueoccurrences=evidence.issueoccurrences[1:])
    assert overall_status(untriaged) == "fail"


def test_pre_test_documents_belong_together() -> None:
    """The builds, eight of them, are the checkout's."""
    body, number = shown(Shape.PLAIN, "")
    checkout = msgspec.json.decode(body, type=Checkout)
    builds = msgspec.json.decode(shown(Shape.PLAIN, "/builds")[0], type=BuildPage)

    assert checkout.id == checkout_id(number)
    assert {build.checkout_id for build in builds.results} == {checkout.id}
    assert len({build.id for build in builds.results}) == 8


def test_a_merge_request_has_its_checkouts_pipeline_as_its_head() -> None:
    """So that no bridges have to be read, the ordinary case."""
    body, number = shown(Shape.WITH_MERGE_REQUEST, "/merge_requests")
    merge_request = msgspec.json.decode(body, type=MergeRequestDocument)

    assert merge_request.head_pipeline is not None
    assert merge_request.head_pipeline.id == int(number)
    assert merge_request.state == "opened"


def test_all_documents_of_a_kind_are_equally_long() -> None:
    """So that the stand-in's heads can be prepared."""
    for page, body in pages(Shape.PLAIN, GITLAB).items():
        assert len(shown(Shape.PLAIN, page)[0]) == len(body)


def test_big_documents_are_big() -> None:
    """20,000 tests and 20,000 testresults, tens of megabytes, for the right checkout."""
    body, number = shown(Shape.BIG, "/all")
    everything: dict[str, list[Any]] = json.loads(body)

    assert len(body) > 20 * MIB
    assert len(everything["tests"]) == len(everything["testresults"]) == 20_000
    assert everything["checkouts"][0]["id"] == checkout_id(number)


def test_big_notifications_are_of_big_checkouts() -> None:
    """By their ids the stand-in knows them."""
    notification = big_notification(GITLAB, 3)

    assert notification.checkout_id == checkout_id(number_of(Shape.BIG, 3))
    assert parse(notification.body).checkout_id == notification.checkout_id


NOTIFICATIONS = take(5)


def record(notification: Notification, **changes: Any) -> Record:
    """Return the record that has to come of a notification, or one with changes to its value."""
    number = notification.checkout_id.partition(":")[2]
    is_finished = notification.kind is Kind.POST_TEST
    value = {
        "checkout_id": notification.checkout_id,
        "build_info": [{"build_id": f"{notification.checkout_id}-{each}"} for each in range(8)],
        "pipelineid": int(number),
        "cki_finished": is_finished,
        "merge_request": {"merge_request_url": "", "subsystems": []},
        **({"status": "success"} if is_finished else {}),
        **changes,
    }
    return Record(
        key=notification.checkout_id,
        value=json.dumps(value).encode(),
        headers={"ce_subject": notification.checkout_id},
        partition=0,
        offset=0,
        timestamp_ms=0,
    )


def records() -> list[Record]:
    """Return a record for each notification but the noise."""
    return [record(it) for it in NOTIFICATIONS if it.kind is not Kind.NOISE]


def test_everything_once_is_good() -> None:
    """The noise has no message."""
    assert set(judge(NOTIFICATIONS, records(), left=0).values()) == {0}


@pytest.mark.parametrize(
    ("seen", "left", "expected"),
    [
        (records()[1:], 0, "lost"),
        ([*records(), records()[0]], 0, "repeated"),
        ([*records(), record(NOTIFICATIONS[4])], 0, "unexpected"),
        ([*records()[1:], record(NOTIFICATIONS[0], build_info=[])], 0, "with a wrong content"),
        ([*records()[1:], record(NOTIFICATIONS[0], pipelineid=0)], 0, "with a wrong content"),
        ([*records()[1:], record(NOTIFICATIONS[0], status="fail")], 0, "with a wrong content"),
        (records(), 1, "left in the queue"),
    ],
    ids=["lost", "repeated", "unexpected", "builds", "pipeline", "status", "left"],
)
def test_anything_else_is_not(seen: list[Record], left: int, expected: str) -> None:
    """Only the fault has a count."""
    wrong = judge(NOTIFICATIONS, seen, left)

    assert {what: count for what, count in wrong.items() if count} == {expected: 1}
