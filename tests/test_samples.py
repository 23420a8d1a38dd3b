"""The samples: documents as the services show them, and the messages that come of them."""

import json
from typing import Any

import msgspec
import pytest
from kcidb_io import schema as kcidb  # type: ignore[import-untyped]  # it has no stubs

from cki_notifier.checkout.documents import Build, Checkout
from cki_notifier.checkout.triage import overall_status
from cki_notifier.notification.models import Loaded, Stage
from cki_notifier.notification.parse import parse
from cki_notifier.rules.filter import is_superseded
from tests.factories.contract import VALIDATOR, sent
from tools.documentation.examples import everything, evidence, merge_request, text
from tools.stand_ins import documents
from tools.stand_ins.documents import sample

MESSAGES = {Stage.PRE_TEST: "message-pre-test", Stage.POST_TEST: "message-post-test"}
#: The parts of a checkout's document that KCIDB knows; the rest is DataWarehouse's own.
KCIDB_LISTS = ("checkouts", "builds", "tests")
#: The versions whose tests may have the status MISS.
KCIDB_VERSIONS = (kcidb.V4_2, kcidb.V4_3, kcidb.V4_4, kcidb.V4_5)


def with_builds() -> Loaded:
    """Return the sample checkout with its builds."""
    return Loaded(
        checkout=msgspec.json.decode(text("checkout"), type=Checkout),
        builds=msgspec.convert(sample("checkout-builds")["results"], tuple[Build, ...]),
    )


@pytest.mark.parametrize(
    ("stage", "loaded"),
    [
        (Stage.PRE_TEST, with_builds()),
        (Stage.PRE_TEST, everything()),
        (Stage.POST_TEST, everything()),
    ],
)
def test_the_documents_make_the_messages(stage: Stage, loaded: Loaded) -> None:
    """They are the samples' to the last field, in the same order, the time of making aside."""
    message = sent(loaded, merge_request(), stage)
    expected = sample(MESSAGES[stage])
    expected["generated_at"] = message["generated_at"]

    assert json.dumps(message) == json.dumps(expected)


@pytest.mark.parametrize("name", MESSAGES.values())
def test_the_sample_messages_match_the_schema(name: str) -> None:
    """Consumers get messages like those in the examples."""
    VALIDATOR.validate(sample(name))


def test_the_sample_notification_is_about_the_sample_checkout() -> None:
    """Notification and DataWarehouse agree about the checkout."""
    notification, checkout = parse(text("notification-ready-to-report")), everything().checkout

    assert notification.checkout_id == checkout.id
    assert (notification.origin, notification.valid) == (checkout.origin, checkout.valid)
    assert not is_superseded(everything(), merge_request())


def test_the_samples_failures_are_all_triaged() -> None:
    """One test by its two results, one by itself; a waived and a missed one are no findings."""
    told = evidence()
    assert overall_status(told) == "success"
    without = [
        [other for other in told.issueoccurrences if other is not it]
        for it in told.issueoccurrences
    ]
    statuses = [
        overall_status(msgspec.structs.replace(told, issueoccurrences=tuple(it))) for it in without
    ]
    assert statuses == ["fail", "fail", "error"]


def as_kcidb(document: dict[str, Any], version: Any) -> dict[str, Any]:
    """Return what KCIDB knows of a checkout's document, under the version's own number."""
    number = {"major": version.major, "minor": version.minor}
    return {"version": number} | {name: document[name] for name in KCIDB_LISTS}


@pytest.mark.parametrize("version", KCIDB_VERSIONS, ids=str)
def test_the_sample_checkout_is_valid_kcidb(version: Any) -> None:
    """It is what real warehouses could show."""
    assert version.validate_exactly(as_kcidb(sample("checkout-all"), version))


def test_the_sample_documents_agree() -> None:
    """The checkout and the builds alone are the ones of the document with everything."""
    document = sample("checkout-all")

    assert document["checkouts"] == [sample("checkout")]
    assert document["builds"] == sample("checkout-builds")["results"]


@pytest.mark.parametrize("version", KCIDB_VERSIONS, ids=str)
def test_the_factories_documents_are_valid_kcidb(version: Any) -> None:
    """Tests with the factories are tests with what real warehouses could show."""
    checkout = documents.checkout(
        "redhat:1", merge_request="https://gitlab.com/group/kernel/-/merge_requests/7"
    )
    builds = [
        documents.build(checkout),
        documents.build(checkout, "s390x", debug=True, valid=False),
        documents.build(checkout, "aarch64", valid=documents.MISSING),
    ]
    tests = [
        documents.test(builds[0], f"suite.{status}", status)
        for status in ("PASS", "FAIL", "ERROR", "MISS", "SKIP", "DONE", documents.MISSING)
    ]
    tests.append(documents.test(builds[1], "waived", "FAIL", waived=True))

    whole = documents.everything(checkout, builds, tests)
    assert version.validate_exactly(as_kcidb(whole, version))
    assert version.validate_exactly(as_kcidb(documents.large_all(tests=3), version))


@pytest.mark.parametrize("status", ["PASS", "FAIL", "ERROR", "MISS", "SKIP", "DONE"])
def test_a_factorys_build_of_version_5_is_valid_kcidb(status: str) -> None:
    """It has a status in the place of `valid`."""
    build = documents.build(documents.checkout(), status=status, valid=documents.MISSING)
    version = {"major": 5, "minor": 0}

    assert kcidb.V5_0.validate_exactly({"version": version, "builds": [build]})


def test_what_is_no_kcidb_is_refused() -> None:
    """The checks above would notice."""
    document = as_kcidb(sample("checkout-all"), kcidb.V4_2)
    document["builds"][0]["status"] = "PASS"

    assert not kcidb.V4_2.is_valid_exactly(document)
