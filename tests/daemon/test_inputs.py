"""Odd, huge and broken input: each ends in the outcome the design says, and the daemon goes on."""

import json
from typing import Any

import pika
import pytest

from tests.brokers.stage import Stage, eventually
from tests.security.tables import DELIVERED, Raw, properties
from tools.brokers.kafka import Kafka
from tools.stand_ins import Garbage, Late, documents


def fill(stage: Stage, checkout_id: str, builds: int = 1, **changes: Any) -> None:
    """Put a checkout with builds into DataWarehouse."""
    checkout = documents.checkout(checkout_id, **changes)
    stage.services.warehouse.add(
        documents.everything(
            checkout,
            [documents.build(checkout, id=f"{checkout_id}-{number}") for number in range(builds)],
        )
    )


def thin(checkout_id: str, status: str = "build_setups_finished") -> dict[str, object]:
    """Make a notification that holds only what it must."""
    return {"object_type": "checkout", "status": status, "id": checkout_id}


def test_unreadable_bodies_are_dead_lettered_and_the_next_is_handled(stage: Stage) -> None:
    """Each unreadable body lies in the dead-letter queue byte for byte, with reason and error."""
    bodies = [
        b"",
        b"\x00\xff\xfe",
        b"no json",
        b'{"id": "redhat:1", "status": "unknown", "object_type": "checkout", "x": "\xff"}',
        b'["redhat:1"]',
        b"[" * 10_000 + b"]" * 10_000,
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        json.dumps(thin("") | {"object": {"id": 5}}).encode(),
        json.dumps(thin("redhat:1") | {"object": []}).encode(),
        json.dumps(thin("redhat:1") | {"misc": "x"}).encode(),
        json.dumps(thin("redhat:1") | {"status": None}).encode(),
    ]
    fill(stage, "redhat:good")
    stage.daemon()
    stage.publish(
        *bodies,
        routing_key="datawarehouse.checkout.odd",
        properties=pika.BasicProperties(
            message_id="m-1", headers={"kept": "yes"}, expiration="600000", user_id="guest"
        ),
    )
    stage.publish(thin("redhat:good"))
    letters = stage.dead_letters(len(bodies))
    assert sorted(letter.body for letter in letters) == sorted(bodies)
    for letter in letters:
        assert letter.headers["x-cki-reason"] == "malformed"
        assert letter.headers["x-cki-error"]
        assert letter.headers["x-cki-attempts"] == 1
        assert letter.headers["x-cki-first-seen"].startswith("20")
        assert letter.headers["x-cki-exchange"] == stage.exchange
        assert letter.headers["x-cki-routing-key"] == "datawarehouse.checkout.odd"
        assert letter.headers["kept"] == "yes"
        assert letter.properties.message_id == "m-1"
        assert letter.properties.expiration is None, "it would be dropped from the queue"
    assert stage.messages(1)[0]["checkout_id"] == "redhat:good"


def test_headers_that_nobody_can_handle_stop_nothing(stage: Stage) -> None:
    """Messages with them are handled for their bodies alone, and the one connection stays."""
    fill(stage, "redhat:good")
    daemon = stage.daemon(CKI_LOGGING_LEVEL="INFO")
    for number, headers in enumerate(DELIVERED.values()):
        stage.publish(b"no json %d" % number, properties=Raw(properties(headers)))
        stage.publish(thin(f"redhat:{number}", "new"), properties=Raw(properties(headers)))
    stage.publish(thin("redhat:good"))
    letters = stage.dead_letters(len(DELIVERED))
    assert {it.body for it in letters} == {b"no json %d" % it for it in range(len(DELIVERED))}
    assert {it.headers["x-cki-reason"] for it in letters} == {"malformed"}
    assert stage.messages(1)[0]["checkout_id"] == "redhat:good"
    eventually(lambda: len(daemon.settled()) == 2 * len(DELIVERED) + 1)
    assert daemon.text().count('"consuming ') == 1
    stage.finish(daemon)


def test_half_a_character_costs_no_message(stage: Stage) -> None:
    """In the notification, DataWarehouse's document and Jira's: it becomes a replacement."""
    gitlab, jira = stage.services.gitlab, stage.services.jira
    url = gitlab.merge_request_url("group/kernel", 1)
    description = f"JIRA: {jira.url}/browse/RHEL-1"
    gitlab.add_merge_request(documents.merge_request(url, description=description))
    issue = json.dumps({"issues": [documents.jira_issue("RHEL-1", summary="a?")]})
    jira.answer("", Garbage(issue.replace("?", r"\ud800").encode()))
    checkout = documents.checkout("redhat:1", merge_request=url, tree_name="b?", log_excerpt="?")
    warehouse = stage.services.warehouse
    warehouse.add(documents.everything(checkout, [documents.build(checkout)]))
    document = json.dumps(checkout).replace("?", r"\udfff").encode()
    warehouse.answer("/builds", Late(0))
    warehouse.answer("/checkouts/redhat%3A1", Garbage(document))
    stage.daemon()
    body = json.dumps(thin("redhat:1") | {"object": {"log_excerpt": "?"}})
    stage.publish(body.replace("?", r"\ud83d").encode())
    message = stage.messages(1)[0]
    assert message["tree_name"] == "b\ufffd"
    assert message["merge_request"]["jira_issues"][0]["summary"] == "a\ufffd"


