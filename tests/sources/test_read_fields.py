"""The services' documents: each field of our types is read by somebody, and no other one is."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from msgspec import inspect

from cki_notifier.checkout.documents import BuildPage, Checkout, Document, Everything
from cki_notifier.message.contract import ReadyForTest
from cki_notifier.notification.models import Status
from cki_notifier.pipeline import Announcement, Pipeline
from cki_notifier.sources.datawarehouse import DataWarehouse
from cki_notifier.sources.gitlab import Bridge, MergeRequestDocument
from cki_notifier.sources.load import Loader
from cki_notifier.workers.deadline import Deadline
from tests import factories
from tools.stand_ins import Garbage, Services, documents

PROJECT = "group/kernel"
BRANCH, RELATED = "redhat:2", "redhat:3"
#: Texts that an unread field may hold; some are JSON only for Python.
GARBAGE = ("12", '{"issue": [7]}', "NaN", "[-Infinity]", r'"\ud83d"', "1e999", "9" * 400, "null")


class Nobody:
    """Takes a record, and does nothing."""

    def publish(self, record: object, deadline: Deadline) -> None:
        """Take a record."""


@pytest.fixture
def pipeline(loader: Loader, services: Services) -> Pipeline:
    """A pipeline whose services know three checkouts that have all that is read."""
    gitlab, url = services.gitlab, services.gitlab.merge_request_url(PROJECT, 7)
    own = gitlab.pipeline_url("cki/trusted", 55)
    head = gitlab.pipeline_url(PROJECT, 77)
    gitlab.add_merge_request(
        documents.merge_request(url, head_pipeline=head),
        [documents.bridge(gitlab.pipeline_url("fork/builds", 56))],
    )
    gitlab.add_bridges(gitlab.pipeline_url("fork/builds", 56), [documents.bridge(own)])
    services.jira.add_issue(documents.jira_issue("RHEL-40001"))
    add(services, documents.checkout("redhat:1", merge_request=url, pipeline=own))
    add(services, documents.checkout(BRANCH, misc={"submitter": "Somebody"}))
    related = {"related_merge_request": {"url": url, "diff_url": f"{url}.diff"}}
    add(services, documents.checkout(RELATED, pipeline=own, misc=related))
    return Pipeline(loader, Nobody(), services.warehouse.url)


def add(services: Services, checkout: documents.Document) -> None:
    """Store a checkout with a failure that is known, and one that is a regression."""
    build = documents.build(checkout)
    tests = [documents.test(build, name, "FAIL", id=f"{name}:1") for name in ("a", "b", "c")]
    result = documents.testresult(tests[0], "part", "FAIL")
    occurrences = [
        documents.issueoccurrence(test=tests[0], testresult=result),
        documents.issueoccurrence(test=tests[1]),
        documents.issueoccurrence(build=build),
        documents.issueoccurrence(test=tests[2], is_regression=True),
    ]
    services.warehouse.add(documents.everything(checkout, [build], tests, [result], occurrences))


def message(pipeline: Pipeline, checkout_id: str, status: str) -> ReadyForTest:
    """Return the message about a checkout, without its time, and without what may be late."""
    about = factories.notification(status, checkout_id=checkout_id)
    decision = pipeline.decide(about, Deadline(20))
    assert isinstance(decision, Announcement)
    merge_request = msgspec.structs.replace(
        decision.message.merge_request, jira_issues=msgspec.UNSET
    )
    return msgspec.structs.replace(decision.message, generated_at="", merge_request=merge_request)


def types(base: type[Document] = Document) -> Iterator[type[Document]]:
    """Yield all types of documents."""
    for type_ in base.__subclasses__():
        yield type_
        yield from types(type_)


def test_each_field_of_our_types_is_read(
    pipeline: Pipeline,
    warehouse: DataWarehouse,
    services: Services,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A field that no rule, no message and no search reads could only do harm."""
    read: set[tuple[str, str]] = set()

    def note(self: object, name: str) -> object:
        read.add((type(self).__name__, name))
        return object.__getattribute__(self, name)

    for type_ in types():
        monkeypatch.setattr(type_, "__getattribute__", note)
    for checkout_id in ("redhat:1", BRANCH, RELATED):
        for status in (Status.BUILD_SETUPS_FINISHED, Status.READY_TO_REPORT):
            message(pipeline, checkout_id, status)
    services.warehouse.update_checkout("redhat:1", misc={"ready_to_report": False})
    message(pipeline, str(documents.number("redhat:1")), Status.UNKNOWN)
    assert list(warehouse.recent_checkouts(Deadline(20)))
    services.warehouse.update_checkout(RELATED, origin=7)
    span = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
    assert len(list(warehouse.checkouts_since(*span, Deadline(20)))) == 3
    fields = {(it.__name__, name) for it in types() for name in it.__struct_fields__}
    assert len(fields) > 60
    assert fields - read == set()


def inner(info: inspect.Type) -> inspect.StructType | None:
    """Return the type of the objects in a type: itself, an item's, one of several."""
    if isinstance(info, inspect.StructType):
        return info
    if isinstance(info, inspect.UnionType):
        return next((found for it in info.types if (found := inner(it))), None)
    return inner(info.item_type) if isinstance(info, inspect.VarTupleType) else None


def spoiled(value: Any, info: inspect.Type) -> Any:
    """Return a document with a mark in each field that is not in our type of it."""
    if isinstance(value, list):
        return [spoiled(it, info) for it in value]
    struct = inner(info)
    if not isinstance(value, dict) or struct is None:
        return value
    known = {it.encode_name: it.type for it in struct.fields}
    marked = dict.fromkeys((*value, "more"), "MARK")
    return marked | {it: spoiled(value[it], known[it]) for it in value if it in known}


#: Types by a text in the path; the first match counts.
DOCUMENTS: tuple[tuple[str, type], ...] = (
    ("/all", Everything),
    ("/builds", BuildPage),
    ("/merge_requests/", MergeRequestDocument),
    ("/bridges", tuple[Bridge, ...]),
    ("/checkouts/", Checkout),
)


@pytest.mark.parametrize("garbage", GARBAGE)
@pytest.mark.parametrize("status", [Status.BUILD_SETUPS_FINISHED, Status.READY_TO_REPORT])
def test_what_no_type_of_ours_has_may_hold_anything(
    pipeline: Pipeline, services: Services, garbage: str, status: Status
) -> None:
    """In every object there is, at every depth."""
    expected = message(pipeline, "redhat:1", status)
    asked = [*services.warehouse.requests, *services.gitlab.requests]
    for seen in sorted(asked, key=lambda it: -len(it.target)):  # one may begin like another
        service = services.warehouse if "kcidb" in seen.target else services.gitlab
        match, type_ = next(it for it in DOCUMENTS if it[0] in seen.target)
        document = json.loads(service.route(seen).body)
        body = json.dumps(spoiled(document, inspect.type_info(type_)))
        assert '"MARK"' in body, match
        spelled = body.replace('"MARK"', garbage).encode("utf-8-sig")
        service.answer(seen.target, Garbage(spelled))
    assert message(pipeline, "redhat:1", status) == expected
