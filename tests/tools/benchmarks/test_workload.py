"""What is published, and what the stand-in shows for it."""

import json
from collections import Counter
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
from tools.benchmarks.ids import PLACEHOLDER, Shape, checkout_id, number_of
from tools.benchmarks.templates import Pages, Template, pages
from tools.benchmarks.workload import NOISE, Kind, Workload, big

GITLAB = "http://127.0.0.1:1234"
MIB = 1024 * 1024


def filled(template: Template, number: str) -> bytes:
    """Return the whole body for a number."""
    return template.fill(number.encode()) + template.end


def shown(shape: Shape) -> tuple[Pages, str]:
    """Return the documents of a shape, and a number of it."""
    return pages(shape, GITLAB), number_of(shape, 17)


def test_four_of_ten_are_pre_test_and_four_post_test_and_two_noise() -> None:
    """The mix is exact in each handful, so that it is even over time."""
    notifications = Workload(GITLAB).take(50)

    for start in range(0, 50, 5):
        kinds = Counter(it.kind for it in notifications[start : start + 5])
        assert kinds == {Kind.PRE_TEST: 2, Kind.POST_TEST: 2, Kind.NOISE: 1}


def test_all_checkouts_are_different() -> None:
    """Nothing is sent twice, and no order has to be kept."""
    workload = Workload(GITLAB)
    notifications = [*workload.take(300), *workload.take(300)]

    assert len({it.checkout_id for it in notifications}) == 600


@pytest.mark.parametrize("percent", [0, 10, 33, 100])
def test_so_many_of_a_hundred_are_returned(percent: int) -> None:
    """They are spread evenly, and the others are new."""
    notifications = Workload(GITLAB, returned=percent).take(200)

    assert sum(it.is_returned for it in notifications) == 2 * percent
    assert sum(it.is_returned for it in notifications[:100]) == percent


@pytest.mark.parametrize("merge_requests", [False, True])
def test_bodies_are_about_the_checkout_they_name(*, merge_requests: bool) -> None:
    """The id, the object, the pipeline and the merge request have the same number."""
    for it in Workload(GITLAB, merge_requests=merge_requests).take(50):
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
    for it in Workload(GITLAB).take(5 * len(NOISE)):
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
    documents, number = shown(Shape.PLAIN)
    everything = msgspec.json.decode(filled(documents.everything, number), type=Everything)

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
    documents, number = shown(Shape.PLAIN)
    checkout = msgspec.json.decode(filled(documents.checkout, number), type=Checkout)
    builds = msgspec.json.decode(filled(documents.builds, number), type=BuildPage)

    assert checkout.id == checkout_id(number)
    assert {build.checkout_id for build in builds.results} == {checkout.id}
    assert len({build.id for build in builds.results}) == 8


def test_a_merge_request_has_its_checkouts_pipeline_as_its_head() -> None:
    """So that no bridges have to be read, the ordinary case."""
    documents, number = shown(Shape.WITH_MERGE_REQUEST)
    merge_request = msgspec.json.decode(
        filled(documents.merge_request, number), type=MergeRequestDocument
    )

    assert merge_request.head_pipeline is not None
    assert merge_request.head_pipeline.id == int(number)
    assert merge_request.state == "opened"


def test_all_documents_of_a_kind_are_equally_long() -> None:
    """So that the stand-in's heads can be prepared."""
    documents, number = shown(Shape.PLAIN)

    for template in (documents.checkout, documents.builds, documents.everything):
        assert len(filled(template, number)) == len(template)


def test_big_documents_are_big() -> None:
    """20,000 tests and 20,000 testresults, tens of megabytes, for the right checkout."""
    documents, number = shown(Shape.BIG)
    body = filled(documents.everything, number)
    everything: dict[str, list[Any]] = json.loads(body)

    assert len(body) == len(documents.everything) > 20 * MIB
    assert len(everything["tests"]) == len(everything["testresults"]) == 20_000
    assert everything["checkouts"][0]["id"] == checkout_id(number)


def test_big_notifications_are_of_big_checkouts() -> None:
    """By their ids the stand-in knows them."""
    notification = big(GITLAB, 3)

    assert notification.checkout_id == checkout_id(number_of(Shape.BIG, 3))
    assert parse(notification.body).checkout_id == notification.checkout_id