@pytest.mark.parametrize(
    "checkout_id",
    [
        "redhat:with/slash",
        "redhat:at@sign",
        "redhat:hash#tag",
        "redhat:100%",
        "redhat:%2F",
        "redhat:a b  c",
        "redhat:?q=1&x",
        "redhat:ünï→",
        "redhat:..",
    ],
)
def test_ids_of_all_kinds_are_asked_for_as_they_are(stage: Stage, checkout_id: str) -> None:
    """An id reaches DataWarehouse unchanged and becomes key and subject as it is."""
    fill(stage, checkout_id)
    stage.daemon()
    stage.publish(thin(checkout_id))
    (record,) = stage.records(1)
    assert record.key == checkout_id
    assert record.headers["ce_subject"] == checkout_id
    assert json.loads(record.value)["checkout_id"] == checkout_id


def test_builds_on_several_pages_are_all_in_the_message(stage: Stage) -> None:
    """A checkout with more builds than a page holds is announced with every one of them."""
    stage.services.warehouse.largest_page = 30
    fill(stage, "redhat:1", builds=168)
    stage.daemon()
    stage.publish(thin("redhat:1"))
    assert len(stage.messages(1)[0]["build_info"]) == 168


def test_a_checkout_of_twenty_megabytes_is_handled(stage: Stage) -> None:
    """The document with everything may be tens of megabytes large."""
    stage.services.warehouse.add(documents.large_all("redhat:big"))
    stage.daemon()
    stage.publish(thin("redhat:big", "ready_to_report"))
    assert stage.messages(1)[0]["cki_finished"] is True


def large(checkout_id: str) -> dict[str, object]:
    """Make a checkout whose message has two megabytes."""
    files = [{"path": f"drivers/{number:06}/{'x' * 80}.c"} for number in range(21_000)]
    checkout = documents.checkout(checkout_id, misc={"patchset_modified_files": files})
    return documents.everything(checkout, [documents.build(checkout)])


def test_a_message_larger_than_the_broker_takes_is_dead_lettered(stage: Stage) -> None:
    """The broker's refusal is final: no retry, a dead letter, and the next one is handled."""
    stage.services.warehouse.add(large("redhat:large"))
    fill(stage, "redhat:good")
    stage.daemon()
    stage.publish(thin("redhat:large"), thin("redhat:good"))
    (letter,) = stage.dead_letters()
    assert letter.headers["x-cki-reason"] == "too-large"
    assert stage.messages(1)[0]["checkout_id"] == "redhat:good"


def test_a_large_message_is_sent_where_the_broker_takes_it(stage: Stage, kafka: Kafka) -> None:
    """A message of two megabytes passes when the topic allows it."""
    topic = f"{stage.topic}.large"
    kafka.create_topic(topic, config={"max.message.bytes": "5000000"})
    stage.services.warehouse.add(large("redhat:large"))
    stage.topic = topic
    stage.daemon(KAFKA_TOPIC=topic)
    stage.publish(thin("redhat:large"))
    (record,) = stage.records(1)
    assert len(record.value) > 2_000_000


def test_documents_that_cannot_be_used_are_dead_lettered_with_the_field(stage: Stage) -> None:
    """A wrong type in DataWarehouse's answer is named in the dead letter."""
    fill(stage, "redhat:wrong", tree_name=5)
    fill(stage, "redhat:link", misc={"mr": {"url": "ftp://example.com/merge_requests/1"}})
    fill(stage, "redhat:good")
    stage.daemon()
    stage.publish(thin("redhat:wrong"))
    (letter,) = stage.dead_letters()
    assert letter.headers["x-cki-reason"] == "invalid-document"
    assert "$.tree_name" in letter.headers["x-cki-error"]
    stage.publish(thin("redhat:link"))
    (letter,) = stage.dead_letters()
    assert letter.headers["x-cki-reason"] == "invalid-document"
    assert "misc.mr.url" in letter.headers["x-cki-error"]
    stage.publish(thin("redhat:good"))
    assert stage.messages(1)[0]["checkout_id"] == "redhat:good"


def test_half_an_answer_is_tried_again(stage: Stage) -> None:
    """JSON that ends too early is a temporary fault of DataWarehouse, not one of the document."""
    fill(stage, "redhat:1")
    stage.services.warehouse.answer("/builds", Garbage(b'{"results": [{"id": "redhat:1'), times=1)
    daemon = stage.daemon()
    stage.publish(thin("redhat:1"))
    assert stage.messages(1)[0]["checkout_id"] == "redhat:1"
    (line,) = eventually(daemon.settled)
    assert line["outcome"] == "sent"
