"""Any input, from RabbitMQ or from a service, ends in one of the known outcomes."""

import copy
import json
from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cki_notifier.configuration.secret import Secret
from cki_notifier.configuration.settings import DataWarehouseConfig
from cki_notifier.kafka.publish import Record
from cki_notifier.notification.errors import NotifierError
from cki_notifier.notification.models import Outcome, Sent
from cki_notifier.notification.reasons import DeadLetterReason
from cki_notifier.pipeline import Pipeline
from cki_notifier.rabbitmq.retries import REASON, destination_of, history_of
from cki_notifier.sources.datawarehouse import DataWarehouse
from cki_notifier.sources.gitlab import GitLab
from cki_notifier.sources.http import HTTP
from cki_notifier.sources.load import Loader
from cki_notifier.sources.transfer import Digest, Response, Transfers, Wanted
from cki_notifier.workers.deadline import Deadline
from tests.factories.contract import VALIDATOR
from tests.properties import PATIENT
from tools.stand_ins import documents

T = TypeVar("T")


#: Any JSON value, small ones first.
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def sample(name: str) -> Any:
    """Read a sample document."""
    return json.loads((documents.SAMPLES / name).read_text())


class Canned(Transfers):
    """Answers from memory: nothing but the network is left out."""

    def __init__(self, answers: dict[str, bytes]) -> None:
        self._answers = answers

    def digest(
        self,
        wanted: Wanted,
        digest: Digest[T],
    ) -> Future[T]:
        """Digest the answer to the end of the path, or a 404."""
        future: Future[T] = Future()
        path = wanted.url.partition("?")[0].rpartition("/")[2]
        found = self._answers.get(path)
        response = Response(404, {}, b"{}") if found is None else Response(200, {}, found)
        try:
            future.set_result(digest(response))
        except NotifierError as error:
            future.set_exception(error)
        return future


class Received:
    """Takes records and checks each against the published schema."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def publish(self, record: Record, _deadline: Deadline) -> None:
        """Take a record."""
        VALIDATOR.validate(json.loads(record.value))
        self.records.append(record)


def answers(**changes: Any) -> dict[str, bytes]:
    """Return the services' answers, the samples' but for the changes."""
    documents = {
        "redhat%3A2167003491": sample("checkout.json"),
        "builds": sample("checkout-builds.json"),
        "all": sample("checkout-all.json"),
        "5021": sample("merge-request.json"),
        "bridges": sample("pipeline-bridges.json"),
    } | changes
    return {path: json.dumps(document).encode() for path, document in documents.items()}


def outcome_of(body: bytes, answered: dict[str, bytes]) -> Outcome | None:
    """Handle a body; return its outcome, None when it failed as the design allows.

    A failure has to be one of ours, and what is dead-lettered has to have a reason.
    """
    http = HTTP(Canned(answered))
    warehouse = DataWarehouse(http, DataWarehouseConfig(url="http://w", token=Secret("t")))
    received = Received()
    pipeline = Pipeline(Loader(warehouse, GitLab(http, {}), None), received, "http://w")
    now = datetime.now(UTC)
    try:
        notification, ignored = pipeline.begin(body)
        outcome = ignored or pipeline.handle(notification, Deadline(0.1))
    except NotifierError as error:
        history = history_of({}, exchange="e", routing_key="k", now=now)
        parked = destination_of(error, history, queue="q", retry_for=timedelta(hours=1), now=now)
        assert not parked.is_final or parked.headers[REASON] in set(DeadLetterReason)
        assert not received.records
        return None
    assert len(received.records) == isinstance(outcome, Sent)
    return outcome


def places(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of all values in a document."""
    inner = (
        document.items()
        if isinstance(document, dict)
        else enumerate(document)
        if isinstance(document, list)
        else ()
    )
    return [path, *(place for key, value in inner for place in places(value, (*path, key)))]


def mutations(document: Any) -> st.SearchStrategy[Any]:
    """Return the document with one to three of its values removed or replaced by anything."""

    @st.composite
    def mutated(draw: Callable[[st.SearchStrategy[Any]], Any]) -> Any:
        changed = copy.deepcopy(document)
        for _ in range(draw(st.integers(1, 3))):
            *way, last = draw(st.sampled_from([place for place in places(changed) if place]))
            parent = changed
            for key in way:
                parent = parent[key]
            if draw(st.booleans()):
                parent[last] = draw(JSON)
            else:
                del parent[last]
            if not places(changed)[1:]:
                break
        return changed

    return mutated()


@PATIENT
@given(st.binary())
@example(b"\xef\xbb\xbf{}")
def test_any_bytes(body: bytes) -> None:
    """Bytes that are no notification are dead-lettered, and nothing else happens."""
    assert outcome_of(body, answers()) is None


@PATIENT
@given(JSON)
def test_any_json(value: Any) -> None:
    """So is JSON that is none."""
    assert outcome_of(json.dumps(value).encode(), answers()) is None


@PATIENT
@given(mutations(sample("notification-ready-to-report.json")))
def test_a_mutated_notification(notification: Any) -> None:
    """A notification that is nearly right ends in some outcome."""
    outcome_of(json.dumps(notification).encode(), answers())


@pytest.mark.parametrize(
    ("path", "name", "status"),
    [
        ("redhat%3A2167003491", "checkout.json", "unknown"),
        ("redhat%3A2167003491", "checkout.json", "build_setups_finished"),
        ("builds", "checkout-builds.json", "build_setups_finished"),
        ("all", "checkout-all.json", "ready_to_report"),
        ("all", "checkout-all.json", "checkout_issueoccurrences_changed"),
        ("5021", "merge-request.json", "ready_to_report"),
        ("bridges", "pipeline-bridges.json", "build_setups_finished"),
    ],
)
@PATIENT
@given(data=st.data())
def test_a_mutated_document(data: st.DataObject, path: str, name: str, status: str) -> None:
    """A document that is nearly right gives a message of the contract, or a fault with a reason."""
    notification = {
        "object_type": "checkout",
        "status": status,
        "id": "redhat:2167003491",
        "misc": {"checkout_outcome_changed": True},
    }
    document = data.draw(mutations(sample(name)))
    outcome_of(json.dumps(notification).encode(), answers(**{path: document}))


@pytest.mark.parametrize("status", ["unknown", "build_setups_finished", "ready_to_report"])
def test_the_samples_themselves_are_sent(status: str) -> None:
    """Without a mutation there is a message, so the tests above are about something."""
    notification = {"object_type": "checkout", "status": status, "id": "redhat:2167003491"}
    assert isinstance(outcome_of(json.dumps(notification).encode(), answers()), Sent)
